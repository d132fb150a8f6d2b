//! Calling what is asynchronous, and never waits, without a runtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The answer of a future that is ready at once, as those of the embedded stores and of an engine on
/// them are: they block instead of waiting. For tests and simulations, which need no runtime with it.
///
/// # Panics
/// If the future waits for something.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the future waits for something; it needs a runtime"),
    }
}
