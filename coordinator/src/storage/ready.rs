//! Calling asynchronous functions that never wait, without a runtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The result of a future that is ready at once. The futures of the embedded stores, and of an engine on
/// them, block instead of waiting. Tests and simulations need no runtime with this.
///
/// # Panics
/// If the future waits for something.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the future waits for something; it needs a runtime"),
    }
}
