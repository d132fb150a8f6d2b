//! `eosfed-coordinator backup`, `backup-key` and `restore`: a progress bar during the copy, and a summary at the end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use age::x25519::Recipient;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::counted;
use eosfed_common::digest::Digest;
use eosfed_common::outln;
use eosfed_common::quantity;
use eosfed_common::stdout::print;
use indicatif::{ProgressBar, ProgressStyle};

use super::copy::new_file;
use super::schedule::{folder_of, remove_older};
use super::{Backup, Restored, backup, check, restore};
use crate::settings::{self, BackupSettings};
use crate::storage::Counts;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: one JSON document on standard output.
    Json,
}

/// What `eosfed-coordinator backup` was asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The folder to write, instead of a new one in the folder of the settings.
    pub to: Option<PathBuf>,
    /// Whose keys decrypt it, instead of those of the settings.
    pub recipients: Vec<Recipient>,
    /// The operator's identity for calls to a serving coordinator.
    pub identity: Option<PathBuf>,
}

/// Makes a backup and prints a summary. In the folder of the settings, it removes older ones.
///
/// # Errors
/// As [`backup`], and if neither the command nor the settings name a folder.
pub async fn make(state: &Path, wanted: Wanted, output: Output) -> anyhow::Result<()> {
    let (state, settings) = settings::load(state)?;
    let BackupSettings { folder, recipients, keep } = settings.backup;
    let now = SystemClock.now();
    let to = match (&wanted.to, &folder) {
        (Some(to), _) => to.clone(),
        (None, Some(folder)) => folder_of(folder, now),
        (None, None) => bail!(
            "name a folder for the backup with `--to DIR`, or one for all in {}: `[backup]`, `folder`",
            state.settings().display()
        ),
    };
    let recipients = if wanted.recipients.is_empty() { recipients } else { wanted.recipients };
    let identity = wanted.identity.unwrap_or_else(|| state.operator());
    let bar = bar()?;
    let report = |done, total| report(&bar, done, total);
    let made = backup(&state, &to, &recipients, &identity, now, &report).await;
    bar.finish_and_clear();
    let made = made?;
    let removed = match &folder {
        Some(folder) if wanted.to.is_none() => remove_older(folder, keep)?,
        _ => Vec::new(),
    };
    match output {
        Output::Json => outln!("{}", serde_json::to_string_pretty(&made)?),
        Output::Table => print(format_args!("{}{}", made_text(&made), removed_text(&removed))),
    }
    Ok(())
}

/// Makes a private key for backups in a new file, and prints its public key.
///
/// # Errors
/// If the file is there already or cannot be written.
pub fn make_key(file: &Path) -> anyhow::Result<()> {
    let key = age::x25519::Identity::generate();
    let mut target = new_file(file).with_context(|| format!("cannot make {}", file.display()))?;
    let text = format!("# public key: {}\n{}\n", key.to_public(), key.to_string().expose_secret());
    let written = target.write_all(text.as_bytes()).and_then(|()| target.sync_all());
    written.with_context(|| format!("cannot write {}", file.display()))?;
    outln!(
        "The private key is in {}. Keep it away from the coordinator: it decrypts its backups.",
        file.display()
    );
    outln!("In coordinator.toml:\n\n[backup]\nrecipients = [\"{}\"]", key.to_public());
    Ok(())
}

/// Restores a backup into a state folder, or only checks it, and prints a summary.
///
/// # Errors
/// As [`restore`] and [`check`].
pub fn run_restore(from: &Path, key: Option<&Path>, to: Option<&Path>, output: Output) -> anyhow::Result<()> {
    let bar = bar()?;
    let report = |done, total| report(&bar, done, total);
    let restored = match to {
        Some(to) => restore(from, key, to, &report),
        None => check(from, key, &report),
    };
    bar.finish_and_clear();
    let restored = restored?;
    match output {
        Output::Json => outln!("{}", serde_json::to_string_pretty(&restored)?),
        Output::Table => print(format_args!("{}", restored_text(&restored))),
    }
    Ok(())
}

fn bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template(
        "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
    )?;
    Ok(ProgressBar::no_length().with_style(style))
}

fn report(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

fn made_text(made: &Backup) -> String {
    let Backup { folder, encrypted, serving, counts, blobs, bytes, missing } = made;
    let how = if *serving { "while the coordinator was serving" } else { "while it was not running" };
    let (key, secret) = if *encrypted {
        (
            " --key FILE",
            "It is encrypted. Without one of the private keys it is worth nothing: keep two copies of them.",
        )
    } else {
        (
            "",
            "It is not encrypted and holds the key of the certificate authority: whoever has it can admit anybody.",
        )
    };
    format!(
        "The backup is in {}, made {how}: {}; {blobs} blobs of {}.\n{}  check it:   eosfed-coordinator restore --check \
         --from {0}{key}\n  restore it: eosfed-coordinator restore --from {0}{key} --state NEW_DIR\n{secret}\n",
        folder.display(),
        counted(counts),
        quantity::bytes(*bytes),
        lost(missing)
    )
}

fn removed_text(removed: &[PathBuf]) -> String {
    removed.iter().map(|path| format!("removed an older one: {}\n", path.display())).collect()
}

fn restored_text(restored: &Restored) -> String {
    let Restored { state, made_at, version, counts, blobs, bytes, missing } = restored;
    let what =
        format!("{}; {blobs} blobs of {}.\n{}", counted(counts), quantity::bytes(*bytes), lost(missing));
    let Some(state) = state else {
        return format!("The backup of {made_at} (version {version}) is whole: {what}");
    };
    format!(
        "The state of {made_at} (version {version}) is in {}: {what}  start it: eosfed-coordinator serve --state \
         {0}\nNever start it beside the coordinator that it is a copy of: institutions would not know which to \
         believe.\n",
        state.display(),
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
        ablations: _,
        events,
        quarantined: _,
    } = counts;
    format!(
        "{}, {} with {}, {}, {}, {}",
        counted::counted(*institutions, "institution"),
        counted::counted(*jobs, "job"),
        counted::counted(*rounds, "round"),
        counted::counted(*specialists, "specialist"),
        counted::counted(*releases, "release"),
        counted::counted(*events, "event")
    )
}

/// One warning for each blob that neither the backup nor the state folder has.
fn lost(missing: &[Digest]) -> String {
    missing.iter().fold(String::new(), |mut text, digest| {
        let _ = writeln!(text, "warning: blob {digest} is needed, but the state folder did not have it");
        text
    })
}
