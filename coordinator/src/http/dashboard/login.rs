//! Where a session begins, with the secret of a link, and where it ends.

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use eosfed_common::identity::Role;
use eosfed_dashboard::page::path;
use eosfed_web::cookie::{self, is_foreign};
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

fn go_to(address: &'static str, cookie: Option<String>) -> Response {
    let cookie = AppendHeaders(cookie.map(|cookie| (SET_COOKIE, cookie)));
    (StatusCode::SEE_OTHER, [(LOCATION, address)], cookie).into_response()
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
        let cookie = known.session.as_ref().map(|session| cookie_of(&dashboard, session));
        return Ok(go_to(home(&known), cookie));
    };
    let visitor = super::visitor::visitor(&dashboard, &session).ok_or(Trouble::Login)?;
    tracing::info!(who = %visitor.viewer.identity.name, "a session of the dashboard begins");
    Ok(go_to(home(&visitor), Some(cookie_of(&dashboard, &session))))
}

/// The first page.
fn home(visitor: &Visitor) -> &'static str {
    match visitor.viewer.identity.role {
        Role::Operator => path::OVERVIEW,
        Role::Reader | Role::Institution => path::RELEASES,
    }
}

fn cookie_of(dashboard: &Dashboard, session: &str) -> String {
    cookie::set(COOKIE_NAME, session, SESSION_VALID.as_secs(), dashboard.secure)
}

/// Ends the session.
pub(super) async fn logout(State(dashboard): State<Dashboard>, headers: HeaderMap) -> Response {
    if let Some(session) = session(&headers) {
        dashboard.sessions.logout(session);
    }
    let mut answer = Trouble::Login.into_response();
    if let Ok(cookie) = cookie::set(COOKIE_NAME, "", 0, dashboard.secure).parse() {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}
