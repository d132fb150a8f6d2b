//! Questions to the coordinator that several commands ask.

use eosfed_common::card::ReleaseManifest;
use eosfed_common::view::JobView;
use eosfed_proto::v1;
use eosfed_transport::status::from_status;

use super::connection::{Connection, decode};

/// A job by its id, by the first characters of its id, or the latest, without its closed rounds.
pub(super) async fn job(connection: &mut Connection, id: &str) -> anyhow::Result<JobView> {
    let answer = connection.operator.get_job(v1::GetJobRequest { job: id.to_owned() }).await;
    decode(&connection.answer(answer)?.job_json)
}

/// A job by its id, or the latest, with its closed rounds.
pub(super) async fn job_with_rounds(connection: &mut Connection, id: &str) -> anyhow::Result<JobView> {
    let mut job = job(connection, id).await?;
    let answer = connection.operator.list_rounds(v1::ListRoundsRequest { job: job.id.to_string() }).await;
    let mut rounds = connection.answer(answer)?;
    while let Some(message) = rounds.message().await.map_err(|status| from_status(&status))? {
        job.history.push(decode(&message.round_json)?);
    }
    Ok(job)
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
