//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use eosfed_transport::certificate::Certificate;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The verified client certificate, if one was presented.
    pub certificate: Option<Arc<Certificate>>,
    /// Its address.
    pub address: SocketAddr,
}
