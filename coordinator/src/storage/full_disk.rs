//! Tests of the sled store on a small disk that is filled and freed.

use std::time::Duration;

use eosfed_common::identity::Identity;
use eosfed_common::ledger::Actor;
use eosfed_common::ledger::Event;

use super::mount::Mount;
use super::{SledStore, Store as _, StoreError, ready};
use crate::domain::Federation;
use crate::domain::federation::members::Invite;
use crate::testing::{NOW, name};

/// A store and the state that it has acknowledged.
struct Bench {
    store: SledStore,
    acknowledged: Federation,
    last: Option<Event>,
    invited: u32,
}

impl Bench {
    fn new(store: SledStore) -> Self {
        Self { store, acknowledged: Federation::default(), last: None, invited: 0 }
    }

    /// Commits something new.
    fn commit(&mut self) -> Result<(), StoreError> {
        self.invited += 1;
        let who = Identity::institution(name(&format!("site-{}", self.invited)));
        let invite = Invite { secret: "secret", valid_for: Duration::from_secs(60), again: false };
        let change = self.acknowledged.invite(&who, invite, Actor::Operator(name("admin")), NOW).unwrap();
        let last = self.last.as_ref().map(Event::event_ref);
        let event = Event::follow(last, NOW, change.events[0].clone());
        ready(self.store.commit(&change, std::slice::from_ref(&event)))?;
        self.acknowledged.merge(change);
        self.last = Some(event);
        Ok(())
    }

    /// The contents of the store equal the acknowledged state.
    fn check(&self, store: &SledStore) {
        let loaded = ready(store.load()).unwrap();
        assert_eq!(loaded.federation, self.acknowledged);
        assert_eq!(loaded.head, self.last.as_ref().map(Event::event_ref));
    }
}

#[test]
fn a_commit_is_refused_before_the_disk_is_full_and_succeeds_when_space_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(folder.path(), "64m") else { return };
    let path = folder.path().join("store");
    let mut bench = Bench::new(SledStore::open(&path).unwrap());
    bench.commit().unwrap();
    for _ in 0..3 {
        mount.fill(16 << 20);
        assert!(matches!(bench.commit(), Err(StoreError::Full)));
        assert!(mount.free() >= 15 << 20, "the rest is reserved for the store itself");
        bench.check(&bench.store);
        mount.free_up();
        bench.commit().unwrap();
        bench.check(&bench.store);
    }
}

/// If sled fails on a full disk, it later reads its partial write as damage. So blocks are allocated before a
/// commit begins, whatever other programs write.
#[test]
fn a_commit_does_not_fail_halfway_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::tmpfs(folder.path(), "24m") else { return };
    let path = folder.path().join("store");
    // Without a reserve, which has the effect of another program that fills the disk during a commit.
    let mut bench = Bench::new(SledStore::open_with(&path, 0).unwrap());
    bench.commit().unwrap();
    for round in 0..3 {
        mount.fill(0);
        let failed = (0..20_000).find_map(|_| bench.commit().err());
        let error = failed.expect("the disk is full");
        assert!(matches!(error, StoreError::Full | StoreError::Backend(_)), "{error}");
        mount.free_up();
        bench.commit().unwrap_or_else(|error| panic!("round {round}: there is room again: {error}"));
        bench.check(&bench.store);
    }
    let Bench { store, acknowledged, last, .. } = bench;
    drop(store);
    let again = Bench { acknowledged, last, ..Bench::new(SledStore::open_with(&path, 0).unwrap()) };
    again.check(&again.store);
}
