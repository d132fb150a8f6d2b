//! `eosfed release verify` and `eosfed specialist verify`: the files of a pulled release against their digests
//! and signatures, without a coordinator. The first thing that is wrong is named with its file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use eosfed_common::card::{CARD_FILE, Card, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::counted::counted;
use eosfed_common::files;
use eosfed_common::outln;
use eosfed_common::signing::{PinnedKeys, PublicKey};
use eosfed_common::stdout::print_warning;
use eosfed_transport::operator::IdentityFolder;
use serde::de::DeserializeOwned;

use super::arguments::{Output, Trust};
use super::document::{VerifiedRelease, VerifiedSpecialist};
use super::print;

/// Largest manifest or card that is read, in bytes.
const MAX_JSON: u64 = 64 << 20;

/// The coordinator's keys that count: those of `--key`, or those in the identity folder.
pub(super) fn keys(trust: &Trust, identity: Option<&Path>) -> anyhow::Result<Vec<PublicKey>> {
    if let Some(text) = &trust.key {
        return if text.starts_with("ed25519:") { Ok(vec![text.parse()?]) } else { in_file(Path::new(text)) };
    }
    let folder = super::connection::folder(identity)?;
    let PinnedKeys(keys) = folder.pinned()?;
    ensure!(
        trust.allow_unsigned || !keys.is_empty(),
        "{} has no signing keys of a coordinator; any command that calls the coordinator gets them, or name one with \
         `--key`",
        folder.0.display()
    );
    Ok(keys)
}

/// The keys in a file: a line with one, or the list of an identity folder.
fn in_file(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = text(path)?;
    if let Ok(PinnedKeys(keys)) = serde_json::from_str(&text) {
        return Ok(keys);
    }
    let key = text.trim().parse().with_context(|| path.display().to_string())?;
    Ok(vec![key])
}

fn text(path: &Path) -> anyhow::Result<String> {
    let name = || format!("cannot read {}", path.display());
    let size = path.metadata().with_context(name)?.len();
    ensure!(size <= MAX_JSON, "{}: at most {MAX_JSON} bytes, found {size}", path.display());
    fs::read_to_string(path).with_context(name)
}

fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = text(path)?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// The manifest in a folder, or in this file.
pub(super) fn manifest(path: &Path) -> anyhow::Result<(PathBuf, ReleaseManifest)> {
    let path = if path.is_dir() { path.join(ReleaseManifest::FILE) } else { path.to_owned() };
    let manifest = json(&path)?;
    Ok((path, manifest))
}

/// Verifies a manifest. What has no signature is warned of, if it is allowed.
pub(super) fn signatures(
    file: &Path,
    manifest: &ReleaseManifest,
    keys: &[PublicKey],
    allow_unsigned: bool,
) -> anyhow::Result<()> {
    let notes = manifest.verify(keys, allow_unsigned).with_context(|| {
        let how = if manifest.signature.is_none() { "; `--allow-unsigned` accepts it" } else { "" };
        format!("{} is not verified{how}", file.display())
    })?;
    for note in notes {
        print_warning(format_args!("{note}"));
    }
    Ok(())
}

/// `eosfed release verify`.
pub(super) fn release(
    folder: &Path,
    trust: &Trust,
    identity: Option<&Path>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let (file, manifest) = manifest(folder)?;
    let keys = keys(trust, identity)?;
    signatures(&file, &manifest, &keys, trust.allow_unsigned)?;
    let folder = file.parent().unwrap_or(folder);
    for card in &manifest.specialists {
        files_of(&folder.join(card.name.as_str()), card)?;
    }
    let ReleaseManifest { number, specialists, signature, .. } = &manifest;
    let ledger = manifest.ledger_event().map(|event| event.to_string());
    match output {
        Output::Json => print::json(&VerifiedRelease {
            release: *number,
            specialists: specialists.len() as u64,
            signed_by: signature.map(|signature| signature.key),
            ledger,
        })?,
        Output::Table => {
            let specialists = counted(specialists.len(), "specialist");
            outln!("release {number}: {specialists}, as they were released");
            if let Some(signature) = signature {
                outln!("signed by   {}", signature.key);
            }
            if let Some(event) = ledger {
                outln!("ledger at   {event}");
                outln!("Check that the coordinator shows everybody the same history:");
                outln!("eosfed audit verify --release {}", file.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the files of a specialist with its card of the manifest.
fn files_of(folder: &Path, card: &Card) -> anyhow::Result<()> {
    let path = folder.join(CARD_FILE);
    let found: Card = json(&path)?;
    ensure!(found == *card, "{}: it is not the card that the release lists", path.display());
    weights(&folder.join(WEIGHTS_FILE), card)
}

fn weights(path: &Path, card: &Card) -> anyhow::Result<()> {
    let name = || format!("cannot read {}", path.display());
    let size = path.metadata().with_context(name)?.len();
    let most = card.weights_bytes;
    ensure!(size == most, "{}: it must have {most} bytes, found {size}", path.display());
    let digest = files::digest(path).with_context(name)?;
    ensure!(
        digest == card.weights,
        "{}: its digest must be {}, found {digest}",
        path.display(),
        card.weights
    );
    Ok(())
}

/// `eosfed specialist verify`.
pub(super) fn specialist(
    path: &Path,
    trust: &Trust,
    identity: Option<&Path>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let file = if path.is_dir() { path.join(CARD_FILE) } else { path.to_owned() };
    let card: Card = json(&file)?;
    let keys = keys(trust, identity)?;
    // The coordinator has signed which key each institution has used.
    match card.verify(&keys, |_, used| vec![used]) {
        Err(unsigned) if trust.allow_unsigned && card.signature.is_none() => {
            print_warning(format_args!("{unsigned}"));
        }
        verified => verified.with_context(|| format!("{} is not verified", file.display()))?,
    }
    let beside = file.with_file_name(WEIGHTS_FILE);
    if !beside.exists() {
        bail!("{} is missing", beside.display());
    }
    weights(&beside, &card)?;
    let Card { name, version, signature, updates, .. } = &card;
    let institutions: Vec<_> =
        updates.iter().map(|update| update.statement.assignment.institution.clone()).collect();
    match output {
        Output::Json => print::json(&VerifiedSpecialist {
            name: name.clone(),
            version: *version,
            signed_by: signature.map(|signature| signature.key),
            institutions,
        })?,
        Output::Table => {
            outln!("{name}@{version}: weights and card are as they were frozen");
            if let Some(signature) = signature {
                outln!("signed by   {}", signature.key);
            }
            for update in updates {
                let institution = &update.statement.assignment.institution;
                outln!("made by     {institution}, key {}", update.signature.key);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest event of the ledger in a release, whose signature is verified.
pub(super) fn noted(
    file: &Path,
    manifest: &ReleaseManifest,
    identity: &IdentityFolder,
) -> anyhow::Result<eosfed_common::ledger::EventRef> {
    let PinnedKeys(keys) = identity.pinned()?;
    signatures(file, manifest, &keys, false)?;
    manifest.ledger_event().with_context(|| format!("{} has no `ledger`", file.display()))
}
