//! Why there is no page, as a page.

use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::{Message, message};
use eosfed_web::answer::Html;

use crate::site::SiteError;
use crate::site_log::SiteLogError;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no session, or it has ended.
    Login,
    /// There is no such entry, or no such file any more.
    NotFound(String),
    /// What was asked is not understood.
    Malformed(&'static str),
    /// The state folder cannot be read, or does not hold what it should.
    Unreadable(String),
    /// Too many streams are open.
    TooMany,
}

impl From<SiteError> for Trouble {
    fn from(error: SiteError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<SiteLogError> for Trouble {
    fn from(error: SiteLogError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The frame of a page for nobody.
fn bare() -> Shell {
    Shell {
        brand: "institution".to_owned(),
        viewer: "nobody".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: SystemClock.now(),
        nav: Vec::new(),
        live: None,
        logout: None,
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, title, text, command) = match &self {
            Self::Login => (
                StatusCode::UNAUTHORIZED,
                "Log in",
                "You are not logged in, or your session has ended. This command prints a link that can be used once:",
                Some("eosfed-client dashboard --state STATE"),
            ),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not found", &**text, None),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, "Not understood", *text, None),
            Self::Unreadable(text) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The state folder cannot be shown", &**text, None)
            }
            Self::TooMany => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many live pages",
                "Too many pages are live already. This one is loaded again every half minute.",
                None,
            ),
        };
        let mut answer = (status, Html(message(&bare(), &Message { title, text, command }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // The place of the connection is for those who can be answered.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
        }
        answer
    }
}
