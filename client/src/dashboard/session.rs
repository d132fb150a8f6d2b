//! Where a session begins, with the secret of a link, and where it ends. There is one viewer: whoever has read
//! the link where the command was started.

use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use eosfed_dashboard::page::path as shared;
use eosfed_dashboard::page::site::path;
use eosfed_web::SESSION_VALID;
use eosfed_web::cookie::{self, is_foreign};
use serde::Deserialize;

use super::SitePages;
use super::answer::Trouble;

/// The name of the cookie that holds a session. A coordinator of the same machine has another one.
pub const COOKIE_NAME: &str = "eosfed-client-session";

/// Whoever can read the terminal of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner;

impl eosfed_web::Viewer for Owner {
    fn is_same_person(&self, _: &Self) -> bool {
        true
    }
}

/// Whoever has a session.
#[derive(Debug)]
pub(super) struct Visitor {
    session: String,
}

impl FromRequestParts<SitePages> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, pages: &SitePages) -> Result<Self, Trouble> {
        let session = cookie::find(&parts.headers, COOKIE_NAME).ok_or(Trouble::Login)?;
        pages.sessions.viewer(session, pages.clock.now()).ok_or(Trouble::Login)?;
        Ok(Self { session: session.to_owned() })
    }
}

/// Where a link leads.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

/// Begins a session. A link that was used before leads a browser that has a session to the first page.
pub(super) async fn login(
    State(pages): State<SitePages>,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Result<Response, Trouble> {
    if is_foreign(&headers) {
        return Err(Trouble::Login);
    }
    let now = pages.clock.now();
    let known = || {
        let session = cookie::find(&headers, COOKIE_NAME)?;
        pages.sessions.viewer(session, now).map(|_| session.to_owned())
    };
    let session = pages.sessions.login(&link.token, now, &mut rand::rng()).or_else(known);
    let session = session.ok_or(Trouble::Login)?;
    let cookie = cookie::set(COOKIE_NAME, &session, SESSION_VALID.as_secs(), false);
    let headers = [(LOCATION, path::OVERVIEW.to_owned()), (SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Ends the session.
pub(super) async fn logout(State(pages): State<SitePages>, headers: HeaderMap) -> Response {
    if let Some(session) = cookie::find(&headers, COOKIE_NAME) {
        pages.sessions.logout(session);
    }
    let mut answer = Trouble::Login.into_response();
    if let Ok(cookie) = cookie::set(COOKIE_NAME, "", 0, false).parse() {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

/// The stream of changes, which ends with the session.
pub(super) async fn live(State(pages): State<SitePages>, visitor: Visitor) -> Result<Response, Trouble> {
    let changes = pages.changes.clone();
    let streams = pages.streams.clone();
    let may_look = move || pages.sessions.viewer(&visitor.session, pages.clock.now()).is_some();
    streams.open(changes, may_look).ok_or(Trouble::TooMany)
}

/// Where the frame of a page leads to.
pub(super) const LIVE_AND_LOGOUT: (&str, &str) = (shared::LIVE, shared::LOGOUT);
