//! Connections of members that may no longer call are closed as soon as that is decided: a revocation, or
//! another key after an enrolment. It is looked at whenever a member changes, so no way of losing access is
//! forgotten.

use crate::engine::Handle;
use crate::sessions::key;
use crate::tls::LiveConnections;

/// Closes them, for ever.
pub(super) async fn close_refused(engine: &Handle, live: &LiveConnections) {
    let mut changes = engine.member_changes();
    while changes.changed().await.is_ok() {
        live.close(|certificate| {
            let refused = engine.key_status(&certificate.identity, &key(certificate)).err();
            refused.map(|refusal| refusal.message)
        });
    }
}
