//! Jobs: submitting, showing, watching, forking and controlling them.

use eosfed_common::ids::{IdempotencyKey, InstitutionName};
use eosfed_common::plan::{JobSpec, RoundsPlan};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::control_job_request::Action;
use eosfed_transport::wire::parse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::{Service, watch};
use crate::domain::job::JobAction;
use crate::domain::paging::document;
use crate::domain::view;
use crate::engine::Core;
use crate::grpc::access;

/// Parses an operator's action on a job.
pub(super) fn job_action(action: Option<Action>) -> Result<JobAction, Refusal> {
    match action {
        Some(Action::Cancel(v1::CancelJob {})) => Ok(JobAction::Cancel),
        Some(Action::Pause(v1::PauseJob {})) => Ok(JobAction::Pause),
        Some(Action::Resume(v1::ResumeJob {})) => Ok(JobAction::Resume),
        Some(Action::Retry(v1::RetryInstitution { institution })) => {
            Ok(JobAction::Retry(parse("institution", &institution)?))
        }
        None => {
            let message = "field `action`: required; this version knows cancel, pause, resume and retry";
            Err(Refusal::new(Reason::Malformed, message))
        }
    }
}

impl Service {
    pub(super) fn job(&self, name: &str) -> Result<v1::GetJobResponse, Refusal> {
        let id = self.0.engine.resolve_job(name)?;
        let job = self.0.engine.with_job(&id, view::job)?;
        Ok(v1::GetJobResponse { job_json: document(&job)? })
    }

    pub(super) async fn submit(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<v1::SubmitJobResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::SubmitJobRequest { plan_toml, idempotency_key } = request.into_inner();
        let key: IdempotencyKey = parse("idempotency_key", &idempotency_key)?;
        let spec = JobSpec::parse(&plan_toml)
            .map_err(|error| Refusal::new(Reason::PlanInvalid, error.to_string()))?;
        let submit = async move |core: &Core| core.submit_job(spec, &by, key).await;
        let job = self.0.engine.call(submit).await?;
        Ok(v1::SubmitJobResponse { job: job.to_string() })
    }

    pub(super) async fn fork(
        &self,
        request: Request<v1::ForkJobRequest>,
    ) -> Result<v1::ForkJobResponse, Refusal> {
        let by = access::name(&request)?;
        let v1::ForkJobRequest { job, round, rounds_toml, idempotency_key } = request.into_inner();
        let key: IdempotencyKey = parse("idempotency_key", &idempotency_key)?;
        let origin = self.0.engine.resolve_job(&job)?;
        let rounds = match rounds_toml.as_str() {
            "" => None,
            text => {
                Some(RoundsPlan::parse(text).map_err(|message| Refusal::new(Reason::PlanInvalid, message))?)
            }
        };
        let from = origin.clone();
        let fork = async move |core: &Core| core.fork_job(&from, round, rounds, by, key).await;
        let job = self.0.engine.call(fork).await?;
        Ok(v1::ForkJobResponse { job: job.to_string(), origin: origin.to_string() })
    }

    pub(super) fn watch(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<ReceiverStream<Result<v1::WatchJobResponse, Status>>, Refusal> {
        let v1::WatchJobRequest { job, from_event } = request.into_inner();
        let id = self.0.engine.resolve_job(&job)?;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(watch::send(self.0.engine.clone(), id, from_event, sender));
        Ok(ReceiverStream::new(receiver))
    }

    /// Applies an operator's action to a job. Gives the id of the job.
    pub(super) async fn control(
        &self,
        by: Result<InstitutionName, Refusal>,
        job: &str,
        action: Result<JobAction, Refusal>,
    ) -> Result<v1::ControlJobResponse, Refusal> {
        let by = by?;
        let action = action?;
        let id = self.0.engine.resolve_job(job)?;
        let job = id.to_string();
        self.0.engine.call(async move |core: &Core| core.control_job(&id, action, by).await).await?;
        Ok(v1::ControlJobResponse { job })
    }
}
