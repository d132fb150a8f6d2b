//! The place in a trace that the calls of a program belong to.

use std::sync::{Arc, Mutex, PoisonError};

use eosfed_common::trace::TraceContext;

/// The present place, which changes with the work. Clones share it; without one, calls belong to no trace.
#[derive(Debug, Clone, Default)]
pub struct TraceSlot(Arc<Mutex<Option<TraceContext>>>);

impl TraceSlot {
    /// Calls from now on belong there.
    pub fn set(&self, context: Option<TraceContext>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    /// Where calls belong now.
    #[must_use]
    pub fn get(&self) -> Option<TraceContext> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
