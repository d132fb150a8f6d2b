//! Each state of a job, and each part of an institution, has its sentence.

use eosfed_common::plan::JobSpec;
use eosfed_common::view::{ParticipantState, RoundView};
use eosfed_testkit::plans::{Plan, ROUNDS};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// A job of two rounds in this state, whose open round has these institutions.
fn job(state: &str, participants: &Value) -> WholeJob {
    let spec = JobSpec::parse(&Plan::new(ROUNDS).participants(2, 2).text()).unwrap();
    let round = json!({
        "index": 0, "attempt": 2, "kind": {"train": 0}, "phase": "training", "opened_at": NOW.0 - 60_000,
        "deadline": NOW.0 + 600_000, "closed_at": null, "participants": participants,
    });
    let job = json!({
        "id": "j-0a1b2c3d", "state": state, "why": "round 1 has failed twice", "origin": null,
        "submitted_by": "ada", "submitted_at": NOW.0 - 90_000, "ended_at": null, "rounds": 2,
        "closed_rounds": 0, "normalisation": null, "produced": ["all-red@1"], "release": 3,
        "trained": null, "spec": spec, "current": round, "history": [],
    });
    serde_json::from_value(job).unwrap()
}

fn participant(state: &str, message: Option<&str>) -> Value {
    json!({
        "state": state, "step": 3, "steps": 10, "message": message, "lease_expiries": 0, "loss": null,
        "samples": null, "weights": null, "metrics": {}, "energy": null, "norm": null, "curve": [],
    })
}

fn known(name: &str, last_seen: Option<u64>) -> (InstitutionName, InstitutionView) {
    let view = json!({
        "name": name, "enrolled_at": 1, "invited_until": null, "last_seen": last_seen,
        "received": {"weights": 0, "metrics": 0, "control": 0},
    });
    (name.parse().unwrap(), serde_json::from_value(view).unwrap())
}

fn explained(state: &str, participants: &Value) -> Explanation {
    let known = [known("east", Some(NOW.0 - 3_600_000)), known("west", Some(NOW.0)), known("north", None)];
    explain(&job(state, participants), &known.into_iter().collect(), NOW)
}

fn what<'a>(explanation: &'a Explanation, name: &str) -> &'a str {
    &explanation.institutions.iter().find(|one| one.institution.as_str() == name).unwrap().what
}

#[test]
fn an_open_round_says_whom_it_waits_for_and_what_each_has_said() {
    let refused = "the policy does not allow the strategy `krum` (POLICY)";
    let explanation = explained(
        "running",
        &json!({
            "east": participant("refused", Some(refused)),
            "west": participant("submitted", None),
            "north": participant("offered", None),
        }),
    );
    let summary = &explanation.summary;
    assert_eq!(
        summary,
        "round 1 of 2, attempt 2 waits for north (1 of 2 needed results count, 2 of 3 have answered)"
    );
    assert_eq!(what(&explanation, "east"), format!("its client has declined: {refused}"));
    let north = what(&explanation, "north");
    assert!(north.contains("has not called since the coordinator was started"), "{north}");
    assert_eq!(explanation.institutions.len(), 2, "west's result counts");
    assert_eq!(
        explanation.moves,
        [
            "an answer of north",
            "its deadline, in 10 min: with too few it is tried again, or the job pauses",
            "after the cause is removed: `eosfed job retry j-0a1b2c3d east`",
        ]
    );
    let round = explanation.round.unwrap();
    assert_eq!((round.needed, round.counted, round.asked, round.answered, round.waiting), (2, 1, 3, 2, 1));
}

#[test]
fn who_works_for_another_job_is_queued() {
    let mut north = participant("offered", None);
    north["queued_behind"] = json!("j-0000000b");
    let explanation = explained("running", &json!({"north": north, "west": participant("working", None)}));
    assert_eq!(
        what(&explanation, "north"),
        "it is queued: it is at work for j-0000000b, and answers when that has ended"
    );
}

/// The plan gives half an hour.
#[test]
fn the_time_of_who_is_queued_stands_still_and_then_runs() {
    const MINUTE: u64 = 60_000;
    let said = |behind: Option<&str>, state: &str, end: u64| {
        let mut north = participant(state, None);
        north["queued_behind"] = json!(behind);
        north["own_deadline"] = json!(NOW.0 + end);
        what(&explained("running", &json!({"north": north, "west": participant("working", None)})), "north")
            .to_owned()
    };
    assert_eq!(
        said(Some("j-0000000b"), "offered", 150 * MINUTE),
        "it is queued: its time does not run while it is at work for j-0000000b (2 h at most); it has 30 min \
         from then"
    );
    let overdue = said(Some("j-0000000b"), "offered", 20 * MINUTE);
    assert!(
        overdue.ends_with("beyond the time that it has for that; its time here ends in 20 min"),
        "{overdue}"
    );
    for state in ["offered", "working"] {
        let free = said(None, state, 20 * MINUTE);
        assert!(free.ends_with("; it was at work for another job, and its time ends in 20 min"), "{free}");
    }
}

#[test]
fn a_round_with_enough_and_a_round_that_cannot_get_enough_say_so() {
    let [done, working, failed] =
        ["submitted", "working", "failed"].map(|state| participant(state, Some("the disk is full")));
    let enough = explained("running", &json!({"east": done, "north": done, "west": working}));
    assert!(enough.summary.contains("has enough results and still waits for west"), "{}", enough.summary);
    assert_eq!(what(&enough, "west"), "it is at work, step 3 of 10");
    assert!(enough.moves[1].contains("with the results that it has"), "{:?}", enough.moves);
    let hopeless = explained("running", &json!({"east": failed, "north": failed, "west": working}));
    assert!(hopeless.summary.contains("can no longer get enough"), "{}", hopeless.summary);
    assert_eq!(what(&hopeless, "north"), "its work has failed: the disk is full");
    let silent = explained("running", &json!({"east": working, "west": done, "north": done}));
    let east = what(&silent, "east");
    assert!(east.contains("last called 1 h ago; is its client running?"), "{east}");
}

#[test]
fn states_without_an_open_round_say_what_moves_them() {
    let nobody = json!({});
    let paused = explained("paused", &json!({"east": participant("failed", None)}));
    assert!(
        paused.summary.ends_with("waits for an operator: round 1 has failed twice"),
        "{}",
        paused.summary
    );
    assert!(paused.moves[0].contains("`eosfed job resume j-0a1b2c3d`"), "{:?}", paused.moves);
    assert!(paused.moves[1].contains("`eosfed job retry j-0a1b2c3d east`"), "{:?}", paused.moves);
    let finished = explained("finished", &nobody);
    assert!(finished.summary.contains("made all-red@1, release 3"), "{}", finished.summary);
    for (state, words) in
        [("preparing", "first weights"), ("aggregating", "aggregates the results of round 1")]
    {
        let explanation = explained(state, &nobody);
        assert!(explanation.summary.contains(words), "{}", explanation.summary);
        assert_eq!(explanation.moves, ["nothing: it goes on by itself"]);
    }
}

#[test]
fn institutions_without_access_are_named_with_what_to_do() {
    let mut view = known("east", Some(NOW.0)).1;
    let WholeJob { job, current, .. } = job("running", &json!({"east": participant("offered", None)}));
    let round: RoundView = current.unwrap();
    let says = |view: &InstitutionView| {
        let known = [(view.name.clone(), view.clone())].into_iter().collect();
        institution::all(&round, &job, &known, NOW).remove(0).what
    };
    assert!(says(&view).contains("it is online"));
    view.certificate_expires_at = Some(Timestamp(NOW.0 - 7_200_000));
    assert!(says(&view).contains("expired 2 h ago: `eosfed institution re-enrol east`"), "{}", says(&view));
    view.revoked_at = Some(NOW);
    assert!(says(&view).contains("its access is revoked"));
    let unknown = institution::all(&round, &job, &Known::new(), NOW).remove(0).what;
    assert!(unknown.contains("not enrolled here any more"), "{unknown}");
    assert_eq!(round.participants.values().next().unwrap().state, ParticipantState::Offered);
}
