//! TLS at the coordinator's end: the certificate authority, and accepting connections.

mod acceptor;
pub mod authority;
mod config;
mod connection;
mod handshakes;
mod limits;
mod live;
mod peer;
pub(crate) mod rehearsal;
mod socket;

pub use authority::Authority;
pub use config::{ServerTls, TlsError};
pub use connection::Connection;
pub use live::{LiveConnections, TurnedAway};
pub use peer::Peer;
