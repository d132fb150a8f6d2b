//! One institution of many, which speaks the real protocol: it joins, waits for work and submits.

use std::path::Path;
use std::time::{Duration, Instant};

use eosfed_common::assignment::{Assignment, BlobRef, Lease, Offered, Progress, UpdateSubmission, Work};
use eosfed_common::head::{HeadOver, MAX_HEAD_BYTES};
use eosfed_common::ids::{IdempotencyKey, InstitutionName};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::secret::Secret;
use eosfed_common::traffic::ByteCounts;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::write;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::signing;
use eosfed_testkit::submissions::{report, update};
use eosfed_transport::channel::{Transport, open};
use eosfed_transport::enrollment::{self, Enrolled};
use eosfed_transport::meter::Meter;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::status::from_status;
use eosfed_transport::transfer::{self, Start};
use eosfed_transport::wire::{Heartbeat, Wire as _};
use tonic::{Response, Status};

/// How long the coordinator may delay the answer to a poll, as in the daemon.
const POLL_TIMEOUT: Duration = Duration::from_secs(25);
/// Interval of heartbeats, as in the daemon.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// The answer, or the coordinator's refusal.
pub(crate) fn answer<T>(answer: Result<Response<T>, Status>) -> Result<T, Refusal> {
    answer.map(Response::into_inner).map_err(|status| from_status(&status))
}

/// An institution with a certificate.
#[derive(Clone)]
pub(crate) struct Member {
    name: InstitutionName,
    enrolled: Enrolled,
}

/// Invites an institution and enrols as it.
pub(crate) async fn enroll(
    mut operator: OperatorClient<Transport>,
    url: &str,
    name: InstitutionName,
) -> anyhow::Result<Member> {
    let request = v1::InviteInstitutionRequest { name: name.to_string(), valid_for_seconds: 3600 };
    let invited = answer(operator.invite_institution(request).await)?;
    let transport = open(url, &invited.ca_pem, None, Meter::default())?;
    let signing_key = signing::institution(name.as_str());
    let secret = Secret::new(invited.secret);
    let enrolled = enrollment::enroll(transport, &name, secret, &signing_key).await?;
    Ok(Member { name, enrolled })
}

/// An institution with its own connection.
#[derive(Clone)]
pub(crate) struct Institution {
    pub(crate) name: InstitutionName,
    transport: Transport,
    meter: Meter,
}

impl Member {
    /// Writes its identity to a folder.
    pub(crate) fn write(&self, folder: &IdentityFolder, url: &str) -> anyhow::Result<()> {
        Ok(folder.write(&self.enrolled.pair, &self.enrolled.ca_pem, url)?)
    }

    /// Greets over a new connection. Returns how long that took.
    pub(crate) async fn reconnect(&self, url: &str) -> anyhow::Result<Duration> {
        Ok(self.clone().connect(url).await?.1)
    }

    /// Connects and greets. Returns how long that took.
    pub(crate) async fn connect(self, url: &str) -> anyhow::Result<(Institution, Duration)> {
        let started = Instant::now();
        let meter = Meter::default();
        let transport = open(url, &self.enrolled.ca_pem, Some(&self.enrolled.pair), meter.clone())?;
        let institution = Institution { name: self.name, transport, meter };
        institution.hello().await?;
        Ok((institution, started.elapsed()))
    }
}

/// Work that has been accepted.
#[derive(Clone)]
pub(crate) struct Held {
    assignment: Assignment<Offered>,
    lease: Lease,
}

impl Held {
    /// A heartbeat as it is sent.
    pub(crate) fn heartbeat(&self, progress: Progress) -> v1::HeartbeatRequest {
        let assignment = self.assignment.id.clone();
        Heartbeat { assignment, token: self.lease.token.clone(), progress }.into_message()
    }
}

impl Institution {
    fn participant(&self) -> ParticipantClient<Transport> {
        ParticipantClient::new(self.transport.clone())
    }

    /// A greeting. Returns how long the answer took.
    pub(crate) async fn hello(&self) -> Result<Duration, Refusal> {
        let started = Instant::now();
        let request =
            v1::HelloRequest { protocol: PROTOCOL.into(), version: env!("CARGO_PKG_VERSION").to_owned() };
        answer(self.participant().hello(request).await)?;
        Ok(started.elapsed())
    }

    /// Waits until the offered work differs from the work seen last, and returns it.
    pub(crate) async fn poll(&self, seen: u64) -> Result<v1::PollResponse, Refusal> {
        let wait_ms = POLL_TIMEOUT.as_millis() as u32;
        answer(self.participant().poll(v1::PollRequest { seen_revision: seen, wait_ms }).await)
    }

    /// Bytes that it has sent so far.
    pub(crate) fn sent(&self) -> u64 {
        let ByteCounts { weights, metrics, control } = self.meter.sent();
        weights + metrics + control
    }

    /// Waits for the offer of a round.
    pub(crate) async fn offered(&self, round: u32) -> anyhow::Result<Assignment<Offered>> {
        let mut seen = 0;
        loop {
            let answer = self.poll(seen).await?;
            seen = answer.revision;
            for message in answer.assignments {
                let assignment = Assignment::<Offered>::from_message(message)?;
                if assignment.id.round == round {
                    return Ok(assignment);
                }
            }
        }
    }

    /// Downloads the weights that an assignment starts from, if there are some, and gives their bytes.
    pub(crate) async fn download_base(&self, held: &Held, path: &Path) -> anyhow::Result<u64> {
        let Work::Training(work) = &held.assignment.work else { return Ok(0) };
        let Some(base) = work.base else { return Ok(0) };
        transfer::download(self.transport.clone(), base, path).await?;
        Ok(base.size)
    }

    /// Works, with heartbeats beside the work.
    pub(crate) async fn holding<T>(
        &self,
        held: &Held,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        // The submission may already be recorded when a heartbeat is refused as too late, so only the answer to
        // the submission decides, as in the daemon.
        let over = [Reason::WrongState, Reason::RoundClosed, Reason::JobEnded];
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => done,
            refusal = self.clone().send_heartbeats(held.clone()) => match over.contains(&refusal.reason) {
                true => work.await,
                false => Err(refusal.into()),
            },
        }
    }

    /// Accepts an assignment.
    pub(crate) async fn accept(&self, assignment: Assignment<Offered>) -> anyhow::Result<Held> {
        let request = v1::AcceptRequest { assignment: assignment.id.to_string() };
        let lease = answer(self.participant().accept(request).await)?;
        Ok(Held { assignment, lease: Lease::from_message(lease)? })
    }

    /// Sends heartbeats without end.
    pub(crate) async fn send_heartbeats(self, held: Held) -> Refusal {
        for step in 1.. {
            let progress = Progress { step, steps: 1_000_000, points: Vec::new() };
            if let Err(refusal) = self.heartbeat(&held, progress).await {
                return refusal;
            }
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
        unreachable!("no number of heartbeats is the last")
    }

    /// Sends one heartbeat. Returns how long the answer took.
    pub(crate) async fn heartbeat(&self, held: &Held, progress: Progress) -> Result<Duration, Refusal> {
        let request = held.heartbeat(progress);
        let started = Instant::now();
        answer(self.participant().heartbeat(request).await)?;
        Ok(started.elapsed())
    }

    /// Weights of what an assignment trains, which follow from `seed`, as a file of this path.
    pub(crate) async fn weights(&self, held: &Held, path: &Path, seed: u64) -> anyhow::Result<BlobRef> {
        let target = match &held.assignment.training_target {
            Offered::Specialist(model) => TrainingTarget::Specialist(model.clone()),
            Offered::Bands(_) => anyhow::bail!("statistics have no weights"),
            Offered::Head(document) => {
                let transport = self.transport.clone();
                let bytes = transfer::fetch_document(transport, *document, MAX_HEAD_BYTES as u64).await?;
                TrainingTarget::Head(Box::new(HeadOver::from_bytes(&bytes)?))
            }
        };
        let digest = write(path, &target.signature(), &target.initial_weights(seed))?;
        Ok(BlobRef { digest, size: std::fs::metadata(path)?.len() })
    }

    /// Uploads weights. Returns how long that took.
    pub(crate) async fn upload(&self, file: &Path, weights: BlobRef) -> Result<Duration, Refusal> {
        let started = Instant::now();
        transfer::upload(self.transport.clone(), file, weights, Start::WhereItStands, |_| Ok(())).await?;
        Ok(started.elapsed())
    }

    /// Submits the uploaded weights. Returns how long the answer took.
    pub(crate) async fn submit(&self, held: &Held, weights: BlobRef) -> anyhow::Result<Duration> {
        let key = IdempotencyKey::random(&mut rand::rng());
        self.submit_as(held, weights, key).await
    }

    /// The same with a key, under which it can be repeated.
    pub(crate) async fn submit_as(
        &self,
        held: &Held,
        weights: BlobRef,
        key: IdempotencyKey,
    ) -> anyhow::Result<Duration> {
        let Work::Training(work) = &held.assignment.work else { anyhow::bail!("this is no training") };
        let report = report(100, work.normalisation.clone().unwrap_or_default());
        let submission =
            UpdateSubmission { key, ..update(&held.assignment.id, &held.lease.token, weights, report) };
        let started = Instant::now();
        answer(self.participant().submit_update(submission.into_message()).await)?;
        Ok(started.elapsed())
    }
}
