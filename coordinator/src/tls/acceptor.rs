//! The server's end of TLS: own handshakes on a TCP listener, so that the certificate can be
//! replaced while serving and each request knows the verified certificate of its connection.
//!
//! A client certificate is verified when presented and may be absent: enrolment needs none, and
//! every other call asks [`Peer`](super::Peer).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::config::ServerTls;
use super::connection::Connection;
use super::handshakes::{Decision, Handshakes, Ticket};
use super::limits::Source;
use super::live::LiveConnections;
use super::socket::Socket;

/// Connections whose handshake is done and that the server has not taken yet.
const QUEUE: usize = 64;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl ServerTls {
    /// Accepts connections and gives those whose handshake succeeded, within the limits of `live`. Ends
    /// when dropped.
    #[must_use]
    pub fn incoming(
        &self,
        listener: TcpListener,
        live: LiveConnections,
    ) -> ReceiverStream<io::Result<Connection>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
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
    let handshakes = Handshakes::new(live.limits());
    loop {
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
        let Some(ticket) = admit(&handshakes, address).await else {
            live.turned_away().handshakes.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%address, "closed: too many handshakes from this address");
            continue;
        };
        let acceptor = TlsAcceptor::from(tls.current());
        let (sender, live) = (sender.clone(), live.clone());
        tokio::spawn(async move {
            match handshake(acceptor, stream, address, &live, &ticket).await {
                Ok(connection) => drop(sender.send(Ok(connection)).await),
                Err(error) => {
                    // A limit of connections is counted where it is applied.
                    if error.kind() != io::ErrorKind::QuotaExceeded {
                        live.turned_away().failed.fetch_add(1, Ordering::Relaxed);
                    }
                    tracing::info!(%address, %error, "tls handshake failed");
                }
            }
        });
    }
}

/// Waits until a connection may begin its handshake; `None` if its address has too many.
async fn admit(handshakes: &Handshakes, address: SocketAddr) -> Option<Ticket> {
    loop {
        match handshakes.decide(Source::of(address.ip()), Instant::now()) {
            Decision::Begin(ticket) => return Some(ticket),
            Decision::Close => return None,
            Decision::Wait(duration) => tokio::time::sleep(duration).await,
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    live: &LiveConnections,
    ticket: &Ticket,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let timeout = live.limits().handshake_timeout;
    let tls = tokio::select! {
        tls = tokio::time::timeout(timeout, acceptor.accept(Socket::new(stream))) => tls??,
        () = ticket.cancelled.cancelled() => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it gave way to newer connections"));
        }
    };
    Connection::of(tls, address, live)
}
