//! Queries that several commands use.

use anyhow::Context as _;
use eosfed_common::view::{JobView, ReleaseView, RoundView, WholeJob};
use eosfed_proto::v1;
use eosfed_transport::status::from_status;
use tonic::Streaming;

use super::connection::{Connection, decode};

/// A job by its id, by the first characters of its id, or the latest, without its rounds.
pub(super) async fn job(connection: &mut Connection, id: &str) -> anyhow::Result<JobView> {
    let answer = connection.operator.get_job(v1::GetJobRequest { job: id.to_owned() }).await;
    decode(&connection.answer(answer)?.job_json)
}

/// A job with the open round and the `newest` closed attempts; 0: all.
pub(super) async fn whole_job(
    connection: &mut Connection,
    job: &str,
    newest: u32,
    curves: bool,
) -> anyhow::Result<WholeJob> {
    let request = v1::ListRoundsRequest { job: job.to_owned(), newest, curves };
    let answer = connection.operator.list_rounds(request).await;
    let parts = collect(connection.answer(answer)?).await?;
    let job = parts.job.context("the coordinator's answer ends without the job")?;
    let mut rounds = parts.rounds;
    let current = rounds.pop_if(|round| round.closed_at.is_none());
    Ok(WholeJob { job, current, history: rounds })
}

/// One attempt at a round of a job; attempt 0 is the last.
pub(super) async fn round(
    connection: &mut Connection,
    job: &str,
    index: u32,
    attempt: u32,
    curves: bool,
) -> anyhow::Result<RoundView> {
    let request = v1::GetRoundRequest { job: job.to_owned(), round: index, attempt, curves };
    let answer = connection.operator.get_round(request).await;
    let mut parts = collect(connection.answer(answer)?).await?;
    parts.rounds.pop().context("the coordinator's answer has no round")
}

/// Rounds that are assembled from their parts, and the job after them.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    rounds: Vec<RoundView>,
    job: Option<JobView>,
}

impl Parts {
    fn add(&mut self, part: v1::RoundPart) -> anyhow::Result<()> {
        let v1::RoundPart { round_json, participants, job_json } = part;
        if !round_json.is_empty() {
            self.rounds.push(decode(&round_json)?);
        }
        for v1::ParticipantEntry { institution, participant_json } in participants {
            let round = self.rounds.last_mut().context("the coordinator sent participants of no round")?;
            round.participants.insert(institution.parse()?, decode(&participant_json)?);
        }
        if !job_json.is_empty() {
            self.job = Some(decode(&job_json)?);
        }
        Ok(())
    }
}

async fn collect(mut stream: Streaming<v1::RoundPart>) -> anyhow::Result<Parts> {
    let mut parts = Parts::default();
    while let Some(part) = stream.message().await.map_err(|status| from_status(&status))? {
        parts.add(part)?;
    }
    Ok(parts)
}

/// A release by its number, or the latest, with the ablations of heads over it.
pub(super) async fn release(connection: &mut Connection, number: Option<u32>) -> anyhow::Result<ReleaseView> {
    let request = v1::GetReleaseRequest { number: number.unwrap_or_default() };
    let answer = connection.operator.get_release(request).await;
    let v1::GetReleaseResponse { manifest_json, ablations_json } = connection.answer(answer)?;
    let ablations = ablations_json.iter().map(|json| decode(json)).collect::<anyhow::Result<_>>()?;
    Ok(ReleaseView { manifest: decode(&manifest_json)?, ablations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(round_json: &str, participants: &[&str]) -> v1::RoundPart {
        let entry = |name: &&str| v1::ParticipantEntry {
            institution: (*name).to_owned(),
            participant_json: r#"{"state":"submitted","step":1,"steps":1,"message":null,"lease_expiries":0,
                "loss":null,"samples":null,"weights":null,"metrics":{},"energy":null,"norm":null,"curve":[]}"#
                .to_owned(),
        };
        let participants = participants.iter().map(entry).collect();
        v1::RoundPart { round_json: round_json.to_owned(), participants, job_json: String::new() }
    }

    const ROUND: &str = r#"{"index":0,"attempt":1,"kind":"one_shot","phase":"complete","opened_at":1,
        "deadline":2,"closed_at":2,"participants":{}}"#;

    #[test]
    fn rounds_are_assembled_from_their_parts() {
        let mut parts = Parts::default();
        for one in [part(ROUND, &["a"]), part("", &["b", "c"]), part(ROUND, &[]), part("", &["d"])] {
            parts.add(one).unwrap();
        }
        let names =
            |round: &RoundView| round.participants.keys().map(ToString::to_string).collect::<String>();
        assert_eq!(parts.rounds.iter().map(names).collect::<Vec<_>>(), ["abc", "d"]);
        assert!(Parts::default().add(part("", &["a"])).is_err(), "participants of no round");
    }
}
