//! Who looks at a page: decided for each request by its session and by the member's record.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use eosfed_common::identity::Role;
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::{operator_nav, path, reader_nav};

use super::Dashboard;
use super::answer::Trouble;
use crate::sessions::Viewer;

/// The name of the cookie that holds a session.
pub(super) const COOKIE_NAME: &str = "eosfed-session";

/// Whoever has a session: an operator or a reader.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is.
    pub(super) viewer: Viewer,
    /// The secret of the session.
    pub(super) session: String,
    /// The frame of pages.
    pub(super) shell: Shell,
}

/// An operator with a session.
#[derive(Debug, Clone)]
pub(super) struct OperatorVisitor(pub(super) Visitor);

/// The session of a request, if its cookie names one.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    eosfed_web::cookie::find(headers, COOKIE_NAME)
}

/// Whoever has this session, if the member may still call.
pub(super) fn visitor(dashboard: &Dashboard, session: &str) -> Option<Visitor> {
    let now = dashboard.engine.now();
    let viewer = dashboard.sessions.viewer(session, now)?;
    // A revoked member, an expired certificate and a replaced key end the session.
    if viewer.key.expires_at <= now || dashboard.engine.key_status(&viewer.identity, &viewer.key).is_err() {
        dashboard.sessions.logout(session);
        return None;
    }
    let (nav, role) = match viewer.identity.role {
        Role::Operator => (operator_nav(), "operator"),
        Role::Reader => (reader_nav(), "reader"),
        Role::Institution => return None,
    };
    let shell = Shell {
        brand: "coordinator".to_owned(),
        viewer: format!("{role} {}", viewer.identity.name),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        nav,
        live: Some(path::LIVE),
        logout: Some(path::LOGOUT),
    };
    Some(Visitor { viewer, session: session.to_owned(), shell })
}

impl Visitor {
    /// Whether they see what is not released.
    pub(super) fn is_operator(&self) -> bool {
        self.viewer.identity.role == Role::Operator
    }
}

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Trouble> {
        session(&parts.headers).and_then(|session| visitor(dashboard, session)).ok_or(Trouble::Login)
    }
}

impl OptionalFromRequestParts<Dashboard> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Option<Self>, Trouble> {
        Ok(session(&parts.headers).and_then(|session| visitor(dashboard, session)))
    }
}

impl FromRequestParts<Dashboard> for OperatorVisitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Trouble> {
        let found = session(&parts.headers).and_then(|session| visitor(dashboard, session));
        let visitor = found.ok_or(Trouble::Login)?;
        if visitor.is_operator() {
            Ok(Self(visitor))
        } else {
            Err(Trouble::Forbidden(Box::new(visitor.shell)))
        }
    }
}
