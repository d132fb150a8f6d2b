//! What an institution shares of its policy.

use eosfed_common::clock::Timestamp;
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::Refusal;
use serde::{Deserialize, Serialize};

use super::stated::{WINDOW, not_too_often};

/// What an institution shares of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPolicy {
    /// When it shared this.
    pub at: Timestamp,
    /// The summary.
    pub signed: SignedPolicySummary,
    /// When it shared the summaries before, within [`WINDOW`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Timestamp>,
}

impl SharedPolicy {
    /// What is known after a summary; the same if it is the known one.
    ///
    /// # Errors
    /// [`Reason::Unavailable`](eosfed_common::refusal::Reason::Unavailable) after too many other summaries in an hour: each is an event.
    pub fn after(
        before: Option<&Self>,
        signed: SignedPolicySummary,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let Some(before) = before else { return Ok(Self { at: now, signed, earlier: Vec::new() }) };
        if before.signed == signed {
            return Ok(before.clone());
        }
        // The clock may have been set back.
        let at = now.max(before.at);
        let all = before.earlier.iter().chain([&before.at]);
        let earlier: Vec<_> = all.copied().filter(|one| at.since(*one) < WINDOW).collect();
        not_too_often("summaries of a policy", earlier.len())?;
        Ok(Self { at, signed, earlier })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eosfed_common::refusal::Reason;
    use eosfed_testkit::policy_summaries::signed;

    use super::*;
    use crate::domain::stated::MOST;
    use crate::testing::NOW;

    #[test]
    fn summaries_that_change_too_often_are_taken_later() {
        let mut known = SharedPolicy::after(None, signed("west", 1), NOW).unwrap();
        assert_eq!(SharedPolicy::after(Some(&known), signed("west", 1), NOW).unwrap(), known);
        for epochs in 2..=MOST as u32 {
            known = SharedPolicy::after(Some(&known), signed("west", epochs), NOW).unwrap();
        }
        let refusal = SharedPolicy::after(Some(&known), signed("west", 99), NOW).unwrap_err();
        assert!(refusal.reason == Reason::Unavailable && refusal.message.contains("found 10"), "{refusal}");
        let later = NOW.plus(WINDOW + Duration::from_secs(1));
        let known = SharedPolicy::after(Some(&known), signed("west", 99), later).unwrap();
        assert_eq!((known.at, known.earlier.len()), (later, 0));
    }
}
