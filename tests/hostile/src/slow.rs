//! A message of a call that announces many bytes and sends them slowly.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::Frame;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

/// Bytes of each piece.
const PIECE: usize = 1024;
/// Time between two pieces.
const INTERVAL: Duration = Duration::from_secs(1);

/// Calls a method, such as `/eosfed.v1.Participant/Hello`, with a message of so many bytes that arrives
/// slowly. Gives the code of the answer.
pub(crate) async fn call(channel: &mut Channel, method: &str, bytes: u32) -> anyhow::Result<Code> {
    let request = http::Request::post(format!("https://coordinator{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Dribble::new(bytes)))?;
    let answer = channel.ready().await?.call(request).await?;
    let status = answer.headers().get("grpc-status").context("an answer before the whole message")?;
    Ok(Code::from_bytes(status.as_bytes()))
}

/// A message in small pieces.
struct Dribble(std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Bytes> + Send>>);

impl Dribble {
    fn new(bytes: u32) -> Self {
        let mut head = BytesMut::with_capacity(5);
        head.put_u8(0);
        head.put_u32(bytes);
        let pieces = bytes as usize / PIECE + 1;
        let rest = tokio_stream::iter(0..pieces).map(|_| Bytes::from_static(&[0; PIECE])).throttle(INTERVAL);
        Self(Box::pin(tokio_stream::once(head.freeze()).chain(rest)))
    }
}

impl http_body::Body for Dribble {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.as_mut().poll_next(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
