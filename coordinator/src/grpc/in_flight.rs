//! How many calls a member has at a time, on all of its connections together: each holds memory for its
//! message and its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eosfed_common::identity::Identity;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::body::observed;
use tonic::body::Body;

/// Most calls of one member at a time. A daemon has at most four, a command one.
const MAX_CALLS: usize = 256;

/// The calls under way of each member; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<BTreeMap<Identity, usize>>>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Identity, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call of a member.
    ///
    /// # Errors
    /// If it has as many as it may have.
    pub(super) fn enter(&self, member: &Identity) -> Result<Call, Refusal> {
        let mut calls = self.lock();
        let number = calls.entry(member.clone()).or_default();
        if *number >= MAX_CALLS {
            let message =
                format!("a member may have {MAX_CALLS} calls at a time, and {} has them", member.shown());
            return Err(Refusal::new(Reason::Unavailable, message));
        }
        *number += 1;
        drop(calls);
        Ok(Call { calls: self.clone(), member: member.clone() })
    }
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    calls: InFlight,
    member: Identity,
}

impl Call {
    /// The body of the call's answer, with which the call ends.
    pub(super) fn until_answered(self, body: Body) -> Body {
        observed(body, self, |_, _| {})
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.calls.lock();
        if let Some(number) = calls.get_mut(&self.member) {
            *number -= 1;
            if *number == 0 {
                calls.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_member_are_limited_and_end_with_their_answers() {
        let calls = InFlight::default();
        let member = |name: &str| Identity::institution(name.parse().unwrap());
        let mut held: Vec<_> = (0..MAX_CALLS).map(|_| calls.enter(&member("west")).unwrap()).collect();
        assert_eq!(calls.enter(&member("west")).unwrap_err().reason, Reason::Unavailable);
        drop(calls.enter(&member("east")).unwrap());
        let body = held.pop().unwrap().until_answered(Body::new("answer".to_owned()));
        assert!(calls.enter(&member("west")).is_err(), "its answer is under way");
        drop(body);
        held.push(calls.enter(&member("west")).unwrap());
        drop(held);
        assert!(calls.lock().is_empty());
    }
}
