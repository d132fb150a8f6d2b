//! What updates have spent of the privacy budget: the record in `privacy.json`, held against the site log,
//! which says what was sent. A record that lacks an update of the log is not believed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use eosfed_common::digest::Digest;
use eosfed_common::ledger::Event;

use crate::privacy::{Charge, Mechanism, Spending};
use crate::site::{Site, SiteError};
use crate::site_log::{Entry, EntryKind, Follower, NoisedUpdate, SiteLogError, verify};

/// Why what was spent is not known.
#[derive(Debug, thiserror::Error)]
pub enum SpentError {
    /// The record cannot be read or written.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site log cannot be read.
    #[error(transparent)]
    Log(#[from] SiteLogError),
    /// The record lacks updates that the site log has.
    #[error(
        "{path} has {recorded} updates with noise, and the site log has {logged} that were sent, of which \
         {missing} are missing from it; what was sent stays sent, so nothing that needs the record is \
         sent. Restore it from a backup, or make it again from the log: stop the daemon and run \
         `eosfed-client privacy rebuild --state {state}`",
        path = path.display(),
        state = state.display()
    )]
    Fewer {
        /// The record.
        path: PathBuf,
        /// The state folder.
        state: PathBuf,
        /// The updates in the record.
        recorded: usize,
        /// The updates with noise in the log that began to be sent.
        logged: usize,
        /// Those of them that the record lacks.
        missing: usize,
    },
    /// The site log does not hold enough.
    #[error("the record of spent privacy cannot be made again: {0}")]
    NotEnough(String),
}

/// The record and the log of a site. It reads the log on each time, from where it has read before.
#[derive(Debug)]
pub struct Spent {
    site: Site,
    follower: Follower,
    /// The updates with noise in the log, in its order.
    noised: Vec<Noised>,
    /// The digests of weights that began to be sent.
    sent: BTreeSet<Digest>,
}

/// An update in the log.
#[derive(Debug)]
struct Noised {
    event: u64,
    digest: Digest,
    /// Absent if the entry does not hold enough.
    charge: Option<Charge>,
}

/// A record that was made again.
#[derive(Debug)]
pub struct Rebuilt {
    /// The record.
    pub spending: Spending,
    /// How many updates of it were missing before.
    pub added: usize,
}

impl Spent {
    /// The record and the log of this site; nothing is read yet.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        let follower = Follower::new(&site.log());
        Self { site: site.clone(), follower, noised: Vec::new(), sent: BTreeSet::new() }
    }

    /// What updates have spent.
    ///
    /// # Errors
    /// If the record or the log cannot be read, or the record lacks an update that the log says was sent.
    pub fn spending(&mut self) -> Result<Spending, SpentError> {
        self.read_on()?;
        let spending = self.site.spending()?;
        let recorded: BTreeSet<_> = spending.updates().iter().map(|charge| charge.digest).collect();
        let logged: BTreeSet<_> = self
            .noised
            .iter()
            .map(|noised| noised.digest)
            .filter(|digest| self.sent.contains(digest))
            .collect();
        let missing = logged.difference(&recorded).count();
        if missing == 0 {
            return Ok(spending);
        }
        Err(SpentError::Fewer {
            path: self.site.spending_file(),
            state: self.site.path().to_owned(),
            recorded: spending.updates().len(),
            logged: logged.len(),
            missing,
        })
    }

    /// Makes the record again: what it has, and every update with noise of the log. A record that is damaged
    /// counts as empty. The caller holds the lock of the state folder.
    ///
    /// # Errors
    /// If the log is broken, lacks its oldest entries and not `incomplete`, or holds too little of an update.
    pub fn rebuild(&mut self, incomplete: bool) -> Result<Rebuilt, SpentError> {
        let oldest = verify(&self.site.log(), None)?.oldest;
        if oldest > 0 && !incomplete {
            let message = format!(
                "the site log begins with entry {oldest}, since older files were removed, and what they held of \
                 updates is not known; restore privacy.json from a backup, or add `--incomplete` to count what the \
                 log still has"
            );
            return Err(SpentError::NotEnough(message));
        }
        self.read_on()?;
        let mut spending = match self.site.spending() {
            Err(SiteError::Invalid { .. }) => Spending::default(),
            read => read?,
        };
        let mut recorded: BTreeSet<_> = spending.updates().iter().map(|charge| charge.digest).collect();
        let mut added = 0;
        for Noised { event, digest, charge } in &self.noised {
            if !recorded.insert(*digest) {
                continue;
            }
            let Some(charge) = charge else {
                let message = format!("entry {event} of the site log does not say how much noise was added");
                return Err(SpentError::NotEnough(message));
            };
            spending.add(charge.clone());
            added += 1;
        }
        spending.check().map_err(SpentError::NotEnough)?;
        self.site.replace_spending(&spending)?;
        Ok(Rebuilt { spending, added })
    }

    fn read_on(&mut self) -> Result<(), SiteLogError> {
        let Self { follower, noised, sent, site: _ } = self;
        follower.each(|line| {
            // Most entries are of other kinds.
            if !(line.contains("noise_added") || line.contains("\"sending\"")) {
                return;
            }
            let Ok(event) = serde_json::from_str::<Event<Entry>>(line) else { return };
            match &event.entry.kind {
                EntryKind::NoiseAdded { digest, update, .. } => {
                    let charge = update.as_ref().and_then(|update| charge(&event, *digest, update));
                    noised.push(Noised { event: event.sequence, digest: *digest, charge });
                }
                EntryKind::Sending(sending) => sent.extend(sending.weights),
                _ => {}
            }
        })
    }
}

/// The charge of an update in the log.
fn charge(event: &Event<Entry>, digest: Digest, update: &NoisedUpdate) -> Option<Charge> {
    let NoisedUpdate { job_name, clip, noise_multiplier, dataset } = update;
    let mechanism = Mechanism { clip: clip.parse().ok()?, noise_multiplier: noise_multiplier.parse().ok()? };
    let assignment = event.entry.assignment.clone()?;
    let dataset = dataset.clone();
    Some(Charge { assignment, job_name: job_name.clone(), mechanism, digest, at: event.at, dataset })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eosfed_common::clock::{ManualClock, Timestamp};

    use super::*;
    use crate::site_log::{Record, Sending, SiteLog, SiteLogSettings};

    const AT: Timestamp = Timestamp(1_795_000_000_000);

    struct World {
        folder: tempfile::TempDir,
        log: SiteLog,
    }

    impl World {
        fn new(settings: SiteLogSettings) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let log = SiteLog::new(&Site::at(folder.path()).log(), settings, Arc::new(ManualClock::new(AT)));
            Self { folder, log }
        }

        fn site(&self) -> Site {
            Site::at(self.folder.path())
        }

        fn spent(&self) -> Spent {
            Spent::new(&self.site())
        }

        /// Charges an update as the daemon does, and sends it.
        fn update(&self, round: u32, noise_multiplier: f64, sent: bool) {
            let charge = charge_of(round, noise_multiplier);
            let Charge { assignment, digest, mechanism, job_name, dataset, at: _ } = charge.clone();
            let update = NoisedUpdate {
                job_name,
                clip: mechanism.clip.to_string(),
                noise_multiplier: mechanism.noise_multiplier.to_string(),
                dataset,
            };
            let kind = EntryKind::NoiseAdded { digest, spending: "some".to_owned(), update: Some(update) };
            self.log.record(Entry::of(&assignment, kind)).unwrap();
            self.site().charge(charge).unwrap();
            if sent {
                let sending = Sending {
                    record: Record::Weights,
                    what: "weights".to_owned(),
                    bytes: Some(5),
                    weights: Some(digest),
                    words: Vec::new(),
                };
                self.log.record(Entry::of(&assignment, EntryKind::Sending(sending))).unwrap();
            }
        }
    }

    fn charge_of(round: u32, noise_multiplier: f64) -> Charge {
        let assignment = format!("j-0a1b2c3d.{round}.1.west");
        Charge {
            digest: Digest::of(assignment.as_bytes()),
            assignment: assignment.parse().unwrap(),
            job_name: "shared".to_owned(),
            mechanism: Mechanism { clip: 0.1, noise_multiplier },
            at: AT,
            dataset: round.checked_sub(1).map(|_| "coast".parse().unwrap()),
        }
    }

    #[test]
    fn a_record_that_lacks_what_was_sent_is_not_believed_until_it_is_made_again() {
        let world = World::new(SiteLogSettings::default());
        let noises = [0.8, 1.0 / 3.0, 1e-3];
        (0..).zip(noises).for_each(|(round, noise)| world.update(round, noise, true));
        let mut open = world.spent();
        let whole = open.spending().unwrap();
        assert_eq!(whole.updates().len(), 3);
        let mut shorter = Spending::default();
        shorter.add(charge_of(0, 0.8));
        for (bytes, recorded, missing) in [(None, 0, 3), (Some(serde_json::to_vec(&shorter).unwrap()), 1, 2)]
        {
            std::fs::remove_file(world.site().spending_file()).unwrap();
            bytes.iter().for_each(|bytes| world.site().write("privacy.json", bytes).unwrap());
            for said in [open.spending(), world.spent().spending()] {
                let said = said.unwrap_err().to_string();
                let numbers = format!(
                    "has {recorded} updates with noise, and the site log has 3 that were sent, of which {missing}"
                );
                assert!(said.contains(&numbers) && said.contains("privacy rebuild --state"), "{said}");
            }
            let Rebuilt { spending, added } = world.spent().rebuild(false).unwrap();
            assert_eq!((&spending, added), (&whole, missing));
            assert_eq!(open.spending().unwrap(), whole);
        }
        world.site().write("privacy.json", b"damaged").unwrap();
        assert_eq!(world.spent().rebuild(false).unwrap().spending, whole);
    }

    /// A crash between the entry and the record; nothing was sent.
    #[test]
    fn an_update_that_was_never_sent_may_be_missing() {
        let world = World::new(SiteLogSettings::default());
        world.update(0, 0.8, false);
        std::fs::remove_file(world.site().spending_file()).unwrap();
        assert_eq!(world.spent().spending().unwrap(), Spending::default());
        // A record made again counts it, to be sure.
        assert_eq!(world.spent().rebuild(false).unwrap().added, 1);
    }

    #[test]
    fn a_log_that_lost_its_oldest_entries_or_is_broken_makes_no_record() {
        let world = World::new(SiteLogSettings { file_mib: 0, files: 2 });
        (0..4).for_each(|round| world.update(round, 0.8, true));
        std::fs::remove_file(world.site().spending_file()).unwrap();
        let said = world.spent().rebuild(false).unwrap_err().to_string();
        assert!(said.contains("begins with entry") && said.contains("--incomplete"), "{said}");
        assert!(!world.site().spending_file().exists());
        assert_eq!(world.spent().rebuild(true).unwrap().spending.updates().len(), 1);
        let world = World::new(SiteLogSettings::default());
        world.update(0, 0.8, true);
        let kept = std::fs::read_dir(world.site().log()).unwrap().map(|it| it.unwrap().path());
        let file = kept.filter(|path| path.extension().is_some()).last().unwrap();
        let text = std::fs::read_to_string(&file).unwrap().replace("0.8", "9.9");
        std::fs::write(&file, text).unwrap();
        assert!(world.spent().rebuild(false).unwrap_err().to_string().contains("was changed"));
    }

    #[test]
    fn an_entry_of_an_earlier_version_is_counted_and_cannot_be_charged_again() {
        let world = World::new(SiteLogSettings::default());
        let Charge { assignment, digest, .. } = charge_of(0, 0.8);
        let kind = EntryKind::NoiseAdded { digest, spending: "some".to_owned(), update: None };
        world.log.record(Entry::of(&assignment, kind)).unwrap();
        let said = world.spent().rebuild(false).unwrap_err().to_string();
        assert!(said.contains("entry 0 of the site log"), "{said}");
    }
}
