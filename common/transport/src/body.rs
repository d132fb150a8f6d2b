//! The body of a message, with something that sees its frames and lives as long as it does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// The same body, of which `see` is given each frame that arrives, together with `observer`, which is dropped with
/// the body.
pub fn observed<O>(body: Body, observer: O, see: fn(&mut O, &Frame<Bytes>)) -> Body
where
    O: Send + Unpin + 'static,
{
    Body::new(Observed { body, observer, see })
}

struct Observed<O> {
    body: Body,
    observer: O,
    see: fn(&mut O, &Frame<Bytes>),
}

impl<O: Unpin> http_body::Body for Observed<O> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let Self { observer, see, .. } = &mut *self;
            see(observer, frame);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
