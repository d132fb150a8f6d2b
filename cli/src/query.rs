//! Questions to the coordinator that several commands ask.

use anyhow::Context as _;
use eosfed_common::card::ReleaseManifest;
use eosfed_common::view::JobView;
use eosfed_proto::v1;

use super::connection::{Connection, decode};

/// All jobs, oldest first.
pub(super) async fn jobs(connection: &mut Connection) -> anyhow::Result<Vec<JobView>> {
    let answer = connection.operator.list_jobs(v1::ListJobsRequest {}).await;
    connection.answer(answer)?.jobs_json.iter().map(|json| decode(json)).collect()
}

/// A job by its id, or the latest.
pub(super) async fn job(connection: &mut Connection, id: &str) -> anyhow::Result<JobView> {
    if id == "latest" {
        let last = jobs(connection).await?.pop();
        return last.context("there is no job yet; submit one with `eosfed job submit PLAN.toml`");
    }
    let answer = connection.operator.get_job(v1::GetJobRequest { job: id.to_owned() }).await;
    decode(&connection.answer(answer)?.job_json)
}

/// A release by its number, or the latest.
pub(super) async fn release(
    connection: &mut Connection,
    number: Option<u32>,
) -> anyhow::Result<ReleaseManifest> {
    let request = v1::GetReleaseRequest { number: number.unwrap_or_default() };
    let answer = connection.operator.get_release(request).await;
    decode(&connection.answer(answer)?.manifest_json)
}
