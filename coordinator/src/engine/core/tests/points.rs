//! Points of the curve that come with an update: stored with its record, or left out where the lease may send no more.

use eosfed_common::assignment::{CurvePoint, MAX_POINTS, Progress};
use eosfed_common::finite::Finite;
use eosfed_common::ids::AssignmentId;

use super::*;

fn point(step: u64) -> CurvePoint {
    let metrics = ["accuracy", "miou", "macro_f1"].map(|name| (name.to_owned(), Finite::ZERO)).into();
    CurvePoint { step, loss: Finite::ZERO, metrics }
}

/// The steps of west's curve after an update that brings one more point, over a restart.
fn steps_after_an_update(spend: impl Fn(&Bench, &AssignmentId, &LeaseToken)) -> Vec<u64> {
    let bench = Bench::new();
    let job = bench.submit(ONE_SHOT);
    let (west, token) = bench.work("west");
    let first = Progress { points: vec![point(1)], ..Progress::default() };
    ready(bench.core.heartbeat(&west.id, &token, first)).unwrap();
    spend(&bench, &west.id, &token);
    let (path, blob) = bench.weights(&west, 1);
    bench.upload("west", &path, blob);
    let mut last = update(&west, &token, blob);
    last.points = vec![point(2)];
    ready(bench.core.submit_update(&last)).unwrap();
    let bench = bench.again(Duration::from_secs(60));
    let round = bench.core.job(&job).unwrap().open_round().unwrap().clone();
    let curves = ready(bench.core.curves(&round)).unwrap();
    curves[0].points.iter().map(|point| point.step).collect()
}

#[test]
fn points_of_an_update_are_stored_with_it() {
    assert_eq!(steps_after_an_update(|_, _, _| {}), [1, 2]);
}

#[test]
fn an_update_counts_without_its_points_if_the_lease_may_send_no_more() {
    let steps = steps_after_an_update(|bench, id, token| {
        let mut quotas = lock(&bench.core.quotas);
        let full = vec![point(9); MAX_POINTS];
        let of = (&id.institution, &id.job);
        while quotas.points(token, of, &full, bench.core.now()).is_ok() {}
        while quotas.points(token, of, &full[..1], bench.core.now()).is_ok() {}
    });
    assert_eq!(steps, [1]);
}
