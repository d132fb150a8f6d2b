//! What each round of a job takes: for `make bench-rounds`, which lets another system do the same in turn.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use eosfed_common::assignment::BlobRef;
use eosfed_common::model::Backbone;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::json;
use tokio::task::JoinSet;

use crate::coordinator::Coordinator;
use crate::growth::take_part;
use crate::institution::Institution;
use crate::report::Report;
use crate::scene::{connect_all, finished, join_all, operator, plan_of, submit_plan};
use crate::updates::updates;

/// When the first institution was offered each round, and the processor time of the coordinator until then.
type Begun = Arc<Mutex<Vec<Option<(Instant, f64)>>>>;

/// Measures a job of `count` rounds and one more, since a round is measured until the next one is offered. Prints a line
/// of JSON, so the report is empty.
pub(crate) async fn play(program: &Path, clients: u32, count: u32) -> anyhow::Result<Report> {
    let coordinator = Arc::new(Coordinator::start(program).await?);
    let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
    let operator = operator(&coordinator)?;
    let members = join_all(&coordinator, &operator, clients, &hidden).await?;
    let (sites, _) = connect_all(&coordinator, members, &hidden).await?;
    let (plan, target) = plan_of(clients, Backbone::Atto, count + 1)?;
    let files = updates(coordinator.folder(), &target, (clients, count + 1), &hidden)?;
    let idle = coordinator.footprint().resident;

    let job = submit_plan(&operator, plan).await?;
    let begun: Begun = Arc::new(Mutex::new(vec![None; count as usize + 1]));
    let mut running = JoinSet::new();
    for (site, files) in sites.into_iter().zip(files.chunks(count as usize + 1)) {
        running.spawn(rounds(site, files.to_vec(), Arc::clone(&coordinator), Arc::clone(&begun)));
    }
    while let Some(one) = running.join_next().await {
        one?.with_context(|| coordinator.log())?;
    }
    finished(&operator, &job, clients).await.with_context(|| coordinator.log())?;
    let begun = begun.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let begun: Vec<_> = begun.into_iter().collect::<Option<_>>().context("a round was not offered")?;
    let round = |pair: &[(Instant, f64)]| {
        let [(begun, used), (ended, used_then)] = [pair[0], pair[1]];
        json!({ "seconds": (ended - begun).as_secs_f64(), "processor_seconds": used_then - used })
    };
    let line = json!({
        "clients": clients,
        "parameters": target.signature().parameters(),
        "rounds": begun.windows(2).map(round).collect::<Vec<_>>(),
        "idle_kib": idle,
        "peak_kib": coordinator.peak(),
    });
    println!("{line}");
    Ok(Report::default())
}

/// One institution's part in all rounds.
async fn rounds(
    site: Institution,
    files: Vec<(PathBuf, BlobRef)>,
    coordinator: Arc<Coordinator>,
    begun: Begun,
) -> anyhow::Result<()> {
    for (round, (file, blob)) in (0..).zip(files) {
        let offer = site.offered(round).await?;
        let now = (Instant::now(), coordinator.processor_seconds());
        begun.lock().unwrap_or_else(PoisonError::into_inner)[round as usize].get_or_insert(now);
        take_part(&site, offer, &file, blob).await?;
    }
    Ok(())
}
