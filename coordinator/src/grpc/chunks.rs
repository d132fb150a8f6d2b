//! The answer to a download as it is sent. tonic's encoder copies each message into a buffer of its own; here the bytes
//! of a chunk go to the connection as they are, behind the few that frame them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use eosfed_proto::v1::DownloadResponse;
use http::HeaderMap;
use http_body::Frame;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tokio::sync::mpsc;
use tokio_stream::Empty;
use tonic::body::Body;
use tonic::{Response, Status};

/// The number of the field `chunk` in [`DownloadResponse`].
const CHUNK_FIELD: u32 = 1;

/// What goes before a chunk of so many bytes: gRPC's five bytes in front of a message, and the head of its only field.
fn head(chunk: usize) -> Bytes {
    let message = key_len(CHUNK_FIELD) + encoded_len_varint(chunk as u64) + chunk;
    let mut head = BytesMut::with_capacity(16);
    head.put_u8(0);
    head.put_u32(message as u32);
    encode_key(CHUNK_FIELD, WireType::LengthDelimited, &mut head);
    encode_varint(chunk as u64, &mut head);
    head.freeze()
}

/// Chunks as the body of an answer, each as a [`DownloadResponse`].
struct Chunks {
    receiver: mpsc::Receiver<Result<Bytes, Status>>,
    /// The chunk whose head was sent.
    chunk: Option<Bytes>,
    ended: bool,
}

impl Chunks {
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(chunk) = self.chunk.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(self.receiver.poll_recv(cx)) {
            Some(Ok(chunk)) => {
                let head = head(chunk.len());
                self.chunk = Some(chunk);
                Poll::Ready(Some(Ok(Frame::data(head))))
            }
            Some(Err(status)) => self.end(&status),
            None => self.end(&Status::ok("")),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// The place of an answer's chunks beside the answer, until [`sent_as_they_are`].
#[derive(Clone)]
struct Beside(Arc<Mutex<Option<Chunks>>>);

/// An answer whose messages are these chunks; the stream of messages that tonic encodes is empty.
pub(super) fn answer(receiver: mpsc::Receiver<Result<Bytes, Status>>) -> Response<Empty<Encoded>> {
    let chunks = Chunks { receiver, chunk: None, ended: false };
    let mut answer = Response::new(tokio_stream::empty());
    answer.extensions_mut().insert(Beside(Arc::new(Mutex::new(Some(chunks)))));
    answer
}

/// What tonic would encode.
pub(super) type Encoded = Result<DownloadResponse, Status>;

/// The same answer, whose body are the chunks beside it, if there are any.
pub(super) fn sent_as_they_are(mut answer: http::Response<Body>) -> http::Response<Body> {
    let beside = answer.extensions_mut().remove::<Beside>();
    match beside.and_then(|Beside(chunks)| chunks.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        Some(chunks) => answer.map(|_| Body::new(chunks)),
        None => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;
    use prost::Message as _;

    use super::*;

    /// The bytes of the body of an answer, and its trailers.
    async fn sent(chunks: Vec<Result<Bytes, Status>>) -> (Vec<u8>, HeaderMap) {
        let (sender, receiver) = mpsc::channel(8);
        for chunk in chunks {
            sender.try_send(chunk).unwrap();
        }
        drop(sender);
        let (_, body, extensions) = answer(receiver).into_parts();
        drop(body);
        let mut encoded = http::Response::new(Body::default());
        *encoded.extensions_mut() = extensions;
        let mut body = sent_as_they_are(encoded).into_body();
        let mut bytes = Vec::new();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => {
                    assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_none());
                    return (bytes, frame.into_trailers().unwrap());
                }
            }
        }
    }

    /// A message as gRPC frames it, by prost's own encoder.
    fn encoded(chunk: &Bytes) -> Vec<u8> {
        let message = DownloadResponse { chunk: chunk.clone() }.encode_to_vec();
        [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat()
    }

    #[tokio::test]
    async fn chunks_are_the_messages_that_the_encoder_would_make() {
        let chunks = [1, 127, 128, 16_383, 16_384, 131_072, 2_100_000].map(|size| Bytes::from(vec![7; size]));
        let (bytes, trailers) = sent(chunks.iter().cloned().map(Ok).collect()).await;
        assert!(bytes == chunks.iter().flat_map(encoded).collect::<Vec<_>>());
        assert_eq!(trailers["grpc-status"], "0");
    }

    #[tokio::test]
    async fn a_failure_between_chunks_is_the_status_of_the_answer() {
        let chunk = Bytes::from_static(b"chunk");
        let (bytes, trailers) = sent(vec![Ok(chunk.clone()), Err(Status::data_loss("a disk"))]).await;
        assert_eq!(bytes, encoded(&chunk));
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"15".parse().unwrap(), &"a%20disk".parse().unwrap())
        );
    }

    #[test]
    fn other_answers_stay() {
        let answer = sent_as_they_are(http::Response::new(Body::new("answer".to_owned())));
        assert_eq!(answer.body().size_hint().exact(), Some(6));
    }
}
