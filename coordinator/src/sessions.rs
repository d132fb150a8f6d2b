//! Who may see the dashboard in a browser: a member whose call gave a link, as long as the key counts with which
//! it called.

use eosfed_common::identity::Identity;
use eosfed_transport::certificate::Certificate;

use crate::domain::member::keys::Key;

pub use eosfed_web::{LINK_VALID, SESSION_VALID};

/// The links and sessions of the dashboard. Clones share them.
pub type Sessions = eosfed_web::Sessions<Viewer>;

/// Who looks at the dashboard: a person, and the key with which the link was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The role and the name.
    pub identity: Identity,
    /// The key. When it counts no more, neither does the session.
    pub key: Key,
}

impl Viewer {
    /// Whoever shows a certificate.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self { identity: certificate.identity.clone(), key: key(certificate) }
    }
}

/// The key of a certificate.
#[must_use]
pub const fn key(certificate: &Certificate) -> Key {
    let Certificate { identity: _, fingerprint, issuer, not_before: _, not_after } = certificate;
    Key { fingerprint: *fingerprint, expires_at: *not_after, authority: Some(*issuer) }
}

impl eosfed_web::Viewer for Viewer {
    fn is_same_person(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}
