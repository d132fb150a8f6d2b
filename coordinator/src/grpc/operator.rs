//! What operators and users of releases say.

use std::time::Duration;

use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, ReleaseNumber};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_server::Operator;
use eosfed_transport::status::to_status;
use eosfed_transport::wire::{limited, parse};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Context, access, agree, reply};
use crate::domain::registry::SpecialistRef;
use crate::domain::view;
use crate::engine::{Core, Handle, Invited, Snapshot};
use crate::storage::SCHEMA;

/// Shortest time between two messages of a watch.
const WATCH_PAUSE: Duration = Duration::from_millis(250);
/// Most references in one call.
const MAX_REFERENCES: usize = 1000;

pub(super) struct Service(pub(super) Context);

fn json<T: Serialize>(value: &T) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal::new(Reason::Internal, error.to_string()))
}

fn job_json(engine: &Handle, id: &JobId) -> Result<(String, bool), Refusal> {
    let view = view::job(&engine.job(id)?);
    Ok((json(&view)?, view.state.is_at_rest()))
}

impl Service {
    async fn invite(
        &self,
        request: Request<v1::InviteInstitutionRequest>,
    ) -> Result<v1::InviteInstitutionResponse, Refusal> {
        let by = access::operator(&request)?;
        let v1::InviteInstitutionRequest { name, valid_for_seconds } = request.into_inner();
        let name: InstitutionName = parse("name", &name)?;
        let (invited, valid_for) = (name.clone(), Duration::from_secs(valid_for_seconds));
        let invited =
            self.0.engine.call(async move |core: &Core| core.invite(&invited, valid_for).await).await?;
        let Invited { secret, expires_at, enrolled_before } = invited;
        tracing::info!(institution = %name, %by, %expires_at, "invited");
        Ok(v1::InviteInstitutionResponse {
            secret,
            expires_at: expires_at.0,
            public_url: self.0.public_url.to_string(),
            ca_pem: self.0.authority.certificate_pem().to_owned(),
            enrolled_before,
        })
    }

    fn institutions(&self) -> Result<v1::ListInstitutionsResponse, Refusal> {
        let list = self.0.engine.institutions().into_iter().map(|institution| {
            let (last_seen, received) = self.0.traffic.of(&institution.name);
            json(&view::institution(&institution, last_seen, received))
        });
        Ok(v1::ListInstitutionsResponse { institutions_json: list.collect::<Result<_, _>>()? })
    }

    async fn submit(&self, request: Request<v1::SubmitJobRequest>) -> Result<v1::SubmitJobResponse, Refusal> {
        let by = access::operator(&request)?;
        let v1::SubmitJobRequest { plan_toml, idempotency_key } = request.into_inner();
        let key: IdempotencyKey = parse("idempotency_key", &idempotency_key)?;
        let spec = JobSpec::parse(&plan_toml)
            .map_err(|error| Refusal::new(Reason::PlanInvalid, error.to_string()))?;
        let name = spec.name().to_owned();
        let operator = by.clone();
        let job =
            self.0.engine.call(async move |core: &Core| core.submit_job(spec, &operator, key).await).await?;
        tracing::info!(%job, name, %by, "submitted");
        Ok(v1::SubmitJobResponse { job: job.to_string() })
    }

    async fn go_on(
        &self,
        request: Request<v1::ContinueFromRequest>,
    ) -> Result<v1::ContinueFromResponse, Refusal> {
        let by = access::operator(&request)?;
        let v1::ContinueFromRequest { job, round, rounds_toml, idempotency_key } = request.into_inner();
        let (origin, key) = (parse::<JobId>("job", &job)?, parse("idempotency_key", &idempotency_key)?);
        let rounds = match rounds_toml.as_str() {
            "" => None,
            text => {
                Some(RoundsPlan::parse(text).map_err(|message| Refusal::new(Reason::PlanInvalid, message))?)
            }
        };
        let (from, operator) = (origin.clone(), by.clone());
        let fork = async move |core: &Core| core.job_from(&from, round, rounds, &operator, key).await;
        let job = self.0.engine.call(fork).await?;
        tracing::info!(%job, %origin, round, %by, "goes on from another");
        Ok(v1::ContinueFromResponse { job: job.to_string() })
    }

    fn watch(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<ReceiverStream<Result<v1::WatchJobResponse, Status>>, Refusal> {
        access::reader(&request)?;
        let id: JobId = parse("job", &request.into_inner().job)?;
        self.0.engine.job(&id)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(watch(self.0.engine.clone(), id, sender));
        Ok(ReceiverStream::new(receiver))
    }

    async fn release(
        &self,
        request: Request<v1::CreateReleaseRequest>,
    ) -> Result<v1::CreateReleaseResponse, Refusal> {
        let by = access::operator(&request)?;
        let v1::CreateReleaseRequest { specialists, note, idempotency_key } = request.into_inner();
        if specialists.len() > MAX_REFERENCES {
            let message = format!("at most {MAX_REFERENCES} specialists, found `{}`", specialists.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        let references =
            specialists.iter().map(|text| text.parse()).collect::<Result<Vec<SpecialistRef>, _>>()?;
        let note = limited("note", &note)?.to_owned();
        let key: IdempotencyKey = parse("idempotency_key", &idempotency_key)?;
        let create = async move |core: &Core| core.create_release(&references, note, key).await;
        let manifest = self.0.engine.call(create).await?;
        tracing::info!(release = %manifest.number, %by, "cut");
        Ok(v1::CreateReleaseResponse { manifest_json: json(&manifest)? })
    }
}

impl Service {
    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<v1::BackupResponse, Refusal> {
        let by = access::operator(&request)?;
        let v1::BackupRequest {} = request.into_inner();
        let snapshot = self.0.engine.call(async |core: &Core| core.take_snapshot().await).await?;
        let Snapshot { folder, records, blobs } = snapshot;
        tracing::info!(folder, records, blobs, %by, "a snapshot for a backup was taken");
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Ok(v1::BackupResponse { folder, records, blobs, schema: SCHEMA, release })
    }
}

/// Sends the job now and after each change, until it rests or nobody listens.
async fn watch(engine: Handle, id: JobId, sender: mpsc::Sender<Result<v1::WatchJobResponse, Status>>) {
    let mut changes = engine.changes();
    let mut sent = String::new();
    loop {
        changes.mark_unchanged();
        let (message, last) = match job_json(&engine, &id) {
            Ok((job_json, _)) if job_json == sent => (None, false),
            Ok((job_json, rests)) => {
                sent.clone_from(&job_json);
                (Some(Ok(v1::WatchJobResponse { job_json })), rests)
            }
            Err(refusal) => (Some(Err(to_status(&refusal))), true),
        };
        if let Some(message) = message
            && (sender.send(message).await.is_err() || last)
        {
            return;
        }
        tokio::time::sleep(WATCH_PAUSE).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

#[tonic::async_trait]
impl Operator for Service {
    type WatchJobStream = ReceiverStream<Result<v1::WatchJobResponse, Status>>;

    async fn hello(
        &self,
        request: Request<v1::OperatorHelloRequest>,
    ) -> Result<Response<v1::OperatorHelloResponse>, Status> {
        reply(access::reader(&request).and_then(|caller| {
            let v1::OperatorHelloRequest { protocol, release } = request.into_inner();
            Ok(v1::OperatorHelloResponse {
                protocol: agree("`eosfed` command", protocol, &release)?.into(),
                release: env!("CARGO_PKG_VERSION").to_owned(),
                name: caller.name.to_string(),
                role: caller.role.to_string(),
            })
        }))
    }

    async fn invite_institution(
        &self,
        request: Request<v1::InviteInstitutionRequest>,
    ) -> Result<Response<v1::InviteInstitutionResponse>, Status> {
        reply(self.invite(request).await)
    }

    async fn list_institutions(
        &self,
        request: Request<v1::ListInstitutionsRequest>,
    ) -> Result<Response<v1::ListInstitutionsResponse>, Status> {
        reply(access::reader(&request).and_then(|_| self.institutions()))
    }

    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::SubmitJobResponse>, Status> {
        reply(self.submit(request).await)
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let jobs = self.0.engine.jobs();
            let jobs_json = jobs.iter().map(|job| json(&view::job(job))).collect::<Result<_, _>>()?;
            Ok(v1::ListJobsResponse { jobs_json })
        }))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let id = parse("job", &request.into_inner().job)?;
            Ok(v1::GetJobResponse { job_json: job_json(&self.0.engine, &id)?.0 })
        }))
    }

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        reply(self.watch(request))
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        let cancel = async {
            let by = access::operator(&request)?;
            let id: JobId = parse("job", &request.into_inner().job)?;
            tracing::info!(job = %id, %by, "cancelled");
            self.0.engine.call(async move |core: &Core| core.cancel_job(&id, by).await).await?;
            Ok(v1::CancelJobResponse {})
        };
        reply(cancel.await)
    }

    async fn resume_job(
        &self,
        request: Request<v1::ResumeJobRequest>,
    ) -> Result<Response<v1::ResumeJobResponse>, Status> {
        let resume = async {
            let by = access::operator(&request)?;
            let id: JobId = parse("job", &request.into_inner().job)?;
            tracing::info!(job = %id, %by, "resumed");
            self.0.engine.call(async move |core: &Core| core.resume_job(&id).await).await?;
            Ok(v1::ResumeJobResponse {})
        };
        reply(resume.await)
    }

    async fn pause_job(
        &self,
        request: Request<v1::PauseJobRequest>,
    ) -> Result<Response<v1::PauseJobResponse>, Status> {
        let pause = async {
            let by = access::operator(&request)?;
            let id: JobId = parse("job", &request.into_inner().job)?;
            tracing::info!(job = %id, %by, "paused");
            self.0.engine.call(async move |core: &Core| core.pause_job(&id, by).await).await?;
            Ok(v1::PauseJobResponse {})
        };
        reply(pause.await)
    }

    async fn retry_institution(
        &self,
        request: Request<v1::RetryInstitutionRequest>,
    ) -> Result<Response<v1::RetryInstitutionResponse>, Status> {
        let retry = async {
            let by = access::operator(&request)?;
            let v1::RetryInstitutionRequest { job, institution } = request.into_inner();
            let id: JobId = parse("job", &job)?;
            let institution: InstitutionName = parse("institution", &institution)?;
            tracing::info!(job = %id, %institution, %by, "asked again");
            self.0.engine.call(async move |core: &Core| core.retry(&id, institution).await).await?;
            Ok(v1::RetryInstitutionResponse {})
        };
        reply(retry.await)
    }

    async fn continue_from(
        &self,
        request: Request<v1::ContinueFromRequest>,
    ) -> Result<Response<v1::ContinueFromResponse>, Status> {
        reply(self.go_on(request).await)
    }

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<v1::BackupResponse>, Status> {
        reply(Self::backup(self, request).await)
    }

    async fn list_specialists(
        &self,
        request: Request<v1::ListSpecialistsRequest>,
    ) -> Result<Response<v1::ListSpecialistsResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let cards = self.0.engine.specialists();
            Ok(v1::ListSpecialistsResponse { cards_json: cards.iter().map(json).collect::<Result<_, _>>()? })
        }))
    }

    async fn get_specialist(
        &self,
        request: Request<v1::GetSpecialistRequest>,
    ) -> Result<Response<v1::GetSpecialistResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let reference: SpecialistRef = request.into_inner().reference.parse()?;
            let card = self.0.engine.specialist(&reference)?;
            let (evaluations, set_aside) = self.0.engine.evaluation_status(&card);
            Ok(v1::GetSpecialistResponse {
                card_json: json(&card)?,
                evaluations_json: evaluations
                    .into_iter()
                    .map(|one| json(&view::evaluation(one)))
                    .collect::<Result<_, _>>()?,
                set_aside: set_aside.unwrap_or_default(),
            })
        }))
    }

    async fn create_release(
        &self,
        request: Request<v1::CreateReleaseRequest>,
    ) -> Result<Response<v1::CreateReleaseResponse>, Status> {
        reply(self.release(request).await)
    }

    async fn list_releases(
        &self,
        request: Request<v1::ListReleasesRequest>,
    ) -> Result<Response<v1::ListReleasesResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let manifests = self.0.engine.releases();
            let manifests_json = manifests.iter().map(json).collect::<Result<_, _>>()?;
            Ok(v1::ListReleasesResponse { manifests_json })
        }))
    }

    async fn get_release(
        &self,
        request: Request<v1::GetReleaseRequest>,
    ) -> Result<Response<v1::GetReleaseResponse>, Status> {
        reply(access::reader(&request).and_then(|_| {
            let number = request.into_inner().number;
            let number = (number != 0).then_some(ReleaseNumber(number));
            Ok(v1::GetReleaseResponse { manifest_json: json(&self.0.engine.release(number)?)? })
        }))
    }
}
