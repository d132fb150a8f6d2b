//! The ablations of heads over releases.

use eosfed_common::ablation::Ablation;
use eosfed_common::canonical::digest_of;
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::refusal::Refusal;

use super::Federation;
use crate::domain::ablation::{self, RecordedAblation};
use crate::domain::change::Change;

impl Federation {
    /// Takes the ablation of a head over a release; gives when it was first recorded. It replaces the one with
    /// the same name; a repeated one changes nothing.
    ///
    /// # Errors
    /// If there is no such release; as [`ablation::check`].
    pub fn record_ablation(
        &self,
        ablation: Ablation,
        by: InstitutionName,
        now: Timestamp,
    ) -> Result<(Timestamp, Change), Refusal> {
        let registry = &self.registry;
        let release = registry.release(Some(ablation.release))?;
        ablation::check(&ablation, &release.manifest, &registry.ablations)?;
        let recorded = RecordedAblation { at: now, by: by.clone(), ablation };
        if let Some(known) = registry.ablations.get(&recorded.key())
            && known.ablation == recorded.ablation
        {
            return Ok((known.at, Change::default()));
        }
        let Ablation { release, head, metric, .. } = &recorded.ablation;
        let kind = EventKind::AblationRecorded {
            release: *release,
            head: head.clone(),
            metric: metric.clone(),
            ablation: digest_of(&recorded.ablation),
        };
        let events = vec![Entry::new(Actor::Operator(by), kind)];
        Ok((now, Change { ablations: vec![recorded], events, ..Change::default() }))
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_common::ids::ReleaseNumber;
    use eosfed_common::refusal::Reason;
    use eosfed_testkit::releases;

    use super::*;
    use crate::domain::ablation::{MAX_ABLATIONS, of_release};
    use crate::domain::registry::Release;
    use crate::testing::{NOW, name};

    /// The release of the kit, and a second one of the same specialist.
    fn federation() -> Federation {
        let mut federation = Federation::default();
        let first = releases::release();
        let second = eosfed_common::card::ReleaseManifest {
            number: ReleaseNumber(first.number.0 + 1),
            ..first.clone()
        };
        let releases = [first, second].map(|manifest| Release { manifest, key: None }).to_vec();
        federation.merge(Change { releases, ..Change::default() });
        federation
    }

    fn record(federation: &mut Federation, ablation: Ablation, now: Timestamp) -> Result<Change, Refusal> {
        let (_, change) = federation.record_ablation(ablation, name("admin"), now)?;
        federation.merge(change.clone());
        Ok(change)
    }

    #[test]
    fn an_ablation_is_recorded_once_and_replaced_by_name() {
        let mut federation = federation();
        let good = releases::ablation();
        let change = record(&mut federation, good.clone(), NOW).unwrap();
        assert!(matches!(&change.events[..], [one] if one.actor == Actor::Operator(name("admin"))
            && matches!(&one.kind, EventKind::AblationRecorded { head, .. } if head == "top5")));
        let later = Timestamp(NOW.0 + 5);
        let (at, change) = federation.record_ablation(good.clone(), name("bob"), later).unwrap();
        assert_eq!((at, change), (NOW, Change::default()), "a repeated one changes nothing");
        let other = Ablation { samples: 41, ..good };
        record(&mut federation, other, later).unwrap();
        let samples: Vec<_> =
            federation.registry.ablations.values().map(|one| one.ablation.samples).collect();
        assert_eq!(samples, [41]);
    }

    #[test]
    fn an_ablation_is_about_specialists_of_its_release() {
        let mut federation = federation();
        let none = Ablation { release: ReleaseNumber(99), ..releases::ablation() };
        assert_eq!(record(&mut federation, none, NOW).unwrap_err().reason, Reason::NotFound);
        let mut stranger = releases::ablation();
        stranger.without.push(stranger.without[0].clone());
        stranger.without[1].weights = Digest::of(b"stranger");
        let refused = record(&mut federation, stranger, NOW).unwrap_err();
        let named = Digest::of(b"stranger").to_string();
        assert!(refused.reason == Reason::Malformed && refused.message.contains(&named), "{refused}");
        let mut twice = releases::ablation();
        twice.without.push(twice.without[0].clone());
        let refused = record(&mut federation, twice, NOW).unwrap_err();
        assert!(refused.message.contains("twice"), "{refused}");
        assert!(federation.registry.ablations.is_empty());
    }

    #[test]
    fn a_release_has_a_bounded_number_of_ablations() {
        let mut federation = federation();
        let named = |at: usize| Ablation { head: format!("head-{at}"), ..releases::ablation() };
        for at in 0..MAX_ABLATIONS {
            record(&mut federation, named(at), NOW).unwrap();
        }
        let refused = record(&mut federation, named(MAX_ABLATIONS), NOW).unwrap_err();
        assert!(
            refused.reason == Reason::WrongState && refused.message.contains("`head-0`, `head-1`"),
            "{refused}"
        );
        record(&mut federation, Ablation { samples: 7, ..named(3) }, NOW).unwrap();
        let second = ReleaseNumber(releases::release().number.0 + 1);
        record(&mut federation, Ablation { release: second, ..named(MAX_ABLATIONS) }, NOW).unwrap();
        let count = |release| of_release(&federation.registry.ablations, release).count();
        assert_eq!((count(releases::release().number), count(second)), (MAX_ABLATIONS, 1));
    }
}
