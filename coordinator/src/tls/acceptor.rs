//! The server's end of TLS: own handshakes on a TCP listener, so that the certificate can be
//! replaced while serving and each request knows the verified certificate of its connection.
//!
//! A client certificate is verified when presented and may be absent: enrolment needs none, and
//! every other call asks [`Peer`](super::Peer).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::config::ServerTls;
use super::connection::Connection;
use super::live::LiveConnections;

/// Handshakes under way at once; more wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl ServerTls {
    /// Accepts connections and gives those whose handshake succeeded. Ends when dropped.
    #[must_use]
    pub fn incoming(
        &self,
        listener: TcpListener,
        live: LiveConnections,
    ) -> ReceiverStream<io::Result<Connection>> {
        let (sender, receiver) = mpsc::channel(MAX_HANDSHAKES);
        tokio::spawn(accept_loop(self.clone(), listener, live, sender));
        ReceiverStream::new(receiver)
    }
}

async fn accept_loop(
    tls: ServerTls,
    listener: TcpListener,
    live: LiveConnections,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close theirs.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, sender, live) = (TlsAcceptor::from(tls.current()), sender.clone(), live.clone());
        tokio::spawn(async move {
            match handshake(acceptor, stream, address, &live).await {
                Ok(connection) => drop(sender.send(Ok(connection)).await),
                Err(error) => tracing::info!(%address, %error, "tls handshake failed"),
            }
            drop(place);
        });
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    live: &LiveConnections,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let tls = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    Connection::of(tls, address, live)
}
