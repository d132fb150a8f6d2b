//! The listener with TLS: handshakes, and who is at the other end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Router};
use eosfed_transport::certificate::Certificate;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::dashboard::{Dashboard, turned_away};
use crate::tls::{Peer, ServerTls};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The only protocol of this listener.
const PROTOCOL: &[u8] = b"http/1.1";

/// Makes the handshake of a connection; gives it with what is served to its peer.
///
/// # Errors
/// If it fails or takes too long, or the certificate has no identity of this system.
pub(super) async fn accept(
    tls: ServerTls,
    stream: TcpStream,
    address: SocketAddr,
    routes: Router,
) -> io::Result<(TlsStream<TcpStream>, Router)> {
    let mut config = rustls::ServerConfig::clone(&tls.current());
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let accepted = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(Arc::new(config)).accept(stream));
    let stream = accepted.await??;
    let presented = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = presented.map(|der| Certificate::of_der(der)).transpose();
    let certificate = certificate.map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
    let peer = Peer { certificate: certificate.map(Arc::new), address };
    Ok((stream, routes.layer(Extension(peer))))
}

/// Lets those in who may see the dashboard, and everybody to the page that says whether the process lives.
pub(super) async fn members_only(
    State(dashboard): State<Dashboard>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match turned_away(&dashboard, &parts) {
        None => next.run(Request::from_parts(parts, body)).await,
        Some(answer) => answer,
    }
}
