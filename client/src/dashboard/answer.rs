//! Why there is no page, as a page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::{Message, message};
use eosfed_web::answer::trouble;

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
    Shell::bare("institution", SystemClock.now())
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
            Self::TooMany => {
                let Message { title, text, command } = Message::TOO_MANY;
                (StatusCode::SERVICE_UNAVAILABLE, title, text, command)
            }
        };
        trouble(status, message(&bare(), &Message { title, text, command }))
    }
}
