//! Updates that are sent as encoded steps: admitted by the plan, aggregated as the weights that follow, and refused
//! where they are not what they say.

use eosfed_common::assignment::UpdateSubmission;
use eosfed_common::refusal::Reason;
use eosfed_common::report::TrainingReport;
use eosfed_common::weights::{Encoding, Tensors, WeightsFile, write_step};
use eosfed_testkit::plans::Plan;

use super::*;

const ACCEPTED: &str = r#"["int8", "top-k", "top-k-bf16", "f32"]"#;

/// A job whose rounds accept [`ACCEPTED`], with its first weights, in its first round of training.
fn begin(bench: &Bench, rounds: u32) -> JobId {
    let plan =
        Plan::new(ROUNDS).rounds(rounds, "{ name = \"fed-avg\" }").set_toml("rounds.encodings", ACCEPTED);
    let job = bench.submit(&plan.text());
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    for institution in ["west", "east"] {
        assert_eq!(bench.take_part(institution, 0), None);
    }
    job
}

fn tensors(bench: &Bench, blob: BlobRef, assignment: &Assignment<Target>) -> Tensors {
    let file = WeightsFile::open(&bench.core.blobs().local(blob.digest).unwrap()).unwrap();
    let signature = assignment.training_target.signature();
    let checked = file.check(&signature).unwrap();
    signature.0.keys().map(|name| (name.clone(), checked.values(name).iter().collect())).collect()
}

/// A step of `size` in every weight, in a file of this encoding.
fn step(bench: &Bench, assignment: &Assignment<Target>, encoding: Encoding, size: f64) -> (PathBuf, BlobRef) {
    let path = bench.folder.path().join(format!("step-{encoding}"));
    let signature = assignment.training_target.signature();
    let values = |name: &str| vec![size; signature.0[name].iter().product()];
    let digest = write_step(&path, &signature, encoding.code(0.01).unwrap(), values).unwrap();
    (path.clone(), BlobRef { digest, size: std::fs::metadata(&path).unwrap().len() })
}

/// An update that says that its file is encoded like this.
fn said(
    assignment: &Assignment<Target>,
    token: &LeaseToken,
    blob: BlobRef,
    encoding: Encoding,
) -> UpdateSubmission {
    let plain = update(assignment, token, blob);
    let report = TrainingReport { encoding, ..plain.report };
    eosfed_testkit::submissions::update(&assignment.id, token, blob, report)
}

#[test]
fn a_round_of_mixed_encodings_is_the_mean_of_the_weights_that_follow() {
    let bench = Bench::new();
    let job = begin(&bench, 1);
    let base = bench.core.job(&job).unwrap().global_model.unwrap();
    let (west, token) = bench.work("west");
    let before = tensors(&bench, base, &west);
    let Work::Training(work) = &west.work else { panic!("{west:?}") };
    assert_eq!(work.encodings, [Encoding::Int8, Encoding::TopK, Encoding::TopKBf16, Encoding::F32]);
    let (path, blob) = step(&bench, &west, Encoding::Int8, 0.5);
    bench.upload("west", &path, blob);
    ready(bench.core.submit_update(&said(&west, &token, blob, Encoding::Int8))).unwrap();
    // A restart reads the record again.
    let bench = bench.again(Duration::from_secs(3600));
    let plain = bench.take_part("east", 3).unwrap();
    let east = tensors(&bench, plain, &west);
    let record = bench.core.job(&job).unwrap();
    assert_eq!(record.state.name(), "aggregating");
    assert!(blob.size * 3 < plain.size, "{} of {} bytes", blob.size, plain.size);
    assert_eq!(ready(bench.core.perform(&job)), TaskOutcome::Recorded);
    let ended = bench.core.job(&job).unwrap();
    let card = bench.core.snapshot().registry.specialists.into_values().next().unwrap();
    assert_eq!(card.provenance.encodings, [Encoding::Int8]);
    let after = BlobRef { digest: card.weights, size: card.weights_bytes };
    let after = tensors(&bench, after, &west);
    // Samples are 10 and the number of letters of the name, which both have four.
    for (name, after) in &after {
        for (index, after) in after.iter().enumerate() {
            let expected = f64::midpoint(f64::from(before[name][index]) + 0.5, f64::from(east[name][index]));
            assert!((f64::from(*after) - expected).abs() < 1e-6, "{name} {index}: {after}, {expected}");
        }
    }
    assert!(ended.has_ended());
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let cases = [
        // The plan does not accept it.
        (Encoding::Bf16, Encoding::Bf16, 0.5, Reason::Malformed),
        // The file has another encoding.
        (Encoding::Int8, Encoding::TopK, 0.5, Reason::TensorSet),
        (Encoding::Int8, Encoding::F32, 0.5, Reason::TensorSet),
        (Encoding::TopKBf16, Encoding::TopK, 0.5, Reason::TensorSet),
        // Nothing has moved.
        (Encoding::Int8, Encoding::Int8, 0.0, Reason::Replayed),
        (Encoding::TopK, Encoding::TopK, 0.0, Reason::Replayed),
        (Encoding::TopKBf16, Encoding::TopKBf16, 0.0, Reason::Replayed),
        // The weights would not be finite.
        (Encoding::Int8, Encoding::Int8, 3.4e38 * 128.0, Reason::NotFinite),
    ];
    for (file, says, size, reason) in cases {
        let bench = Bench::new();
        begin(&bench, 1);
        let (west, token) = bench.work("west");
        let (path, blob) = step(&bench, &west, file, size);
        bench.upload("west", &path, blob);
        let refusal = ready(bench.core.submit_update(&said(&west, &token, blob, says))).unwrap_err();
        assert_eq!(refusal.reason, reason, "{file} as {says}, {size}: {refusal}");
        assert!(!refusal.message.contains(&*bench.folder.path().to_string_lossy()), "{refusal}");
    }
}
