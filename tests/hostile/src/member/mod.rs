//! What a dishonest institution tries, with its own identity or with a stolen one. Each attack is a series of
//! calls whose answers are printed as JSON lines.

mod claims;
mod stay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Subcommand;
use eosfed_common::report::TrainingReport;
use eosfed_common::signing::{SigningKey, UpdateStatement};
use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_proto::v1::upload_request::Part;
use eosfed_transport::wire::Wire as _;
use prost::Message as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::connection::{Target, identity_folder};
use claims::{Claim, Claimant, Moments};

/// Bytes of a chunk of an upload.
const CHUNK: usize = 256 << 10;
/// Most heartbeats of a flood.
const MAX_HEARTBEATS: u64 = 20_000;
/// Curve points of one heartbeat of a flood, as many as one may have.
const POINTS: u64 = 32;

/// The options of a dishonest member.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the coordinator listens; an address of this machine
    #[arg(long, value_name = "HOST:PORT")]
    coordinator: SocketAddr,
    /// Folder with `key.pem`, `certificate.pem` and `ca.pem`
    #[arg(long, value_name = "DIR", value_parser = identity_folder)]
    identity: PathBuf,
    #[command(subcommand)]
    attack: Attack,
}

#[derive(Debug, Subcommand)]
enum Attack {
    /// Greet, and keep the connection until the standard input ends; then greet again over it
    Greet,
    /// Greet, and ask for work over the same connection until that ends; then greet again and renew
    Stay,
    /// Accept work and send heartbeats with all points and metrics that one may have, without end
    Heartbeats {
        /// The work, such as j-0a1b2c3d.0.1.mallory
        assignment: String,
    },
    /// Accept work and upload files of random bytes
    Uploads {
        /// The work
        assignment: String,
        /// How many files of a million bytes
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u8).range(1..=100))]
        files: u8,
    },
    /// Ask for a blob of another institution by its digest, fetch it, and hand it in as its own
    Steal {
        /// The work to hand it in for
        assignment: String,
        /// The blob, `sha256:` and 64 hexadecimal digits
        digest: String,
        /// Its size in bytes
        size: u64,
    },
    /// Measure bands, and find the same moments in each; several claims one after the other
    Statistics {
        /// The work
        assignment: String,
        /// What is claimed
        #[arg(long, value_name = "COUNT,MEAN,M2", required = true)]
        moments: Vec<Moments>,
    },
    /// Hand in the starting weights as trained ones; several claims one after the other
    Update {
        /// The work
        assignment: String,
        /// Added to each value
        #[arg(long, default_value_t = 0.0)]
        shift: f32,
        /// What is claimed
        #[arg(long, value_name = "SAMPLES[,METRIC=VALUE]...", required = true)]
        claim: Vec<Claim>,
    },
    /// Score a specialist without looking at it; several claims one after the other
    Scores {
        /// The work
        assignment: String,
        /// What is claimed
        #[arg(long, value_name = "SAMPLES[,METRIC=VALUE]...", required = true)]
        claim: Vec<Claim>,
    },
    /// Put control characters and escape sequences into every text
    Escape {
        /// The work
        assignment: String,
    },
}

/// The answer to a call.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    call: &'a str,
    /// `OK`, a reason of the protocol, or the code of gRPC.
    answer: String,
    message: String,
}

/// Prints the answer to a call; whether it succeeded.
fn tell<T>(call: &str, answer: Result<Response<T>, Status>) -> anyhow::Result<Option<T>> {
    let (said, value) = match answer {
        Ok(answer) => {
            (Answer { call, answer: "OK".to_owned(), message: String::new() }, Some(answer.into_inner()))
        }
        Err(status) => {
            let refusal = status.metadata().get_bin("eosfed-refusal-bin");
            let refusal = refusal.and_then(|value| value.to_bytes().ok());
            let refusal = refusal.and_then(|bytes| v1::Refusal::decode(bytes).ok());
            let said = match refusal {
                Some(v1::Refusal { reason, message }) => Answer { call, answer: reason, message },
                None => Answer {
                    call,
                    answer: format!("{:?}", status.code()),
                    message: status.message().to_owned(),
                },
            };
            (said, None)
        }
    };
    println!("{}", serde_json::to_string(&said)?);
    Ok(value)
}

/// Attacks, and prints the answers.
///
/// # Errors
/// If the coordinator cannot be reached, or does not offer the work.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { coordinator, identity, attack } = arguments;
    let target = Target::new(coordinator, identity.clone())?;
    let member = Member(target.channel(IpAddr::V4(Ipv4Addr::LOCALHOST), true).await?);
    match attack {
        Attack::Greet => member.greet().await,
        Attack::Stay => stay::run(&member, &identity).await,
        Attack::Heartbeats { assignment } => member.heartbeats(assignment).await,
        Attack::Uploads { assignment, files } => member.uploads(assignment, files).await,
        Attack::Steal { assignment, digest, size } => member.steal(&identity, assignment, digest, size).await,
        Attack::Statistics { assignment, moments } => {
            Claimant::new(member, &identity, &assignment).await?.statistics(moments).await
        }
        Attack::Update { assignment, shift, claim } => {
            Claimant::new(member, &identity, &assignment).await?.update(shift, claim).await
        }
        Attack::Scores { assignment, claim } => {
            Claimant::new(member, &identity, &assignment).await?.scores(claim).await
        }
        Attack::Escape { assignment } => member.escape(assignment).await,
    }
}

/// A member's connection.
struct Member(Channel);

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Member {
    fn participant(&self) -> ParticipantClient<Channel> {
        ParticipantClient::new(self.0.clone())
    }

    async fn hello(&self) -> anyhow::Result<()> {
        let protocol = v1::ProtocolVersion::ProtocolVersion2.into();
        let request = v1::HelloRequest { protocol, version: "0.1.0".to_owned() };
        tell("hello", self.participant().hello(request).await).map(drop)
    }

    async fn greet(&self) -> anyhow::Result<()> {
        self.hello().await?;
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        self.hello().await
    }

    async fn accept(&self, assignment: &str) -> anyhow::Result<String> {
        let request = v1::AcceptRequest { assignment: assignment.to_owned() };
        let lease = tell("accept", self.participant().accept(request).await)?;
        Ok(lease.context("the work is not accepted")?.lease_token)
    }

    async fn heartbeats(&self, assignment: String) -> anyhow::Result<()> {
        let lease_token = self.accept(&assignment).await?;
        let metric = |name: &str, value: f64| v1::Metric { name: name.to_owned(), value };
        let beat = |step: u64, points: Vec<v1::CurvePoint>| v1::HeartbeatRequest {
            assignment: assignment.clone(),
            lease_token: lease_token.clone(),
            step,
            steps: u64::MAX,
            points,
        };
        let point = |step: u64, metrics: Vec<v1::Metric>| v1::CurvePoint { step, loss: 0.5, metrics };
        let mut participant = self.participant();
        let long: Vec<_> = (0..64).map(|at| metric(&format!("m{at:0>1023}"), 0.5)).collect();
        tell("long names", participant.heartbeat(beat(1, vec![point(1, long); 400])).await)?;
        let beyond = vec![point(1, vec![metric("accuracy", -1e9)])];
        tell("beyond the range", participant.heartbeat(beat(1, beyond)).await)?;
        let names = ["accuracy", "miou", "macro_f1", "map", "rmse", "mae", "r2", "loss"];
        let metrics: Vec<_> = names.into_iter().map(|name| metric(name, 0.5)).collect();
        for number in 0..MAX_HEARTBEATS {
            let points = (0..POINTS).map(|at| point(number * POINTS + at + 1, metrics.clone())).collect();
            if tell("flood", participant.heartbeat(beat(number + 1, points)).await)?.is_none() {
                return Ok(());
            }
        }
        anyhow::bail!("{MAX_HEARTBEATS} heartbeats of {POINTS} points were accepted")
    }

    async fn upload(&self, call: &str, bytes: Vec<u8>) -> anyhow::Result<bool> {
        let header = v1::UploadHeader { digest: digest_of(&bytes), size: bytes.len() as u64, offset: 0 };
        let chunks: Vec<_> =
            bytes.chunks(CHUNK).map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk))).collect();
        let parts = std::iter::once(Part::Header(header)).chain(chunks);
        let parts =
            tokio_stream::iter(parts.map(|part| v1::UploadRequest { part: Some(part) }).collect::<Vec<_>>());
        let answer = BlobsClient::new(self.0.clone()).upload(parts).await;
        Ok(tell(call, answer)?.is_some())
    }

    async fn uploads(&self, assignment: String, files: u8) -> anyhow::Result<()> {
        self.accept(&assignment).await?;
        for seed in 0..files {
            let junk = (0..1_000_000_u32).map(|at| (at >> 8) as u8 ^ seed).collect();
            self.upload("upload", junk).await?;
        }
        Ok(())
    }

    async fn steal(
        &self,
        identity: &Path,
        assignment: String,
        digest: String,
        size: u64,
    ) -> anyhow::Result<()> {
        let lease_token = self.accept(&assignment).await?;
        let mut blobs = BlobsClient::new(self.0.clone());
        let stat = blobs.stat(v1::StatRequest { digest: digest.clone() }).await?.into_inner();
        let known = if stat.complete || stat.bytes > 0 { "KNOWN" } else { "NOT KNOWN" };
        let said = Answer { call: "stat", answer: known.to_owned(), message: String::new() };
        println!("{}", serde_json::to_string(&said)?);
        let download = v1::DownloadRequest { digest: digest.clone(), offset: 0 };
        tell("download", blobs.download(download).await)?;
        // It signs with its own key, as it must.
        let told = TrainingReport::from_message(report(9, Vec::new()))?;
        let statement = UpdateStatement::of(&assignment.parse()?, (digest.parse()?, size), &told);
        let key = SigningKey::from_file(&std::fs::read_to_string(identity.join("signing.key"))?)?;
        let signature = key.sign(&statement).to_string();
        let submission = v1::SubmitUpdateRequest {
            assignment,
            lease_token,
            idempotency_key: "0".repeat(32),
            weights: Some(v1::Blob { digest, size }),
            report: Some(report(9, Vec::new())),
            signature,
            statistics: None,
            start_metrics: Vec::new(),
            points: Vec::new(),
        };
        tell("submit", self.participant().submit_update(submission).await).map(drop)
    }

    async fn escape(&self, assignment: String) -> anyhow::Result<()> {
        const EVIL: &str = "fine\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}";
        let mut participant = self.participant();
        let hello = v1::HelloRequest {
            protocol: v1::ProtocolVersion::ProtocolVersion2.into(),
            version: EVIL.to_owned(),
        };
        tell("hello", participant.hello(hello).await)?;
        let lease_token = self.accept(&assignment).await?;
        let point = v1::CurvePoint {
            step: 1,
            loss: 0.5,
            metrics: vec![v1::Metric { name: EVIL.to_owned(), value: 0.5 }],
        };
        let beat = v1::HeartbeatRequest {
            assignment: assignment.clone(),
            lease_token: lease_token.clone(),
            step: 1,
            steps: 9,
            points: vec![point],
        };
        tell("heartbeat", participant.heartbeat(beat).await)?;
        let failure = v1::ReportFailureRequest { assignment, lease_token, message: EVIL.to_owned() };
        tell("failure", participant.report_failure(failure).await).map(drop)
    }
}

fn report(samples: u64, metrics: Vec<v1::Metric>) -> v1::TrainingReport {
    let normalisation = ["red", "green", "blue"];
    let normalisation = normalisation.into_iter().map(|band| v1::BandNormalisation {
        band: band.to_owned(),
        mean: 0.0,
        std: 1.0,
        values: None,
    });
    v1::TrainingReport {
        samples,
        metrics,
        scoring: None,
        normalisation: normalisation.collect(),
        energy: Some(v1::Energy { kwh: 0.0, source: v1::EnergySource::Unavailable.into(), co2e_grams: None }),
        initial: None,
        imagery: None,
        encoding: v1::Encoding::F32.into(),
        spent: None,
    }
}
