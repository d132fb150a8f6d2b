//! Every field of the protocol that a client fills, and what lets it leave. The test compares the table with
//! the protocol: a new field has no row, and fails it until somebody has decided.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::policy::{Egress, WITHOUT_NOISE};

/// What lets a field leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// The call needs it. It comes from the coordinator, or says nothing about the data set.
    Always,
    /// It belongs to weights, and leaves with them: `frozen_weights` or `updates`.
    WithWeights,
    /// A word of `may_leave`.
    With(Egress),
    /// A message whose fields have rows of their own.
    Parts,
    /// A signature of the other fields of its message. It says no more than they do, and leaves with them.
    OfTheMessage,
}

use Egress::{ClassNames, DataStatement, Failures, Metrics, PolicySummary, Provenance, Statistics};
use Leaves::{Always, OfTheMessage, Parts, With, WithWeights};

/// The fields, by their name without the package.
const FIELDS: &[(&str, Leaves)] = &[
    ("EnrollRequest.role", Always),
    ("EnrollRequest.institution", Always),
    ("EnrollRequest.secret", Always),
    ("EnrollRequest.signing_request_pem", Always),
    ("EnrollRequest.signing_key_proof", Always),
    ("RenewRequest.signing_request_pem", Always),
    ("RenewRequest.signing_key_proof", Always),
    ("HelloRequest.protocol", Always),
    ("HelloRequest.version", Always),
    ("PollRequest.seen_revision", Always),
    ("PollRequest.wait_ms", Always),
    ("AcceptRequest.assignment", Always),
    ("RefuseRequest.assignment", Always),
    ("RefuseRequest.refusal", Parts),
    ("Refusal.reason", Always),
    // The rules of the policy that an offer breaks need no word.
    ("Refusal.message", With(Failures)),
    ("HeartbeatRequest.assignment", Always),
    ("HeartbeatRequest.lease_token", Always),
    ("HeartbeatRequest.step", With(Metrics)),
    ("HeartbeatRequest.steps", With(Metrics)),
    ("HeartbeatRequest.points", With(Metrics)),
    ("CurvePoint.step", With(Metrics)),
    ("CurvePoint.loss", With(Metrics)),
    ("CurvePoint.metrics", With(Metrics)),
    ("Metric.name", With(Metrics)),
    ("Metric.value", With(Metrics)),
    ("SubmitUpdateRequest.assignment", Always),
    ("SubmitUpdateRequest.lease_token", Always),
    ("SubmitUpdateRequest.idempotency_key", Always),
    ("SubmitUpdateRequest.weights", WithWeights),
    ("SubmitUpdateRequest.report", Parts),
    ("SubmitUpdateRequest.signature", OfTheMessage),
    // Of the bands that a head was trained on.
    ("SubmitUpdateRequest.statistics", Parts),
    ("SignedMoments.bands", With(Statistics)),
    ("SignedMoments.signature", OfTheMessage),
    // Of the average that the round started from, on the institution's validation part.
    ("SubmitUpdateRequest.start_metrics", With(Metrics)),
    ("SubmitUpdateRequest.points", With(Metrics)),
    ("Blob.digest", WithWeights),
    ("Blob.size", WithWeights),
    ("TrainingReport.samples", WithWeights),
    ("TrainingReport.metrics", With(Metrics)),
    ("TrainingReport.scoring", With(Metrics)),
    ("Scoring.part", With(Metrics)),
    ("Scoring.samples", With(Metrics)),
    ("Scoring.intervals", With(Metrics)),
    ("Scoring.chosen_on", With(Metrics)),
    ("Interval.name", With(Metrics)),
    ("Interval.low", With(Metrics)),
    ("Interval.high", With(Metrics)),
    // In rounds it is the job's; a specialist cannot be used without it.
    ("TrainingReport.normalisation", WithWeights),
    ("BandNormalisation.band", WithWeights),
    ("BandNormalisation.mean", WithWeights),
    ("BandNormalisation.std", WithWeights),
    ("BandNormalisation.values", With(Statistics)),
    ("BandValues.unit", With(Statistics)),
    ("BandValues.low", With(Statistics)),
    ("BandValues.high", With(Statistics)),
    ("TrainingReport.energy", With(Provenance)),
    ("Energy.kwh", With(Provenance)),
    ("Energy.source", With(Provenance)),
    ("Energy.co2e_grams", With(Provenance)),
    ("TrainingReport.initial", WithWeights),
    ("InitialFile.file", WithWeights),
    ("InitialFile.digest", WithWeights),
    ("TrainingReport.imagery", With(Provenance)),
    ("TrainingReport.encoding", WithWeights),
    ("Imagery.height", With(Provenance)),
    ("Imagery.width", With(Provenance)),
    ("Imagery.ground_sampling_distance", With(Provenance)),
    ("TrainingReport.spent", With(Provenance)),
    ("TimeSpent.starting_seconds", With(Provenance)),
    ("TimeSpent.loading_seconds", With(Provenance)),
    ("TimeSpent.training_seconds", With(Provenance)),
    ("TimeSpent.validation_seconds", With(Provenance)),
    ("TimeSpent.writing_seconds", With(Provenance)),
    ("SubmitStatisticsRequest.assignment", Always),
    ("SubmitStatisticsRequest.lease_token", Always),
    ("SubmitStatisticsRequest.idempotency_key", Always),
    ("SubmitStatisticsRequest.bands", With(Statistics)),
    ("SubmitStatisticsRequest.signature", OfTheMessage),
    ("BandMoments.band", With(Statistics)),
    ("BandMoments.count", With(Statistics)),
    ("BandMoments.mean", With(Statistics)),
    ("BandMoments.m2", With(Statistics)),
    ("BandMoments.values", With(Statistics)),
    ("SubmitEvaluationRequest.assignment", Always),
    ("SubmitEvaluationRequest.lease_token", Always),
    ("SubmitEvaluationRequest.idempotency_key", Always),
    ("SubmitEvaluationRequest.report", Parts),
    ("SubmitEvaluationRequest.signature", OfTheMessage),
    ("EvaluationReport.samples", With(Metrics)),
    ("EvaluationReport.metrics", With(Metrics)),
    ("EvaluationReport.scoring", With(Metrics)),
    ("EvaluationReport.energy", With(Provenance)),
    ("ReportFailureRequest.assignment", Always),
    ("ReportFailureRequest.lease_token", Always),
    ("ReportFailureRequest.message", With(Failures)),
    ("StateDataRequest.statement", Parts),
    ("StateDataRequest.signature", OfTheMessage),
    ("DataStatement.institution", Always),
    ("DataStatement.dataset", With(DataStatement)),
    ("DataStatement.task", With(DataStatement)),
    ("DataStatement.bands", With(DataStatement)),
    ("DataStatement.classes", With(ClassNames)),
    ("DataStatement.training", With(DataStatement)),
    ("DataStatement.validation", With(DataStatement)),
    ("DataStatement.test", With(DataStatement)),
    ("DataStatement.inventory", With(DataStatement)),
    ("DataStatement.further", With(DataStatement)),
    ("DataStatement.partial", With(DataStatement)),
    ("StatedDataSet.dataset", With(DataStatement)),
    ("StatedDataSet.task", With(DataStatement)),
    ("StatedDataSet.bands", With(DataStatement)),
    ("StatedDataSet.classes", With(ClassNames)),
    ("StatedDataSet.training", With(DataStatement)),
    ("StatedDataSet.validation", With(DataStatement)),
    ("StatedDataSet.test", With(DataStatement)),
    ("StatedDataSet.inventory", With(DataStatement)),
    ("SharePolicyRequest.summary", Parts),
    ("SharePolicyRequest.signature", OfTheMessage),
    ("PolicySummary.institution", Always),
    ("PolicySummary.job_kinds", With(PolicySummary)),
    ("PolicySummary.tasks", With(PolicySummary)),
    ("PolicySummary.backbones", With(PolicySummary)),
    ("PolicySummary.strategies", With(PolicySummary)),
    ("PolicySummary.may_leave", With(PolicySummary)),
    ("PolicySummary.individual_updates", With(PolicySummary)),
    ("PolicySummary.warm_start", With(PolicySummary)),
    ("PolicySummary.min_institutions", With(PolicySummary)),
    ("PolicySummary.max_epochs", With(PolicySummary)),
    ("PolicySummary.manual_approval", With(PolicySummary)),
    ("PolicySummary.noise", With(PolicySummary)),
    ("PolicySummary.encodings", With(PolicySummary)),
    // Asked before an upload, about its weights.
    ("StatRequest.digest", WithWeights),
    ("DownloadRequest.digest", Always),
    ("DownloadRequest.offset", Always),
    ("UploadRequest.header", Parts),
    ("UploadRequest.chunk", WithWeights),
    ("UploadRequest.zstd_chunk", WithWeights),
    ("UploadHeader.digest", WithWeights),
    ("UploadHeader.size", WithWeights),
    ("UploadHeader.offset", WithWeights),
];

/// The services that a client calls.
const UPWARD: [&str; 3] = ["eosfed.v1.Participant", "eosfed.v1.Blobs", "eosfed.v1.Enrollment"];

fn walk(message: &MessageDescriptor, found: &mut BTreeSet<String>) {
    for field in message.fields() {
        let name = field.full_name().trim_start_matches("eosfed.v1.").to_owned();
        if found.insert(name)
            && let Kind::Message(inner) = field.kind()
        {
            walk(&inner, found);
        }
    }
}

#[test]
fn every_field_that_can_leave_has_a_word() {
    let pool = DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let mut found = BTreeSet::new();
    for name in UPWARD {
        for method in pool.get_service_by_name(name).unwrap().methods() {
            walk(&method.input(), &mut found);
        }
    }
    let rows: BTreeMap<&str, Leaves> = FIELDS.iter().copied().collect();
    assert_eq!(rows.len(), FIELDS.len(), "each field once");
    let known: BTreeSet<String> = rows.keys().map(|name| (*name).to_owned()).collect();
    let lacking: Vec<_> = found.difference(&known).collect();
    assert!(lacking.is_empty(), "say what lets these leave: {lacking:?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "the protocol has no such fields: {gone:?}");
    let used = |word| rows.values().any(|leaves| *leaves == With(word));
    let words = [ClassNames, DataStatement, Failures, Metrics, PolicySummary, Provenance, Statistics];
    assert!(words.into_iter().all(used));
}

/// The fields that say which file of weights is sent, and its bytes: it has noise where the policy demands it.
/// Where training started from is in the settings.
const OF_THE_FILE: [&str; 13] = [
    "SubmitUpdateRequest.weights",
    "Blob.digest",
    "Blob.size",
    "StatRequest.digest",
    "UploadRequest.chunk",
    "UploadRequest.zstd_chunk",
    "UploadHeader.digest",
    "UploadHeader.size",
    "UploadHeader.offset",
    "TrainingReport.encoding",
    "TrainingReport.initial",
    "InitialFile.file",
    "InitialFile.digest",
];

#[test]
fn what_leaves_without_noise_is_listed_with_its_word() {
    let mut listed = BTreeMap::new();
    for (fields, _, word) in WITHOUT_NOISE {
        for field in *fields {
            assert!(listed.insert(*field, *word).is_none(), "{field} is listed twice");
        }
    }
    for (field, leaves) in FIELDS {
        let expected = match leaves {
            Always | Parts | OfTheMessage => continue,
            WithWeights if OF_THE_FILE.contains(field) => continue,
            With(word) => Some(*word),
            // The number of samples always leaves, and a normalisation of the institution's own by its word.
            WithWeights => (*field != "TrainingReport.samples").then_some(Statistics),
        };
        assert_eq!(listed.remove(field), Some(expected), "{field}: say that it leaves without noise");
    }
    assert!(listed.is_empty(), "the table has no such fields: {listed:?}");
}
