//! What is stored, and giving up the weights of closed rounds.

use std::time::Duration;

use eosfed_common::ledger::Actor;
use eosfed_common::refusal::Refusal;
use eosfed_common::view::PruneView;
use eosfed_proto::v1;
use tonic::Request;

use super::listing::{job_filter, read_page};
use super::{Service, access};
use crate::domain::listing::StoredJobs;
use crate::domain::paging::document;
use crate::domain::retention::Limits;
use crate::domain::view::{self, StoragePage};
use crate::engine::Core;

impl Service {
    pub(super) async fn storage(
        &self,
        request: v1::GetStorageRequest,
    ) -> Result<v1::GetStorageResponse, Refusal> {
        let v1::GetStorageRequest { page, states, kinds, since } = request;
        let filter = job_filter(&states, &kinds, since)?;
        let listed = StoredJobs { filter, page: read_page(page)? };
        let StoragePage { view, next } = self.0.overviews.storage(listed).await?;
        let page = v1::PageResponse { next_token: next, remaining: view.more_jobs.into() };
        Ok(v1::GetStorageResponse { storage_json: document(&view)?, page: Some(page) })
    }

    pub(super) async fn prune(
        &self,
        request: Request<v1::PruneStorageRequest>,
    ) -> Result<v1::PruneStorageResponse, Refusal> {
        let actor = Actor::Operator(access::name(&request)?);
        let v1::PruneStorageRequest { job, older_than_seconds, to_bytes, dry_run } = request.into_inner();
        let job = if job.is_empty() { None } else { Some(self.0.engine.resolve_job(&job)?) };
        let limits =
            Limits { job, keep_for: older_than_seconds.map(Duration::from_secs), most_bytes: to_bytes };
        let prune = async move |core: &Core| prune(core, limits, &actor, dry_run).await;
        let pruned = self.0.engine.call(prune).await?;
        Ok(v1::PruneStorageResponse { pruned_json: document(&pruned)? })
    }
}

/// Gives up what is beyond the limits: of the call, or of the settings if the call has none. A job alone is
/// all rounds of that job.
async fn prune(core: &Core, limits: Limits, actor: &Actor, dry_run: bool) -> Result<PruneView, Refusal> {
    let limits = match limits {
        Limits { job: None, keep_for: None, most_bytes: None } => core.retention().clone(),
        Limits { job: job @ Some(_), keep_for: None, most_bytes: None } => {
            Limits { job, keep_for: Some(Duration::ZERO), most_bytes: None }
        }
        limits => limits,
    };
    if dry_run {
        let due = core.read(|state| state.due(&limits, core.now()));
        return Ok(PruneView { dry_run, ..view::prune(&due) });
    }
    let due = core.prune(&limits, actor).await?;
    core.sweep().await;
    Ok(PruneView { deferred: !core.may_remove(), ..view::prune(&due) })
}
