//! Where a session begins, with the secret of a link, and where it ends.

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use eosfed_common::identity::Role;
use eosfed_dashboard::page::path;
use serde::Deserialize;

use super::Dashboard;
use super::answer::Trouble;
use super::visitor::{COOKIE_NAME, Visitor, session};
use crate::sessions::SESSION_VALID;

/// Where a link leads.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

/// Whether a page of another site has led here: it must not log anybody in.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !["none", "same-origin"].iter().any(|own| site == own))
}

fn go_to(address: &'static str, cookie: String) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, address.to_owned()), (SET_COOKIE, cookie)]).into_response()
}

/// Begins a session. A link that was used before leads a browser that has a session to the first page.
pub(super) async fn login(
    State(dashboard): State<Dashboard>,
    visitor: Option<Visitor>,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Result<Response, Trouble> {
    if is_foreign(&headers) {
        return Err(Trouble::Login);
    }
    let now = dashboard.engine.now();
    let Some(session) = dashboard.sessions.login(&link.token, now, &mut rand::rng()) else {
        let known = visitor.ok_or(Trouble::Login)?;
        let cookie = cookie(&known.session, SESSION_VALID.as_secs());
        return Ok(go_to(home(&known), cookie));
    };
    let visitor = super::visitor::visitor(&dashboard, &session).ok_or(Trouble::Login)?;
    tracing::info!(who = %visitor.viewer.identity.name, "a session of the dashboard begins");
    Ok(go_to(home(&visitor), cookie(&session, SESSION_VALID.as_secs())))
}

/// The first page.
fn home(visitor: &Visitor) -> &'static str {
    match visitor.viewer.identity.role {
        Role::Operator => path::OVERVIEW,
        Role::Reader | Role::Institution => path::RELEASES,
    }
}

fn cookie(session: &str, seconds: u64) -> String {
    format!("{COOKIE_NAME}={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}")
}

/// Ends the session.
pub(super) async fn logout(State(dashboard): State<Dashboard>, headers: HeaderMap) -> Response {
    if let Some(session) = session(&headers) {
        dashboard.sessions.logout(session);
    }
    let mut answer = Trouble::Login.into_response();
    if let Ok(cookie) = cookie("", 0).parse() {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}
