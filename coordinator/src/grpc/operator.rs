//! The service for operators and readers of releases.

mod jobs;
mod listing;
mod members;
mod releases;
mod rounds;
mod seeing;
mod storage;
mod watch;

use eosfed_common::identity::Role;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Actor, Filter};
use eosfed_common::refusal::Refusal;
use eosfed_common::view::SpecialistView;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_server::Operator;
use eosfed_transport::wire::{coordinator_keys_message, event_filter};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::access::Caller;
use super::{Context, access, agree, events, reply};
use crate::domain::paging::document;
use crate::domain::registry::SpecialistRef;
use crate::domain::view;
use crate::engine::{Core, Snapshot};
use crate::storage::SCHEMA;
use jobs::job_action;

/// A stream of rounds, in parts.
type RoundStream = ReceiverStream<Result<v1::RoundPart, Status>>;

pub(super) struct Service(pub(super) Context);

/// Whether the caller sees what is not released: operators do, readers do not.
fn sees_everything<T>(request: &Request<T>) -> Result<bool, Refusal> {
    Ok(access::caller(request)?.identity.role == Role::Operator)
}

impl Service {
    /// Readers see released specialists only, without the scores of single institutions.
    fn specialist(
        &self,
        request: &Request<v1::GetSpecialistRequest>,
    ) -> Result<v1::GetSpecialistResponse, Refusal> {
        let reference: SpecialistRef = request.get_ref().reference.parse()?;
        let everything = sees_everything(request)?;
        let engine = &self.0.engine;
        let card =
            if everything { engine.specialist(&reference) } else { engine.released_specialist(&reference) };
        let card = card?;
        let (evaluations, excluded) = engine.evaluation_status(&card);
        let evaluations = evaluations.into_iter().filter(|_| everything).map(view::evaluation).collect();
        let specialist = SpecialistView { card, evaluations, excluded };
        Ok(v1::GetSpecialistResponse { specialist_json: document(&specialist)? })
    }

    fn rounds(&self, request: Request<v1::ListRoundsRequest>) -> Result<RoundStream, Refusal> {
        let request = request.into_inner();
        let id = self.0.engine.resolve_job(&request.job)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(rounds::send_all(self.0.engine.clone(), request, id, sender));
        Ok(ReceiverStream::new(receiver))
    }

    fn round(&self, request: Request<v1::GetRoundRequest>) -> Result<RoundStream, Refusal> {
        let request = request.into_inner();
        let id = self.0.engine.resolve_job(&request.job)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(rounds::send_one(self.0.engine.clone(), request, id, sender));
        Ok(ReceiverStream::new(receiver))
    }

    fn events(
        &self,
        request: &Request<v1::ListEventsRequest>,
    ) -> Result<ReceiverStream<Result<v1::ListEventsResponse, Status>>, Refusal> {
        let request = request.get_ref();
        let job = match request.job.as_str() {
            "" => None,
            name => Some(self.0.engine.resolve_job(name)?),
        };
        let filter = Filter { job, ..event_filter(request)? };
        let newest = usize::try_from(request.newest).unwrap_or(usize::MAX);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(events::send(self.0.engine.clone(), filter, newest, sender));
        Ok(ReceiverStream::new(receiver))
    }

    /// Gives the answer to a call that changes the state. A refusal is recorded, unless it is transient.
    async fn audited<T>(
        &self,
        actor: Option<Actor>,
        action: &str,
        job: Option<JobId>,
        answer: Result<T, Refusal>,
    ) -> Result<Response<T>, Status> {
        if let (Some(actor), Err(refusal)) = (actor, &answer)
            && !refusal.reason.is_transient()
        {
            let refusal = refusal.clone();
            let action = action.to_owned();
            let record = async move |core: &Core| {
                core.record_refusal(actor, &action, job, &refusal).await;
                Ok(())
            };
            // The caller gets the refusal even if it cannot be recorded.
            let _ = self.0.engine.call(record).await;
        }
        reply(answer)
    }

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<v1::BackupResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::BackupRequest {} = request.into_inner();
        let snapshot = self.0.engine.call(async move |core: &Core| core.take_snapshot(by).await).await?;
        let Snapshot { folder, records, blobs } = snapshot;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(v1::BackupResponse { folder, records, blobs, schema: SCHEMA, version })
    }
}

#[tonic::async_trait]
impl Operator for Service {
    type GetRoundStream = RoundStream;
    type ListEventsStream = ReceiverStream<Result<v1::ListEventsResponse, Status>>;
    type ListRoundsStream = RoundStream;
    type WatchJobStream = ReceiverStream<Result<v1::WatchJobResponse, Status>>;

    async fn hello(
        &self,
        request: Request<v1::OperatorHelloRequest>,
    ) -> Result<Response<v1::OperatorHelloResponse>, Status> {
        reply(access::caller(&request).cloned().and_then(|Caller { identity: caller, .. }| {
            let v1::OperatorHelloRequest { protocol, version } = request.into_inner();
            Ok(v1::OperatorHelloResponse {
                protocol: agree("`eosfed` command", protocol, &version)?.into(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                name: caller.name.to_string(),
                role: caller.role.to_string(),
                coordinator_keys: coordinator_keys_message(self.0.signing.named()),
            })
        }))
    }

    async fn invite_institution(
        &self,
        request: Request<v1::InviteInstitutionRequest>,
    ) -> Result<Response<v1::InviteInstitutionResponse>, Status> {
        let actor = access::actor(&request);
        let answer = self.invite(request).await;
        self.audited(actor, "InviteInstitution", None, answer).await
    }

    async fn invite_person(
        &self,
        request: Request<v1::InvitePersonRequest>,
    ) -> Result<Response<v1::InviteInstitutionResponse>, Status> {
        let actor = access::actor(&request);
        let answer = Self::invite_person(self, request).await;
        self.audited(actor, "InvitePerson", None, answer).await
    }

    async fn re_enrol(
        &self,
        request: Request<v1::ReEnrolRequest>,
    ) -> Result<Response<v1::InviteInstitutionResponse>, Status> {
        let actor = access::actor(&request);
        let answer = Self::re_enrol(self, request).await;
        self.audited(actor, "ReEnrol", None, answer).await
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        let actor = access::actor(&request);
        let answer = Self::revoke(self, request).await;
        self.audited(actor, "Revoke", None, answer).await
    }

    async fn list_institutions(
        &self,
        request: Request<v1::ListInstitutionsRequest>,
    ) -> Result<Response<v1::ListInstitutionsResponse>, Status> {
        reply(self.institutions(request.into_inner()))
    }

    async fn get_institution(
        &self,
        request: Request<v1::GetInstitutionRequest>,
    ) -> Result<Response<v1::GetInstitutionResponse>, Status> {
        reply(self.institution(&request.into_inner()))
    }

    async fn list_people(
        &self,
        request: Request<v1::ListPeopleRequest>,
    ) -> Result<Response<v1::ListPeopleResponse>, Status> {
        reply(self.people(request.into_inner()))
    }

    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::SubmitJobResponse>, Status> {
        let actor = access::actor(&request);
        let answer = self.submit(request).await;
        self.audited(actor, "SubmitJob", None, answer).await
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        reply(self.jobs(request.into_inner()))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        reply(self.job(&request.into_inner().job))
    }

    async fn list_rounds(
        &self,
        request: Request<v1::ListRoundsRequest>,
    ) -> Result<Response<Self::ListRoundsStream>, Status> {
        reply(self.rounds(request))
    }

    async fn get_round(
        &self,
        request: Request<v1::GetRoundRequest>,
    ) -> Result<Response<Self::GetRoundStream>, Status> {
        reply(self.round(request))
    }

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        reply(self.watch(request))
    }

    async fn control_job(
        &self,
        request: Request<v1::ControlJobRequest>,
    ) -> Result<Response<v1::ControlJobResponse>, Status> {
        let actor = access::actor(&request);
        let by = access::name(&request);
        let v1::ControlJobRequest { job, action } = request.into_inner();
        let action = job_action(action);
        let name = action.as_ref().map_or_else(|_| "ControlJob".to_owned(), |one| one.as_ref().to_owned());
        let answer = self.control(by, &job, action).await;
        self.audited(actor, &name, self.0.engine.resolve_job(&job).ok(), answer).await
    }

    async fn fork_job(
        &self,
        request: Request<v1::ForkJobRequest>,
    ) -> Result<Response<v1::ForkJobResponse>, Status> {
        let actor = access::actor(&request);
        let job = self.0.engine.resolve_job(&request.get_ref().job).ok();
        let answer = self.fork(request).await;
        self.audited(actor, "ForkJob", job, answer).await
    }

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<v1::BackupResponse>, Status> {
        let actor = access::actor(&request);
        let answer = Self::backup(self, request).await;
        self.audited(actor, "Backup", None, answer).await
    }

    async fn get_overview(
        &self,
        _: Request<v1::GetOverviewRequest>,
    ) -> Result<Response<v1::GetOverviewResponse>, Status> {
        reply(self.overview().await)
    }

    async fn get_energy(
        &self,
        request: Request<v1::GetEnergyRequest>,
    ) -> Result<Response<v1::GetEnergyResponse>, Status> {
        reply(self.energy(request.into_inner()))
    }

    async fn get_storage(
        &self,
        request: Request<v1::GetStorageRequest>,
    ) -> Result<Response<v1::GetStorageResponse>, Status> {
        reply(self.storage(request.into_inner()).await)
    }

    async fn prune_storage(
        &self,
        request: Request<v1::PruneStorageRequest>,
    ) -> Result<Response<v1::PruneStorageResponse>, Status> {
        let actor = access::actor(&request);
        let job = self.0.engine.resolve_job(&request.get_ref().job).ok();
        let answer = self.prune(request).await;
        self.audited(actor, "PruneStorage", job, answer).await
    }

    async fn open_dashboard(
        &self,
        request: Request<v1::OpenDashboardRequest>,
    ) -> Result<Response<v1::OpenDashboardResponse>, Status> {
        reply(Self::open_dashboard(self, &request))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        let actor = access::actor(&request);
        let answer = self.events(&request);
        self.audited(actor, "ListEvents", None, answer).await
    }

    async fn list_specialists(
        &self,
        request: Request<v1::ListSpecialistsRequest>,
    ) -> Result<Response<v1::ListSpecialistsResponse>, Status> {
        let listed = sees_everything(&request)
            .and_then(|everything| self.specialists(!everything, request.into_inner()));
        reply(listed)
    }

    async fn get_specialist(
        &self,
        request: Request<v1::GetSpecialistRequest>,
    ) -> Result<Response<v1::GetSpecialistResponse>, Status> {
        reply(self.specialist(&request))
    }

    async fn create_release(
        &self,
        request: Request<v1::CreateReleaseRequest>,
    ) -> Result<Response<v1::CreateReleaseResponse>, Status> {
        let actor = access::actor(&request);
        let answer = self.release(request).await;
        self.audited(actor, "CreateRelease", None, answer).await
    }

    async fn list_releases(
        &self,
        request: Request<v1::ListReleasesRequest>,
    ) -> Result<Response<v1::ListReleasesResponse>, Status> {
        reply(self.releases(request.into_inner()))
    }

    async fn get_release(
        &self,
        request: Request<v1::GetReleaseRequest>,
    ) -> Result<Response<v1::GetReleaseResponse>, Status> {
        reply(self.shown_release(request.into_inner().number))
    }

    async fn record_ablation(
        &self,
        request: Request<v1::RecordAblationRequest>,
    ) -> Result<Response<v1::RecordAblationResponse>, Status> {
        let actor = access::actor(&request);
        let answer = Self::record_ablation(self, request).await;
        self.audited(actor, "RecordAblation", None, answer).await
    }
}
