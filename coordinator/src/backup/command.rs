//! `eosfed-coordinator backup` and `restore`: a progress bar during the copy, and a summary at the end.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::digest::Digest;
use eosfed_common::outln;
use eosfed_common::stdout::print;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::{Backup, Restored, backup, restore};
use crate::settings;
use crate::storage::Counts;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: one JSON document on standard output.
    Json,
}

/// Makes a backup and prints a summary.
///
/// # Errors
/// As [`backup`].
pub async fn make(state: &Path, to: &Path, identity: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let (state, _) = settings::load(state)?;
    let identity = identity.map_or_else(|| state.operator(), Path::to_owned);
    let bar = bar()?;
    let report = |done, total| report(&bar, done, total);
    let made = backup(&state, to, &identity, SystemClock.now(), &report).await;
    bar.finish_and_clear();
    let made = made?;
    match output {
        Output::Json => outln!("{}", serde_json::to_string_pretty(&made)?),
        Output::Table => print(format_args!("{}", made_text(&made))),
    }
    Ok(())
}

/// Restores a backup into a state folder and prints a summary.
///
/// # Errors
/// As [`restore`].
pub fn run_restore(from: &Path, to: &Path, output: Output) -> anyhow::Result<()> {
    let bar = bar()?;
    let restored = restore(from, to, &|done, total| report(&bar, done, total));
    bar.finish_and_clear();
    let restored = restored?;
    match output {
        Output::Json => outln!("{}", serde_json::to_string_pretty(&restored)?),
        Output::Table => print(format_args!("{}", restored_text(&restored))),
    }
    Ok(())
}

fn bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}")?;
    Ok(ProgressBar::new(0).with_style(style))
}

fn report(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

fn made_text(made: &Backup) -> String {
    let Backup { folder, serving, counts, blobs, bytes, missing } = made;
    let how = if *serving { "while the coordinator was serving" } else { "while it was not running" };
    format!(
        "The backup is in {}, made {how}: {}; {blobs} blobs of {}.\n{}  restore it: eosfed-coordinator restore --from \
         {0} --state NEW_DIR\nIt holds the key of the certificate authority: whoever has it can admit anybody.\n",
        folder.display(),
        counted(counts),
        HumanBytes(*bytes),
        lost(missing)
    )
}

fn restored_text(restored: &Restored) -> String {
    let Restored { state, made_at, version, counts, blobs, bytes, missing } = restored;
    format!(
        "The state of {made_at} (version {version}) is in {}: {}; {blobs} blobs of {}.\n{}  start it: \
         eosfed-coordinator serve --state {0}\nNever start it beside the coordinator that it is a copy of: institutions \
         would not know which to believe.\n",
        state.display(),
        counted(counts),
        HumanBytes(*bytes),
        lost(missing)
    )
}

fn counted(counts: &Counts) -> String {
    let Counts {
        institutions,
        people: _,
        jobs,
        rounds,
        curves: _,
        specialists,
        releases,
        events,
        quarantined: _,
    } = counts;
    format!(
        "{institutions} institutions, {jobs} jobs with {rounds} rounds, {specialists} specialists, {releases} \
         releases, {events} events"
    )
}

/// One warning for each blob that neither the backup nor the state folder has.
fn lost(missing: &[Digest]) -> String {
    missing.iter().fold(String::new(), |mut text, digest| {
        let _ = writeln!(text, "warning: blob {digest} is needed, but the state folder did not have it");
        text
    })
}
