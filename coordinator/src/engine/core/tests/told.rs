//! Moments of a head's bands beside updates: signed, kept over a restart, and part of what the job shows.

use eosfed_common::refusal::Reason;
use eosfed_testkit::submissions::{moments, telling};

use super::*;
use crate::domain::view;

#[test]
fn moments_are_signed_by_their_institution_and_shown_of_the_trained_head() {
    let bench = Bench::with_release();
    let job = bench.submit(DOWNSTREAM);
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    let told = moments(&["nir", "swir", "red"], 100, 1.5, 400.0);
    let (west, token) = bench.work("west");
    let (path, blob) = bench.weights(&west, 1);
    bench.upload("west", &path, blob);
    let good = telling(update(&west, &token, blob), told.clone());
    let mut forged = good.clone();
    forged.statistics.as_mut().unwrap().bands[0].mean = eosfed_common::finite::Finite::literal(9.0);
    let refused = ready(bench.core.submit_update(&forged)).unwrap_err();
    assert_eq!(refused.reason, Reason::NotSigned, "{refused}");
    assert!(refused.message.contains("statistics"), "{refused}");
    ready(bench.core.submit_update(&good)).unwrap();

    // A restart reads the record again.
    let bench = bench.again(Duration::from_secs(3600));
    let (east, token) = bench.work("east");
    let (path, blob) = bench.weights(&east, 2);
    bench.upload("east", &path, blob);
    ready(bench.core.submit_update(&telling(update(&east, &token, blob), told))).unwrap();
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    let bench = bench.again(Duration::from_secs(3600));
    let shown = view::job(&bench.core.job(&job).unwrap()).trained.unwrap();
    let from = shown.statistics_from.unwrap();
    assert_eq!((from.told, from.institutions), (2, 2));
    let [nir, _, _] = &shown.statistics[..] else { panic!("{shown:?}") };
    assert_eq!((nir.band.as_str(), nir.mean.get(), nir.std.get()), ("nir", 1.5, 2.0));
}
