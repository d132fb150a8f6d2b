//! Why there is no page, as a page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::{Message, message};
use eosfed_web::answer::trouble;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no session, or it has ended.
    Login,
    /// The page is for operators.
    Forbidden(Box<Shell>),
    /// The coordinator refuses.
    Refused(Refusal),
    /// Too many streams are open.
    TooMany,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The frame of a page for nobody.
fn bare() -> Shell {
    Shell::bare("coordinator", SystemClock.now())
}

const OPEN: &str = "eosfed dashboard open";

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Login => {
                let text = "You are not logged in, or your session has ended. This command of an operator or a \
                    reader gives a link that can be used once:";
                let said = Message { title: "Log in", text, command: Some(OPEN) };
                (StatusCode::UNAUTHORIZED, message(&bare(), &said))
            }
            Self::Forbidden(shell) => {
                let text = "This page is for operators. Readers see what is released.";
                (
                    StatusCode::FORBIDDEN,
                    message(&shell, &Message { title: "Not for readers", text, command: None }),
                )
            }
            Self::TooMany => (StatusCode::SERVICE_UNAVAILABLE, message(&bare(), &Message::TOO_MANY)),
            Self::Refused(refusal) => refused(&refusal),
        };
        trouble(status, text)
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, String) {
    let (status, title) = match refusal.reason {
        Reason::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        Reason::Malformed => (StatusCode::BAD_REQUEST, "Not understood"),
        reason if reason.is_transient() => (StatusCode::SERVICE_UNAVAILABLE, "Try again"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "Refused"),
    };
    (status, message(&bare(), &Message { title, text: &refusal.message, command: None }))
}
