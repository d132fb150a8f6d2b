//! What a site keeps in its state folder: the record of spent privacy, the counts of limits, the site log.

use std::path::Path;
use std::sync::Arc;

use eosfed_client::budgets::{Budgets, Demand, Direction};
use eosfed_client::policy::{Limit, Limits};
use eosfed_client::privacy::{Charge, Mechanism};
use eosfed_client::site::Site;
use eosfed_client::site_log::{
    Entry, EntryKind, Follower, NoisedUpdate, Record, Sending, SiteLog, SiteLogSettings, verify,
};
use eosfed_client::spent::Spent;
use eosfed_common::clock::{ManualClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::ids::AssignmentId;
use eosfed_testkit::assignments;
use tempfile::TempDir;

use crate::folder::fresh;
use crate::target::Seeds;

const AT: Timestamp = Timestamp(1_795_000_000_000);
/// The first file of a log.
const LOG_FILE: &str = "00000000000000000000.jsonl";

thread_local! {
    static STATE: TempDir = fresh();
}

/// A file of a state folder, read as each of the three kinds. A daemon goes on to use what is accepted.
pub fn site(bytes: &[u8]) -> bool {
    STATE.with(|state| {
        let site = Site::at(state.path());
        let accepted = [spending(&site, bytes), usage(&site, bytes), log(&site, bytes)];
        accepted.contains(&true)
    })
}

fn spending(site: &Site, bytes: &[u8]) -> bool {
    std::fs::write(site.spending_file(), bytes).unwrap();
    let Ok(before) = site.spending() else { return false };
    for epsilon in [before.epsilon(1e-5), before.epsilon_of_replacement(1e-2)] {
        assert!(epsilon >= 0.0, "{epsilon}");
    }
    let updates: usize = before.by_job().values().map(|job| job.updates).sum();
    assert_eq!(updates, before.updates().len());
    site.charge(charge(site.spending_file().as_os_str().len() as u32)).unwrap();
    let after = site.spending().map(|after| after.updates().len());
    // The added update may have been there.
    assert!(after.is_err() || after.is_ok_and(|after| after == updates + 1));
    true
}

fn usage(site: &Site, bytes: &[u8]) -> bool {
    std::fs::write(site.path().join("usage.json"), bytes).unwrap();
    let Ok(budgets) = Budgets::open(site, Arc::new(ManualClock::new(AT))) else { return false };
    let id = id(3);
    let most = Demand { up: u64::MAX, down: u64::MAX };
    assert!(!budgets.objections(&Limits::default(), &id, most).is_empty(), "no limit is that large");
    let unlimited = Limits {
        upload_mb_per_job: Limit::Unlimited,
        upload_mb_per_day: Limit::Unlimited,
        ..Limits::default()
    };
    budgets.take_assignment(&id).unwrap();
    for (direction, bytes) in [(Direction::Up, 9), (Direction::Down, u64::MAX)] {
        let _ = budgets.take(&unlimited, &id.job, direction, bytes);
        let _ = budgets.take_of_offer(&unlimited, &id.job, direction, bytes);
        budgets.count(&id.job, direction, bytes).unwrap();
        budgets.settle(&id.job, direction).unwrap();
    }
    budgets.give_back_assignment(&id).unwrap();
    Budgets::open(site, Arc::new(ManualClock::new(AT))).unwrap();
    true
}

fn log(site: &Site, bytes: &[u8]) -> bool {
    let folder = site.log();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(LOG_FILE), bytes).unwrap();
    let _ = std::fs::remove_file(site.spending_file());
    let mut lines = 0_u64;
    let _ = Follower::new(&folder).each(|_| lines += 1);
    let before = verify(&folder, None);
    // The record is away: either nothing was sent with noise, or its lack is noticed.
    let _ = Spent::new(site).spending();
    let Ok(before) = before else {
        let _ = open(&folder).record(Entry::new(EntryKind::Stopped));
        return false;
    };
    assert_eq!(before.verified.events, lines);
    let _ = Spent::new(site).rebuild(false);
    assert!(Spent::new(site).spending().is_ok() || Spent::new(site).rebuild(false).is_err());
    open(&folder).record(Entry::new(EntryKind::Stopped)).unwrap();
    assert_eq!(verify(&folder, None).unwrap().verified.events, lines + 1);
    lines > 0
}

fn open(folder: &Path) -> SiteLog {
    SiteLog::new(folder, SiteLogSettings::default(), Arc::new(ManualClock::new(AT)))
}

fn id(round: u32) -> AssignmentId {
    format!("j-0a1b2c3d.{round}.1.west").parse().unwrap()
}

fn charge(round: u32) -> Charge {
    Charge {
        assignment: id(round),
        job_name: "shared".to_owned(),
        mechanism: Mechanism { clip: 1.0, noise_multiplier: 0.8 },
        digest: Digest::of(&round.to_le_bytes()),
        at: AT,
        dataset: Some("coast".parse().expect("a name")),
    }
}

/// The bytes of a log with entries of an update that was sent with noise, and others.
fn lines() -> Vec<u8> {
    let folder = fresh();
    let log = open(folder.path());
    let Charge { assignment, job_name, digest, dataset, .. } = charge(1);
    let update = NoisedUpdate { job_name, clip: "1".to_owned(), noise_multiplier: "0.8".to_owned(), dataset };
    let sending = Sending {
        record: Record::Weights,
        what: "the file of weights".to_owned(),
        bytes: Some(9),
        weights: Some(digest),
        words: vec!["updates".to_owned()],
    };
    for kind in [
        EntryKind::Started { version: "0".to_owned(), policy: vec!["words".to_owned()] },
        EntryKind::NoiseAdded { digest, spending: "words".to_owned(), update: Some(update) },
        EntryKind::Sending(sending.clone()),
        EntryKind::Sent(sending),
        EntryKind::Renewed { until: AT },
    ] {
        log.record(Entry::of(&assignment, kind)).unwrap();
    }
    std::fs::read(folder.path().join(LOG_FILE)).unwrap()
}

pub(crate) fn seeds() -> Seeds {
    let folder = fresh();
    let site = Site::at(folder.path());
    (1..4).for_each(|round| site.charge(charge(round)).unwrap());
    let spending = std::fs::read(site.spending_file()).unwrap();
    let budgets = Budgets::open(&site, Arc::new(ManualClock::new(AT))).unwrap();
    budgets.take_assignment(&id(1)).unwrap();
    budgets.take(&Limits::default(), &id(1).job, Direction::Up, assignments::blob().size).unwrap();
    let usage = std::fs::read(site.path().join("usage.json")).unwrap();
    let text = String::from_utf8(usage.clone()).unwrap();
    let day = (AT.0 / 86_400_000).to_string();
    let log = lines();
    let odd = vec![
        text.replace(&day, "18446744073709551615").into_bytes(),
        text.replace("\"assignments\":1", "\"assignments\":18446744073709551615").into_bytes(),
        text.replace("\"bytes_down\":0", "\"bytes_down\":18446744073709551615").into_bytes(),
        String::from_utf8(spending.clone()).unwrap().replace("0.8", "1e-308").into_bytes(),
        log[..log.len() - 7].to_vec(),
        [b"{\"at\":", "[".repeat(60_000).as_bytes(), b"\n"].concat(),
        String::from_utf8(log.clone()).unwrap().replace("\"0.8\"", "\"nan\"").into_bytes(),
        vec![b'\n'; 3000],
    ];
    Seeds { good: vec![spending, usage, log], odd }
}
