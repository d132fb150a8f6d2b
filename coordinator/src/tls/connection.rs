//! A connection whose handshake is done: it ends by itself when its certificate expires, or when its
//! caller may no longer call.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eosfed_transport::certificate::Certificate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::live::{LiveConnections, OpenConnection};
use super::peer::Peer;
use super::socket::Socket;

/// A TLS connection whose handshake is done.
pub struct Connection {
    tls: TlsStream<Socket>,
    peer: Peer,
    entry: OpenConnection,
    ended: bool,
}

impl Connection {
    /// A connection after its handshake.
    ///
    /// # Errors
    /// If the certificate that was presented carries no identity of this system, or its holder, or
    /// callers without one, have as many connections as they may.
    pub(super) fn of(
        tls: TlsStream<Socket>,
        address: SocketAddr,
        live: &LiveConnections,
    ) -> io::Result<Self> {
        let presented = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = presented.map(|der| Certificate::of_der(der)).transpose();
        let certificate =
            certificate.map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
        let certificate = certificate.map(Arc::new);
        let peer = Peer { certificate, address };
        let entry = live.enter(&peer)?;
        Ok(Self { tls, peer, entry, ended: false })
    }

    /// Whether it may go on; the task is woken when it may not.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended {
            self.ended = self.entry.ended.as_mut().poll(cx).is_ready();
        }
        if self.ended {
            let message = "its time is over: the certificate has expired, its holder may no longer call, or it had none";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    // Without this, the head of each HTTP/2 frame is a record of TLS and a system call of its own.
    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
