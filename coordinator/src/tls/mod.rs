//! TLS at the coordinator's end: the certificate authority, and accepting connections.

pub mod acceptor;
pub mod authority;

pub use acceptor::{Peer, ServerTls};
pub use authority::Authority;
