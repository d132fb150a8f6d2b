//! `eosfed storage`: what the coordinator stores, and giving up the weights of closed rounds.

use std::process::ExitCode;

use anyhow::Context as _;
use eosfed_common::counted::counted;
use eosfed_common::ledger::PruneRule;
use eosfed_common::outln;
use eosfed_common::view::{JobStorage, KeptFor, PruneView, PrunedRound, StorageView};
use eosfed_proto::v1;

use super::arguments::{Extent, JobFilter, Output, Storage};
use super::connection::{Connection, decode};
use super::pages::{self, Listed};
use super::print;

/// Rounds that are listed.
const SHOWN: usize = 20;

pub(super) async fn run(
    connection: &mut Connection,
    command: &Storage,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Storage::Show { filter, extent } => {
            let (storage, jobs) = fetch(connection, filter, extent).await?;
            match output {
                Output::Json => print::json(&StorageView { jobs: jobs.entries.clone(), ..storage })?,
                Output::Table => show(&storage, &jobs.entries),
            }
            jobs.report_rest();
        }
        Storage::Prune { job, older_than, to_size, dry_run } => {
            let request = v1::PruneStorageRequest {
                job: job.clone().unwrap_or_default(),
                older_than_seconds: older_than.map(|age| age.as_secs()),
                to_bytes: to_size.map(|size| size.as_u64()),
                dry_run: *dry_run,
            };
            let answer = connection.operator.prune_storage(request).await;
            let pruned: PruneView = decode(&connection.answer(answer)?.pruned_json)?;
            match output {
                Output::Json => print::json(&pruned)?,
                Output::Table => show_pruned(&pruned),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is stored without its jobs, and these jobs.
async fn fetch(
    connection: &mut Connection,
    filter: &JobFilter,
    extent: &Extent,
) -> anyhow::Result<(StorageView, Listed<JobStorage>)> {
    let mut newest = None;
    let jobs = pages::gather(extent, async |page| {
        let (states, kinds, since) = filter.message();
        let request = v1::GetStorageRequest { page: Some(page), states, kinds, since };
        let answer = connection.operator.get_storage(request).await;
        let v1::GetStorageResponse { storage_json, page } = connection.answer(answer)?;
        let mut storage: StorageView = decode(&storage_json)?;
        let jobs = std::mem::take(&mut storage.jobs);
        newest = Some(storage);
        Ok((jobs, page))
    });
    let jobs = jobs.await?;
    Ok((newest.context("a list has at least one page")?, jobs))
}

const fn words(kind: KeptFor) -> &'static str {
    match kind {
        KeptFor::ReleasedSpecialists => "released specialists",
        KeptFor::Specialists => "other specialists",
        KeptFor::Heads => "heads",
        KeptFor::OpenJobs => "jobs under way",
        KeptFor::Updates => "updates of closed rounds",
        KeptFor::GlobalWeights => "what closed rounds started from",
        KeptFor::Other => "uploads, and what the next sweep removes",
    }
}

fn show(storage: &StorageView, jobs: &[JobStorage]) {
    let mut table = print::table(&["kept for", "files", "size", "oldest"]);
    for kind in &storage.kinds {
        let cells = [
            words(kind.kind).to_owned(),
            kind.files.to_string(),
            print::bytes(kind.bytes),
            print::when_if(kind.oldest),
        ];
        table.add_row(cells);
    }
    table.add_row([
        "all weights".to_owned(),
        storage.files.to_string(),
        print::bytes(storage.bytes),
        "–".to_owned(),
    ]);
    outln!("{table}");
    show_jobs(jobs);
    let store = storage.store_bytes.map(|bytes| format!(", {} with all records", print::bytes(bytes)));
    outln!("\nledger   {}{}", counted(storage.events, "event"), store.unwrap_or_default());
    if let Some(backups) = &storage.backups {
        let newest = backups.newest.as_deref().unwrap_or("none");
        outln!(
            "backups  {} in {}, {}; the newest: {}",
            backups.number,
            print::printable(&backups.folder),
            print::bytes(backups.bytes),
            print::printable(newest)
        );
    }
    if let Some(disk) = storage.disk {
        outln!("disk     {} of {} free", print::bytes(disk.free_bytes), print::bytes(disk.total_bytes));
    }
    outln!("\n{}", retention(storage));
    show_pruned(&storage.next);
}

fn show_jobs(jobs: &[JobStorage]) {
    if jobs.is_empty() {
        return;
    }
    let mut table =
        print::table(&["job", "name", "rounds kept", "updates", "size", "global weights", "oldest"]);
    for one in jobs {
        let JobStorage { job, name, ended, rounds, updates, update_bytes, global_bytes, oldest } = one;
        let name = print::printable(name);
        table.add_row([
            job.to_string(),
            if *ended { name } else { format!("{name} (under way)") },
            rounds.to_string(),
            updates.to_string(),
            print::bytes(*update_bytes),
            print::bytes(*global_bytes),
            print::when_if(*oldest),
        ]);
    }
    outln!("\n{table}");
}

/// The limits in the settings, as a sentence.
fn retention(storage: &StorageView) -> String {
    let age = storage
        .keep_updates_for_seconds
        .map_or_else(|| "for ever".to_owned(), |for_| format!("for {}", print::span(for_)));
    let size = storage.keep_updates_bytes.map(|most| format!(", at most {} of them", print::bytes(most)));
    format!("closed rounds keep their weights {age}{}", size.unwrap_or_default())
}

fn show_pruned(pruned: &PruneView) {
    let PruneView { dry_run, deferred, rounds, files, bytes, oldest, more: _ } = pruned;
    if *rounds == 0 {
        outln!("{}", if *dry_run { "nothing would be removed" } else { "nothing was removed" });
        return;
    }
    let verb = if *dry_run { "would remove" } else { "removed" };
    let (gone, of) = (counted(*files, "file"), counted(*rounds, "closed round"));
    outln!("{verb} {gone} of {of}: {}", print::bytes(*bytes));
    if *deferred {
        outln!("an aggregate is being computed; the files go within ten minutes");
    }
    for one in oldest.iter().take(SHOWN) {
        let PrunedRound { job, round, attempt, closed_at, rule, weights, bytes } = one;
        let why = match rule {
            PruneRule::Age => "too old",
            PruneRule::Size => "the oldest of too many bytes",
        };
        outln!(
            "  job {job}, round {}, attempt {attempt}: closed {}, {}, {} ({why})",
            u64::from(*round) + 1,
            print::when(*closed_at),
            counted(weights.len(), "file"),
            print::bytes(*bytes)
        );
    }
    let shown = oldest.len().min(SHOWN);
    let left = (*rounds as usize).saturating_sub(shown);
    if left > 0 {
        outln!("  and {}", counted(left, "more round"));
    }
    if !*dry_run {
        outln!("the ledger has their digests: eosfed audit list --kind round_pruned");
    }
}
