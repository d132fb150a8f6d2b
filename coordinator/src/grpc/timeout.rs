//! How long a caller may take to send its message. The body of a call must arrive in time, and that of
//! an upload must not stop arriving; otherwise a caller could hold memory and a connection for ever. How long
//! the coordinator takes for its answer is not limited here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Time for the whole message of a call, and between two pieces of an upload.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The method whose body may take as long as it moves.
const UPLOAD: &str = "/eosfed.v1.Blobs/Upload";

/// Puts [`Timed`] before services.
#[derive(Debug, Clone)]
pub(super) struct TimeoutLayer;

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(inner)
    }
}

/// A service whose callers have to send their messages in time.
#[derive(Debug, Clone)]
pub(super) struct Timed<S>(S);

impl<S> Service<http::Request<Body>> for Timed<S>
where
    S: Service<http::Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let moves = request.uri().path() == UPLOAD;
        self.0.call(request.map(|body| Body::new(TimedBody::new(body, moves))))
    }
}

/// A body that fails when its time is over.
struct TimedBody {
    inner: Body,
    /// Whether each piece has its own time.
    renewed: bool,
    timeout: Pin<Box<Sleep>>,
}

impl TimedBody {
    fn new(inner: Body, renewed: bool) -> Self {
        Self { inner, renewed, timeout: Box::pin(sleep(BODY_TIMEOUT)) }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if self.renewed {
                self.timeout.as_mut().reset(Instant::now() + BODY_TIMEOUT);
            }
            return Poll::Ready(frame);
        }
        if self.timeout.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let seconds = BODY_TIMEOUT.as_secs();
        Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
            "the message must arrive within {seconds} s"
        )))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use std::collections::VecDeque;
    use std::future::poll_fn;

    /// A body whose pieces arrive after these times.
    struct Slow(VecDeque<Pin<Box<Sleep>>>);

    impl http_body::Body for Slow {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let Some(next) = self.0.front_mut() else { return Poll::Ready(None) };
            if next.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.0.pop_front();
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    /// The bytes that arrive, and how it ends.
    async fn received(every: Duration, pieces: u32, renewed: bool) -> (usize, Result<(), tonic::Code>) {
        let slow = (1..=pieces).map(|piece| Box::pin(sleep(every * piece))).collect();
        let mut body = TimedBody::new(Body::new(Slow(slow)), renewed);
        let mut bytes = 0;
        loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                None => return (bytes, Ok(())),
                Some(Ok(_)) => bytes += 1,
                Some(Err(status)) => return (bytes, Err(status.code())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_dribbles_is_given_up_and_an_upload_that_moves_is_not() {
        let late = Err(tonic::Code::DeadlineExceeded);
        assert_eq!(received(Duration::from_secs(9), 6, false).await, (6, Ok(())));
        assert_eq!(received(Duration::from_secs(9), 100, false).await, (6, late));
        assert_eq!(received(Duration::from_secs(59), 100, true).await, (100, Ok(())));
        assert_eq!(received(Duration::from_secs(61), 100, true).await, (0, late));
    }
}
