//! `eosfed watch`: all institutions and the open rounds, live.

mod lines;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use eosfed_common::refusal::Refusal;
use eosfed_common::screen::Screen;
use eosfed_common::view::Overview;
use eosfed_proto::v1;

use super::arguments::{Output, Watch};
use super::connection::{Connection, decode};
use super::document::{Watched, WatchedRound};
use super::{institution, print, query};

/// Looks until Ctrl-C, or as often as was asked for.
pub(super) async fn watch(
    connection: &mut Connection,
    command: &Watch,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::stdout();
    let mut last = None;
    let mut looks = 0;
    loop {
        let trouble = match look(connection).await {
            Ok(watched) => {
                last = Some(watched);
                None
            }
            Err(error) => Some(transient(error)?),
        };
        if let Some(watched) = &last {
            show(&mut screen, watched, trouble.as_deref(), output)?;
        } else if let Some(trouble) = &trouble {
            screen.say(vec![("trouble".to_owned(), trouble.clone())]);
        }
        looks += u32::from(trouble.is_none());
        if command.looks.is_some_and(|wanted| looks >= wanted) {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(command.every.max(Duration::from_secs(1))).await;
    }
}

/// What the coordinator says, if another try may do better.
fn transient(error: anyhow::Error) -> anyhow::Result<String> {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) if refusal.reason.is_transient() => {
            Ok(format!("{}; trying again", print::printable(&refusal.message)))
        }
        Some(_) | None => Err(error),
    }
}

async fn look(connection: &mut Connection) -> anyhow::Result<Watched> {
    let answer = connection.operator.get_overview(v1::GetOverviewRequest {}).await;
    let overview: Overview = decode(&connection.answer(answer)?.overview_json)?;
    let institutions = institution::all(connection).await?;
    let mut rounds = Vec::new();
    for active in overview.active.iter().filter(|active| active.job.current.is_some()) {
        let job = active.job.id.clone();
        // The round may have closed meanwhile.
        if let Some(round) = query::whole_job(connection, job.as_str(), 1, false).await?.current {
            rounds.push(WatchedRound { job, round });
        }
    }
    Ok(Watched { overview, institutions, rounds })
}

fn show(screen: &mut Screen, watched: &Watched, trouble: Option<&str>, output: Output) -> anyhow::Result<()> {
    match (output, screen.columns()) {
        (Output::Json, _) if trouble.is_none() => print::json_line(watched)?,
        (Output::Json, _) => {}
        (Output::Table, Some(columns)) => screen.draw(&table::lines(watched, trouble, columns)),
        (Output::Table, None) => screen.say(lines::lines(watched, trouble)),
    }
    Ok(())
}
