//! An institution that holds a lease of a one-shot job, and sends what it wants.

use std::path::Path;

use bytes::Bytes;
use eosfed_common::assignment::BlobRef;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::ParticipantView;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::upload_request::Part;
use eosfed_transport::channel::Transport;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;

use super::{KEY, Server, plan, update_signature};

/// A job of one institution, whose lease it holds.
pub(crate) struct Leased {
    pub(crate) server: Server,
    pub(crate) west: Transport,
    pub(crate) job: String,
    pub(crate) assignment: String,
    pub(crate) token: String,
}

impl Leased {
    pub(crate) async fn new() -> Self {
        let server = Server::start().await;
        server.enrol("west").await;
        Self::under(server, &plan(), KEY).await
    }

    /// The same with a job of this plan, which `west` has part in and takes up.
    pub(crate) async fn under(server: Server, plan: &str, key: &str) -> Self {
        let west = server.client("west");
        let mut operator = OperatorClient::new(server.operator());
        let submit = v1::SubmitJobRequest { plan_toml: plan.to_owned(), idempotency_key: key.to_owned() };
        let job = operator.submit_job(submit).await.unwrap().into_inner().job;
        let assignment = format!("{job}.0.1.west");
        let accept = v1::AcceptRequest { assignment: assignment.clone() };
        let lease = ParticipantClient::new(west.clone()).accept(accept).await.unwrap().into_inner();
        Self { server, west, job, assignment, token: lease.lease_token }
    }

    pub(crate) async fn heartbeat(&self, points: Vec<v1::CurvePoint>) -> Result<(), Refusal> {
        let beat = v1::HeartbeatRequest {
            assignment: self.assignment.clone(),
            lease_token: self.token.clone(),
            step: 1,
            steps: 9,
            points,
        };
        let answer = ParticipantClient::new(self.west.clone()).heartbeat(beat).await;
        answer.map(drop).map_err(|status| from_status(&status))
    }

    pub(crate) async fn upload(&self, bytes: &[u8]) -> Result<BlobRef, Refusal> {
        let blob = BlobRef::of(bytes);
        let header = v1::UploadHeader { digest: blob.digest.to_string(), size: blob.size, offset: 0 };
        let chunks = bytes.chunks(256 * 1024).map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk)));
        let parts = std::iter::once(Part::Header(header)).chain(chunks);
        let parts: Vec<_> = parts.map(|part| v1::UploadRequest { part: Some(part) }).collect();
        let answer = BlobsClient::new(self.west.clone()).upload(tokio_stream::iter(parts)).await;
        answer.map(|_| blob).map_err(|status| from_status(&status))
    }

    pub(crate) async fn submit(&self, weights: BlobRef, report: v1::TrainingReport) -> Result<(), Refusal> {
        let signature = update_signature("west", &self.assignment, weights, &report);
        self.submit_signed(weights, report, signature).await
    }

    pub(crate) async fn submit_signed(
        &self,
        weights: BlobRef,
        report: v1::TrainingReport,
        signature: String,
    ) -> Result<(), Refusal> {
        self.submit_all(weights, report, signature, Vec::new()).await
    }

    /// The same with points of the curve.
    pub(crate) async fn submit_telling(
        &self,
        weights: BlobRef,
        points: Vec<v1::CurvePoint>,
    ) -> Result<(), Refusal> {
        let report = report(3, Vec::new());
        let signature = update_signature("west", &self.assignment, weights, &report);
        self.submit_all(weights, report, signature, points).await
    }

    async fn submit_all(
        &self,
        weights: BlobRef,
        report: v1::TrainingReport,
        signature: String,
        points: Vec<v1::CurvePoint>,
    ) -> Result<(), Refusal> {
        let submission = v1::SubmitUpdateRequest {
            assignment: self.assignment.clone(),
            lease_token: self.token.clone(),
            idempotency_key: KEY.to_owned(),
            weights: Some(weights.into_message()),
            report: Some(report),
            signature,
            statistics: None,
            start_metrics: Vec::new(),
            points,
        };
        let answer = ParticipantClient::new(self.west.clone()).submit_update(submission).await;
        answer.map(drop).map_err(|status| from_status(&status))
    }

    /// The steps of its curve, as the coordinator stores them.
    pub(crate) async fn curve(&self) -> Vec<u64> {
        let wanted = v1::GetRoundRequest { job: self.job.clone(), round: 0, attempt: 1, curves: true };
        let answer = OperatorClient::new(self.server.operator()).get_round(wanted).await.unwrap();
        let part = answer.into_inner().message().await.unwrap().unwrap();
        let west: ParticipantView = serde_json::from_str(&part.participants[0].participant_json).unwrap();
        west.curve.iter().map(|point| point.step).collect()
    }

    /// Bytes below the folder of its blobs, uploads under way included.
    pub(crate) fn stored(&self) -> u64 {
        bytes_below(&self.server.state().0.join("blobs"))
    }

    /// Weights of the model that the plan asks for.
    pub(crate) fn weights(&self) -> Vec<u8> {
        let model = eosfed_common::model::ModelSpec {
            backbone: eosfed_common::model::Backbone::Atto,
            task: eosfed_common::model::Task::Classification,
            bands: vec!["red".to_owned()],
            classes: ["forest", "water"].map(str::to_owned).to_vec(),
            target: None,
        };
        let signature = eosfed_common::model::signature(&model);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let tensors = eosfed_common::model::initial_tensors(&signature, 5);
        eosfed_common::weights::write(&path, &signature, &tensors).unwrap();
        std::fs::read(path).unwrap()
    }
}

pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() { bytes_below(&path) } else { std::fs::metadata(path).map_or(0, |file| file.len()) }
    };
    std::fs::read_dir(folder).map_or(0, |entries| entries.filter_map(Result::ok).map(of).sum())
}

pub(crate) fn metric(name: &str, value: f64) -> v1::Metric {
    v1::Metric { name: name.to_owned(), value }
}

pub(crate) fn report(samples: u64, metrics: Vec<v1::Metric>) -> v1::TrainingReport {
    v1::TrainingReport {
        samples,
        metrics,
        scoring: None,
        normalisation: vec![v1::BandNormalisation {
            band: "red".to_owned(),
            mean: 0.0,
            std: 1.0,
            values: None,
        }],
        energy: Some(v1::Energy { kwh: 0.0, source: v1::EnergySource::Unavailable.into(), co2e_grams: None }),
        initial: None,
        imagery: None,
        encoding: v1::Encoding::F32.into(),
        spent: None,
    }
}
