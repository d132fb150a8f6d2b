//! Results that claim what cannot be: statistics, updates and scores, each as if it were honest work. They are
//! signed with the member's own key, as they must be.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use eosfed_common::assignment::{Assignment, BandMoments, Offered, Work};
use eosfed_common::model::{initial_weights, signature};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::signing::{
    EvaluationStatement, KeySignature, SigningKey, Statement, StatisticsStatement, UpdateStatement,
};
use eosfed_common::weights::write;
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_transport::wire::Wire;

use super::{Member, digest_of, report, tell};

/// Seed of the starting weights of a specialist that is not trained at all.
const SEED: u64 = 7;

/// What is claimed of a training or of scores, as text `SAMPLES[,METRIC=VALUE]...`.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    samples: u64,
    metrics: Vec<v1::Metric>,
}

impl FromStr for Claim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let samples = parts.next().unwrap_or_default();
        let samples = samples.parse().map_err(|error| format!("`{samples}`: {error}"))?;
        let metric = |part: &str| {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`"))?;
            let value = value.parse().map_err(|error| format!("`{value}`: {error}"))?;
            Ok::<_, String>(v1::Metric { name: name.to_owned(), value })
        };
        Ok(Self { samples, metrics: parts.map(metric).collect::<Result<_, _>>()? })
    }
}

/// The moments of every band, as text `COUNT,MEAN,M2`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
}

impl FromStr for Moments {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [count, mean, m2] = text.split(',').collect::<Vec<_>>()[..] else {
            return Err("expected COUNT,MEAN,M2".to_owned());
        };
        let count = count.parse().map_err(|error| format!("`{count}`: {error}"))?;
        let number = |text: &str| text.parse().map_err(|error| format!("`{text}`: {error}"));
        Ok(Self { count, mean: number(mean)?, m2: number(m2)? })
    }
}

/// Signs what the coordinator will read in a message. What it cannot read gets a signature of other bytes.
fn signed<M: Wire, S: Statement>(
    key: &SigningKey,
    message: M::Message,
    statement: impl FnOnce(&M) -> S,
) -> String {
    let read = M::from_message(message).map(|value| key.sign(&statement(&value)));
    read.as_ref().map_or_else(|_| "0".repeat(128), KeySignature::to_string)
}

/// A member that claims things of one assignment.
pub(super) struct Claimant {
    member: Member,
    key: SigningKey,
    offer: Assignment<Offered>,
    lease_token: String,
    tries: u64,
}

impl Claimant {
    /// Accepts the assignment.
    ///
    /// # Errors
    /// If it is not offered.
    pub(super) async fn new(member: Member, identity: &Path, assignment: &str) -> anyhow::Result<Self> {
        let key = SigningKey::from_file(&std::fs::read_to_string(identity.join("signing.key"))?)?;
        let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
        let offers = member.participant().poll(poll).await?.into_inner().assignments;
        let offer = offers.into_iter().find(|offer| offer.id == assignment);
        let offer = offer.with_context(|| format!("`{assignment}` is not offered"))?;
        let offer = Assignment::from_message(offer)?;
        let lease_token = member.accept(assignment).await?;
        Ok(Self { member, key, offer, lease_token, tries: 0 })
    }

    /// The assignment and a new key of a call.
    fn call(&mut self) -> (String, String) {
        self.tries += 1;
        (self.offer.id.to_string(), format!("{:032x}", self.tries))
    }

    /// Sends statistics, the same moments of each band, one set after the other.
    pub(super) async fn statistics(mut self, all: Vec<Moments>) -> anyhow::Result<()> {
        let bands = match &self.offer.training_target {
            Offered::Bands(bands) => bands.clone(),
            Offered::Specialist(model) => model.bands.clone(),
            Offered::Head(_) => bail!("a head needs no statistics"),
        };
        for Moments { count, mean, m2 } in all {
            let of = |band: &String| v1::BandMoments { band: band.clone(), count, mean, m2, values: None };
            let bands: Vec<v1::BandMoments> = bands.iter().map(of).collect();
            let read: Result<Vec<_>, _> = bands.iter().cloned().map(BandMoments::from_message).collect();
            let signature = read.map(|read| self.key.sign(&StatisticsStatement::of(&self.offer.id, &read)));
            let signature = signature.map_or_else(|_| "0".repeat(128), |signature| signature.to_string());
            let lease_token = self.lease_token.clone();
            let (assignment, idempotency_key) = self.call();
            let submission =
                v1::SubmitStatisticsRequest { assignment, lease_token, idempotency_key, bands, signature };
            tell("statistics", self.member.participant().submit_statistics(submission).await)?;
        }
        Ok(())
    }

    /// Sends scores, one after the other.
    pub(super) async fn scores(mut self, claims: Vec<Claim>) -> anyhow::Result<()> {
        for Claim { samples, metrics } in claims {
            let report = v1::EvaluationReport {
                samples,
                metrics,
                scoring: None,
                energy: report(1, Vec::new()).energy,
            };
            let id = self.offer.id.clone();
            let signature = signed::<EvaluationReport, _>(&self.key, report.clone(), |read| {
                EvaluationStatement::of(&id, read)
            });
            let lease_token = self.lease_token.clone();
            let (assignment, idempotency_key) = self.call();
            let report = Some(report);
            let submission =
                v1::SubmitEvaluationRequest { assignment, lease_token, idempotency_key, report, signature };
            tell("scores", self.member.participant().submit_evaluation(submission).await)?;
        }
        Ok(())
    }

    /// Sends the starting weights with `shift` added to each value, with one claim after the other.
    pub(super) async fn update(mut self, shift: f32, claims: Vec<Claim>) -> anyhow::Result<()> {
        let bytes = shifted(self.starting_weights().await?, shift)?;
        let (digest, size) = (digest_of(&bytes), bytes.len() as u64);
        ensure!(self.member.upload("upload", bytes).await?, "the weights are not let in");
        for Claim { samples, metrics } in claims {
            let report = report(samples, metrics);
            let weights = (digest.parse()?, size);
            let id = self.offer.id.clone();
            let signature = signed::<TrainingReport, _>(&self.key, report.clone(), |read| {
                UpdateStatement::of(&id, weights, read)
            });
            let lease_token = self.lease_token.clone();
            let (assignment, idempotency_key) = self.call();
            let submission = v1::SubmitUpdateRequest {
                assignment,
                lease_token,
                idempotency_key,
                weights: Some(v1::Blob { digest: digest.clone(), size }),
                report: Some(report),
                signature,
                statistics: None,
                start_metrics: Vec::new(),
                points: Vec::new(),
            };
            tell("update", self.member.participant().submit_update(submission).await)?;
        }
        Ok(())
    }

    /// The weights that the assignment starts from.
    async fn starting_weights(&self) -> anyhow::Result<Vec<u8>> {
        let Work::Training(work) = &self.offer.work else { bail!("it is no training") };
        if let Some(base) = work.base {
            let request = v1::DownloadRequest { digest: base.digest.to_string(), offset: 0 };
            let mut parts = BlobsClient::new(self.member.0.clone()).download(request).await?.into_inner();
            let mut bytes = Vec::new();
            while let Some(v1::DownloadResponse { chunk }) = parts.message().await? {
                bytes.extend_from_slice(&chunk);
            }
            return Ok(bytes);
        }
        let Offered::Specialist(model) = &self.offer.training_target else { bail!("it is no specialist") };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("weights");
        write(&path, &signature(model), &initial_weights(model, SEED))?;
        Ok(std::fs::read(path)?)
    }
}

/// A safetensors file with `shift` added to each value. The values are 32-bit floats up to its end.
fn shifted(mut file: Vec<u8>, shift: f32) -> anyhow::Result<Vec<u8>> {
    let (length, _) = file.split_first_chunk::<8>().context("no safetensors file")?;
    let start = usize::try_from(u64::from_le_bytes(*length))?.saturating_add(8);
    let values = file.get_mut(start..).context("no safetensors file")?;
    for value in values.as_chunks_mut::<4>().0 {
        *value = (f32::from_le_bytes(*value) + shift).to_le_bytes();
    }
    Ok(file)
}
