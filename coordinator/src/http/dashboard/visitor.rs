//! Who looks at a page: decided for each request by its session and by the member's record.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use eosfed_common::identity::Role;
use eosfed_dashboard::Shell;
use eosfed_dashboard::page::{operator_nav, path, reader_nav};
use eosfed_web::cookie::is_foreign;

use super::Dashboard;
use super::answer::Trouble;
use crate::sessions::Viewer;
use crate::tls::Peer;

/// The name of the cookie that holds a session.
pub(super) const COOKIE_NAME: &str = "eosfed-session";

/// Whoever has a session: an operator or a reader.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is.
    pub(super) viewer: Viewer,
    /// The secret of the session; absent for whoever shows a certificate.
    pub(super) session: Option<String>,
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
    let viewer = dashboard.sessions.viewer(session, dashboard.engine.now())?;
    let found = admitted(dashboard, viewer, Some(session));
    if found.is_none() {
        dashboard.sessions.logout(session);
    }
    found
}

/// A member that may call: a revoked member, an expired certificate and a replaced key see nothing.
fn admitted(dashboard: &Dashboard, viewer: Viewer, session: Option<&str>) -> Option<Visitor> {
    let now = dashboard.engine.now();
    if viewer.key.expires_at <= now || dashboard.engine.key_status(&viewer.identity, &viewer.key).is_err() {
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
        logout: session.map(|_| path::LOGOUT),
    };
    Some(Visitor { viewer, session: session.map(str::to_owned), shell })
}

/// Whoever asks: by a session, or by the certificate of the connection. A browser sends a certificate for pages of
/// other sites too, so that only a person may follow a link from there.
fn asking(dashboard: &Dashboard, parts: &Parts) -> Result<Visitor, Trouble> {
    if let Some(visitor) = session(&parts.headers).and_then(|session| visitor(dashboard, session)) {
        return Ok(visitor);
    }
    let certificate = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.as_deref());
    let navigates = parts.headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    if is_foreign(&parts.headers) && !navigates {
        return Err(Trouble::Login);
    }
    certificate.and_then(|one| admitted(dashboard, Viewer::of(one), None)).ok_or(Trouble::Login)
}

/// What is answered to whoever may see nothing; absent for those who may.
pub(in crate::http) fn turned_away(dashboard: &Dashboard, parts: &Parts) -> Option<Response> {
    asking(dashboard, parts).err().map(Trouble::into_response)
}

impl Visitor {
    /// Whether they may still look.
    pub(super) fn may_look(&self, dashboard: &Dashboard) -> bool {
        match &self.session {
            Some(session) => visitor(dashboard, session).is_some(),
            None => admitted(dashboard, self.viewer.clone(), None).is_some(),
        }
    }

    /// Whether they see what is not released.
    pub(super) fn is_operator(&self) -> bool {
        self.viewer.identity.role == Role::Operator
    }
}

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Trouble> {
        asking(dashboard, parts)
    }
}

impl OptionalFromRequestParts<Dashboard> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Option<Self>, Trouble> {
        Ok(asking(dashboard, parts).ok())
    }
}

impl FromRequestParts<Dashboard> for OperatorVisitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Trouble> {
        let visitor = asking(dashboard, parts)?;
        if visitor.is_operator() {
            Ok(Self(visitor))
        } else {
            Err(Trouble::Forbidden(Box::new(visitor.shell)))
        }
    }
}
