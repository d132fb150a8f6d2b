//! Which key a member's certificates may have. A certificate proves that the authority has signed it once;
//! the key says whether it is the present one. A key is known by the SHA-256 of its public half.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

use super::{Member, Revocation};

/// How long a key still counts after the first use of the key that a renewal has put in its place: calls
/// that are under way may end.
pub const OVERLAP: Duration = Duration::from_secs(600);

/// A key, as a certificate presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// SHA-256 of the SubjectPublicKeyInfo, DER.
    pub fingerprint: Digest,
    /// When the certificate expires.
    pub expires_at: Timestamp,
    /// SHA-256 of the name of the authority that has signed the certificate. Absent in records of before it
    /// was kept.
    #[serde(default)]
    pub authority: Option<Digest>,
}

/// A key that another one has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// SHA-256 of the SubjectPublicKeyInfo, DER.
    pub fingerprint: Digest,
    /// Until when it counts.
    pub until: Timestamp,
}

/// The keys of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The key that is used.
    pub current: Key,
    /// The key of a renewal. It takes the place of the current one when it is first used, so that a member
    /// whose answer got lost goes on with the key that it has.
    pub renewed: Option<Key>,
    /// The key before the current one.
    pub replaced: Option<Replaced>,
}

impl Keys {
    /// A first key.
    #[must_use]
    pub const fn new(current: Key) -> Self {
        Self { current, renewed: None, replaced: None }
    }
}

/// What a key is to its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// The key that is used.
    Current,
    /// The key before it, which still counts for a moment. It renews nothing.
    Replaced,
    /// The key of a renewal, used for the first time.
    Renewed,
    /// The first key that is seen of a member that has enrolled before the coordinator kept keys.
    First,
}

impl Member {
    /// What a presented key is to this member.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`], with what to do, if the member is not enrolled, its access was taken
    /// back, the certificate has expired, or the key is not one of its keys.
    pub fn key_status(&self, key: &Key, now: Timestamp) -> Result<KeyStatus, Refusal> {
        let identity = self.identity();
        if let Some(revoked) = &self.revoked {
            return Err(taken_back(&identity, revoked));
        }
        let Some(enrolment) = &self.enrolment else { return Err(not_enrolled(&identity)) };
        if now >= key.expires_at {
            return Err(expired(&identity, key.expires_at));
        }
        let Some(Keys { current, renewed, replaced }) = &enrolment.keys else { return Ok(KeyStatus::First) };
        if current.fingerprint == key.fingerprint {
            Ok(KeyStatus::Current)
        } else if renewed.is_some_and(|renewed| renewed.fingerprint == key.fingerprint) {
            Ok(KeyStatus::Renewed)
        } else if replaced.is_some_and(|old| old.fingerprint == key.fingerprint && now < old.until) {
            Ok(KeyStatus::Replaced)
        } else {
            Err(other_key(&identity))
        }
    }

    /// Notes a key that is used for the first time; nothing changes for one that is in use.
    ///
    /// # Errors
    /// As [`Member::key_status`].
    pub fn use_key(&self, key: Key, now: Timestamp) -> Result<Self, Refusal> {
        let keys = match self.key_status(&key, now)? {
            KeyStatus::Current | KeyStatus::Replaced => return Ok(self.clone()),
            KeyStatus::First => Keys::new(key),
            KeyStatus::Renewed => {
                let old = self.enrolment.as_ref().and_then(|done| done.keys.as_ref());
                let replaced = old
                    .map(|old| Replaced { fingerprint: old.current.fingerprint, until: now.plus(OVERLAP) });
                Keys { replaced, ..Keys::new(key) }
            }
        };
        Ok(self.with_keys(keys))
    }

    /// Adds the key of a renewal, which a call with the key in use has asked for. It replaces one that was
    /// never used.
    ///
    /// # Errors
    /// As [`Member::key_status`]; also if the call was made with a key that was replaced.
    pub fn renew(&self, used: Key, renewed: Key, now: Timestamp) -> Result<Self, Refusal> {
        if self.key_status(&used, now)? == KeyStatus::Replaced {
            let message = format!(
                "the certificate of {} was renewed already; use the new one, or ask an operator to `re-enrol`",
                self.identity().shown()
            );
            return Err(Refusal::new(Reason::Unauthenticated, message));
        }
        let before = self.use_key(used, now)?;
        let keys = before.enrolment.as_ref().and_then(|done| done.keys.clone());
        let keys = keys.unwrap_or_else(|| Keys::new(used));
        let keys = if keys.current.fingerprint == renewed.fingerprint {
            Keys { current: renewed, renewed: None, ..keys }
        } else {
            Keys { renewed: Some(renewed), ..keys }
        };
        Ok(before.with_keys(keys))
    }

    fn with_keys(&self, keys: Keys) -> Self {
        let mut member = self.clone();
        if let Some(enrolment) = &mut member.enrolment {
            enrolment.keys = Some(keys);
        }
        member
    }
}

/// What an operator types to let somebody back in.
fn re_enrol(Identity { role, name }: &Identity) -> String {
    format!("`eosfed {role} re-enrol {name}`")
}

/// The refusal of somebody whom nobody has enrolled.
#[must_use]
pub fn not_enrolled(identity: &Identity) -> Refusal {
    let message = format!("{} is not enrolled here; join with a token of an operator", identity.shown());
    Refusal::new(Reason::Unauthenticated, message)
}

fn taken_back(identity: &Identity, revoked: &Revocation) -> Refusal {
    let Revocation { at, reason, .. } = revoked;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let message = format!(
        "the access of {} was revoked at {at}{why}; ask an operator for a token ({}) and join with it. The \
         state folder can be kept",
        identity.shown(),
        re_enrol(identity)
    );
    Refusal::new(Reason::Unauthenticated, message)
}

fn expired(identity: &Identity, at: Timestamp) -> Refusal {
    let message = format!(
        "the certificate of {} has expired at {at}; ask an operator for a token ({}) and join with it. The \
         state folder can be kept",
        identity.shown(),
        re_enrol(identity)
    );
    Refusal::new(Reason::Unauthenticated, message)
}

fn other_key(identity: &Identity) -> Refusal {
    let message = format!(
        "{} is enrolled with another key than the one of this certificate; if this certificate is the right \
         one, ask an operator for a token ({}): somebody else may have the other key",
        identity.shown(),
        re_enrol(identity)
    );
    Refusal::new(Reason::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn key(of: u8) -> Key {
        Key { fingerprint: Digest::of(&[of]), expires_at: NOW.plus(DAY), authority: None }
    }

    fn west(of: Option<u8>) -> Member {
        Member::enrolled(Identity::institution("west".parse().unwrap()), of.map(key), NOW)
    }

    #[test]
    fn only_the_enrolled_key_counts_and_only_until_its_certificate_expires() {
        let west = west(Some(1));
        assert_eq!(west.key_status(&key(1), NOW), Ok(KeyStatus::Current));
        let other = west.key_status(&key(2), NOW).unwrap_err();
        assert!(
            other.reason == Reason::Unauthenticated && other.message.contains("re-enrol west"),
            "{other}"
        );
        let late = west.key_status(&key(1), NOW.plus(DAY)).unwrap_err();
        assert!(late.message.contains("has expired"), "{late}");
        let unknown = Member::unknown(west.identity()).key_status(&key(1), NOW).unwrap_err();
        assert!(unknown.message.contains("not enrolled"), "{unknown}");
    }

    #[test]
    fn who_has_enrolled_before_keys_were_kept_is_bound_to_the_first_key_that_it_uses() {
        let bound = west(None).use_key(key(1), NOW).unwrap();
        assert_eq!(bound.key_status(&key(1), NOW), Ok(KeyStatus::Current));
        assert!(bound.key_status(&key(2), NOW).is_err());
    }

    #[test]
    fn a_renewed_key_replaces_the_old_one_when_it_is_first_used() {
        let renewed = west(Some(1)).renew(key(1), key(2), NOW).unwrap();
        // The answer is lost: the old key goes on, and renews again.
        assert_eq!(renewed.key_status(&key(1), NOW), Ok(KeyStatus::Current));
        let again = renewed.renew(key(1), key(3), NOW).unwrap();
        assert!(again.key_status(&key(2), NOW).is_err(), "it was never used");
        let used = again.use_key(key(3), NOW).unwrap();
        assert_eq!(used.key_status(&key(1), NOW), Ok(KeyStatus::Replaced));
        assert!(used.renew(key(1), key(4), NOW).is_err(), "a replaced key renews nothing");
        assert!(used.key_status(&key(1), NOW.plus(OVERLAP)).is_err());
        assert_eq!(used.key_status(&key(3), NOW.plus(OVERLAP)), Ok(KeyStatus::Current));
    }

    proptest! {
        /// Whatever is renewed and used in whatever order: a key that counts was asked for with a key that
        /// counted at that time, and at most three count at once.
        #[test]
        fn no_key_counts_that_no_key_in_use_has_asked_for(steps in prop::collection::vec((0..6_u8, 0..6_u8, 0..900_u64), 0..40)) {
            let (mut west, mut now) = (west(Some(0)), NOW);
            let mut asked = vec![0];
            for (by, fresh, later) in steps {
                now = now.plus(Duration::from_secs(later));
                if let Ok(after) = west.renew(key(by), key(fresh), now) {
                    prop_assert!(asked.contains(&by));
                    asked.push(fresh);
                    west = after;
                }
                if let Ok(after) = west.use_key(key(fresh), now) {
                    west = after;
                }
                let counting: Vec<u8> = (0..6).filter(|of| west.key_status(&key(*of), now).is_ok()).collect();
                prop_assert!(counting.len() <= 3 && counting.iter().all(|of| asked.contains(of)));
            }
        }
    }
}
