//! What leaves a site, as a lying coordinator records it field by field. The daemon is a process of its own,
//! and its training program tells more than it should.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use eosfed_e2e::Federation;
use eosfed_e2e::hostile::Liar;
use eosfed_e2e::stub::GATE;
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// A training program that prints names of files, measures energy and describes tiles. Where a file `fail`
/// lies, it fails, and says why.
const TRAINER: &str = r#"#!/bin/sh
echo secret-village >&2
if [ -e "FOLDER/fail" ]; then
    echo '{"event":"failed","reason":"secret-village.tif: 3 bands"}'
    exit 1
fi
"STUB" "$@" | sed -u 's/"kwh":0.0,"source":"unavailable"}/"kwh":0.5,"source":"measured"},"imagery":{"tile":[8,9]}/'
"#;

/// Replaces the list of what may leave in west's policy.
fn may_leave(federation: &Federation, words: &str) {
    let path = federation.path("west/policy.toml");
    let policy = fs::read_to_string(&path).unwrap();
    let (before, rest) = policy.split_once("may_leave = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    fs::write(path, format!("{before}may_leave = [{words}]{after}")).unwrap();
}

/// Every field that leaves with the single word `updates`. The rest needs another word.
const WITH_UPDATES: [&str; 45] = [
    "AcceptRequest.assignment",
    "BandNormalisation.band",
    "BandNormalisation.mean",
    "BandNormalisation.std",
    "Blob.digest",
    "Blob.size",
    "DownloadRequest.digest",
    "DownloadRequest.offset",
    "Energy.source",
    "EnrollRequest.institution",
    "EnrollRequest.role",
    "EnrollRequest.secret",
    "EnrollRequest.signing_key_proof",
    "EnrollRequest.signing_request_pem",
    "HeartbeatRequest.assignment",
    "HeartbeatRequest.lease_token",
    "HelloRequest.protocol",
    "HelloRequest.version",
    "PollRequest.seen_revision",
    "PollRequest.wait_ms",
    "Refusal.message",
    "Refusal.reason",
    "RefuseRequest.assignment",
    "RefuseRequest.refusal",
    "ReportFailureRequest.assignment",
    "ReportFailureRequest.lease_token",
    "ReportFailureRequest.message",
    "StatRequest.digest",
    "SubmitUpdateRequest.assignment",
    "SubmitUpdateRequest.idempotency_key",
    "SubmitUpdateRequest.lease_token",
    "SubmitUpdateRequest.report",
    "SubmitUpdateRequest.signature",
    "SubmitUpdateRequest.weights",
    "TrainingReport.encoding",
    "TrainingReport.energy",
    // Empty without `provenance`: none of its own fields is in this list.
    "TrainingReport.imagery",
    "TrainingReport.normalisation",
    "TrainingReport.samples",
    "UploadHeader.digest",
    "UploadHeader.offset",
    "UploadHeader.size",
    "UploadRequest.chunk",
    "UploadRequest.header",
    "UploadRequest.zstd_chunk",
];

/// Fields that must have left with all words: the record misses nothing.
const WITH_EVERYTHING: [&str; 12] = [
    "BandMoments.m2",
    "CurvePoint.loss",
    "DataStatement.training",
    "Energy.co2e_grams",
    "Energy.kwh",
    "Imagery.width",
    "Metric.value",
    "PolicySummary.max_epochs",
    "ReportFailureRequest.message",
    "SubmitUpdateRequest.points",
    "TimeSpent.training_seconds",
    "TrainingReport.metrics",
];

/// The recorded fields, and the recorded texts as one.
fn seen(end: &Value) -> (BTreeSet<String>, String) {
    let fields = end["seen"]["fields"].as_array().unwrap().iter();
    (fields.map(|field| field.as_str().unwrap().to_owned()).collect(), end["seen"]["texts"].to_string())
}

fn assert_end(end: &Value, lie: &str, how: &str) {
    assert_eq!((end["lie"].as_str(), end["end"].as_str()), (Some(lie), Some(how)), "{end:#}");
}

/// Attacks 11 and 20.
#[test]
fn nothing_leaves_without_a_word_and_nothing_after_the_policy_has_changed() {
    let federation = Federation::new();
    let trainer = federation.path("trainer.sh");
    let folder = federation.path("");
    let script = TRAINER.replace("FOLDER", folder.to_str().unwrap()).replace("STUB", STUB);
    fs::write(&trainer, script).unwrap();
    fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).unwrap();
    let lies = ["honest", "statistics", "honest", "honest", "honest", "statistics", "honest", "honest"];
    let mut liar = Liar::joined(&federation, &lies, trainer.to_str().unwrap());
    federation.set("west", "# carbon_intensity_g_per_kwh = 250", "carbon_intensity_g_per_kwh = 300");
    let (gate, fail) = (federation.path("gate"), federation.path("fail"));
    let (open, close) = (|path| fs::write(path, "").unwrap(), |path| fs::remove_file(path).unwrap());

    // With every word: what the trainer tells arrives, and the record sees it.
    open(&gate);
    let mut command = federation.daemon_command("west");
    let daemon = federation.start("west", {
        command.env(GATE, &gate);
        command
    });
    let mut told = BTreeSet::new();
    for (lie, how) in [("honest", "submitted"), ("statistics", "statistics")] {
        let end = liar.next_end();
        assert_end(&end, lie, how);
        told.extend(seen(&end).0);
        if lie == "honest" {
            assert!(seen(&end).1.contains("ENERGY_SOURCE_MEASURED"), "{end:#}");
            assert!(end["uploaded"].as_u64() > Some(1_000_000), "{end:#}");
        } else {
            open(&fail);
        }
    }
    let end = liar.next_end();
    assert_end(&end, "honest", "failed");
    assert!(seen(&end).1.contains("secret-village.tif"), "{end:#}");
    told.extend(seen(&end).0);
    for field in WITH_EVERYTHING {
        assert!(told.contains(field), "{field} is not in {told:?}");
    }

    // With one word.
    may_leave(&federation, "\"updates\"");
    let allowed: BTreeSet<String> = WITH_UPDATES.map(str::to_owned).into();
    let check = |end: &Value| {
        let (fields, texts) = seen(end);
        let more: Vec<_> = fields.difference(&allowed).collect();
        assert!(more.is_empty(), "these have left without a word: {more:?}\n{end:#}");
        let data = federation.path("west-data").display().to_string();
        for secret in ["secret-village", "ENERGY_SOURCE_MEASURED", &data] {
            assert!(!texts.contains(secret), "{secret}: {end:#}");
        }
    };
    // What the daemon sent before the policy was changed, such as the greeting after the failure, is in this record.
    assert_end(&liar.next_end(), "honest", "failed");
    let end = liar.next_end();
    assert_end(&end, "honest", "failed");
    check(&end);
    close(&fail);
    let end = liar.next_end();
    assert_end(&end, "statistics", "refused");
    check(&end);
    let end = liar.next_end();
    assert_end(&end, "honest", "submitted");
    check(&end);
    close(&gate);

    // The policy is changed while the job trains.
    federation.until("training to begin", || {
        federation.journal("west")["phase"] == "training"
            && daemon.log().matches("the trainer has started").count() == 3
    });
    may_leave(&federation, "\"metrics\"");
    open(&gate);
    let end = liar.next_end();
    assert_end(&end, "honest", "refused");
    assert!(end["message"].as_str().unwrap().contains("`may_leave` lacks `updates`"), "{end:#}");
    assert_eq!(end["uploaded"], 0, "{end:#}");
    let fields = seen(&end).0;
    for message in ["UploadRequest", "SubmitUpdateRequest", "TrainingReport", "StatRequest"] {
        assert!(!fields.iter().any(|field| field.starts_with(message)), "{message}: {end:#}");
    }
    assert!(daemon.terminate().success());
}
