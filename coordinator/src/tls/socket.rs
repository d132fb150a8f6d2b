//! A TCP connection that is read in large pieces. TLS asks for 4 KiB at a time, which for an upload of many megabytes
//! would be one system call for each.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Most bytes that are read at once and wait to be decrypted: two records of TLS.
const AHEAD: usize = 32 << 10;

/// A TCP connection. What was read and not taken yet waits in memory; a connection on which nothing arrives has none.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    ahead: BytesMut,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: BytesMut::new() }
    }

    /// Reads as much as there is, up to [`AHEAD`] bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.ahead.reserve(AHEAD);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.ahead);
        if read.is_pending() {
            self.ahead = BytesMut::new();
        }
        read
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && ready!(self.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let taken = buf.remaining().min(self.ahead.len());
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A socket and its other end.
    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::new(listener.accept().await.unwrap().0), other)
    }

    #[tokio::test]
    async fn bytes_arrive_in_their_order_and_none_waits_for_longer_than_it_is_read() {
        let (mut socket, mut other) = pair().await;
        let sent: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let writing = async {
            other.write_all(&sent).await.unwrap();
            other.shutdown().await.unwrap();
        };
        let reading = async {
            let (mut found, mut piece) = (Vec::new(), [0; 777]);
            loop {
                let read = socket.read(&mut piece).await.unwrap();
                assert!(socket.ahead.len() <= AHEAD, "{}", socket.ahead.len());
                if read == 0 {
                    return found;
                }
                found.extend_from_slice(&piece[..read]);
            }
        };
        assert!(tokio::join!(writing, reading).1 == sent);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_arrives_holds_no_memory() {
        let (mut socket, mut other) = pair().await;
        other.write_all(b"ab").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'a');
        assert!(socket.ahead.capacity() > 0);
        assert_eq!(socket.read_u8().await.unwrap(), b'b');
        let nothing = std::future::poll_fn(|cx| {
            let pending = Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_pending();
            Poll::Ready(pending)
        });
        assert!(nothing.await);
        assert_eq!(socket.ahead.capacity(), 0);
    }

    #[tokio::test]
    async fn several_pieces_are_written_at_once() {
        let (mut socket, mut other) = pair().await;
        assert!(socket.is_write_vectored());
        let pieces = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        let written = std::future::poll_fn(|cx| Pin::new(&mut socket).poll_write_vectored(cx, &pieces));
        assert_eq!(written.await.unwrap(), 8);
        let mut found = [0; 8];
        other.read_exact(&mut found).await.unwrap();
        assert_eq!(&found, b"headbody");
    }
}
