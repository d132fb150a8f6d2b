//! `eosfed release`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{CARD_FILE, Card, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::counted::counted;
use eosfed_common::files::write_atomically;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::outln;
use eosfed_common::signing::PinnedKeys;
use eosfed_common::view::{ReleaseSummary, ReleaseView};
use eosfed_proto::v1;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::wire::Wire as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::arguments::{Extent, Output, Release, ReleaseFilter};
use super::connection::{Connection, decode, key};
use super::document::PulledRelease;
use super::head::{self, PruneSelection};
use super::{ablation, pages, print, query, specialist, stac, verify};

pub(super) async fn run(
    connection: &mut Connection,
    identity: &IdentityFolder,
    command: &Release,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Release::Create { specialists, note } => {
            let request = v1::CreateReleaseRequest {
                specialists: specialists.clone(),
                note: note.clone(),
                idempotency_key: key(),
            };
            let answer = connection.operator.create_release(request).await;
            show(&decode(&connection.answer(answer)?.manifest_json)?, output)?;
        }
        Release::Prune { from, top_k, note } => {
            let PruneSelection { specialists, note: found } = match (&from.file, &from.job) {
                (Some(path), _) => Pruned::read(path)?.selection(),
                (None, Some(job)) => {
                    let job = query::job(connection, job).await?;
                    head::strongest(connection, &job, top_k.unwrap_or_default()).await?
                }
                (None, None) => anyhow::bail!("give `--from` or `--from-job`"),
            };
            let note = note.clone().unwrap_or(found);
            let request = v1::CreateReleaseRequest { specialists, note, idempotency_key: key() };
            let answer = connection.operator.create_release(request).await;
            show(&decode(&connection.answer(answer)?.manifest_json)?, output)?;
        }
        Release::List { filter, extent } => list(connection, filter, extent, output).await?,
        Release::Ablation { number, file, name } => {
            let ablation = ablation::read(file, ReleaseNumber(*number), name.as_deref())?;
            let answer = connection.operator.record_ablation(ablation.into_message()).await;
            connection.answer(answer)?;
            show_all(&query::release(connection, Some(*number)).await?, output)?;
        }
        Release::Show { number } => show_all(&query::release(connection, *number).await?, output)?,
        Release::Pull { number, folder, allow_unsigned } => {
            let release = query::release(connection, *number).await?.manifest;
            let PinnedKeys(keys) = identity.pinned()?;
            verify::signatures(&folder.join(ReleaseManifest::FILE), &release, &keys, *allow_unsigned)?;
            pull(connection, &release, folder, output).await?;
        }
        // It needs no connection, so it does not come here.
        Release::Verify { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The used fields of the result of `eosfed-trainer ensemble prune`.
#[derive(Deserialize)]
struct Pruned {
    release: u32,
    metric: String,
    before: Side,
    after: Side,
    /// Absent where weights differed, and from trainers of before.
    #[serde(default)]
    tie: Option<PrunedTie>,
}

#[derive(Deserialize)]
struct PrunedTie {
    broken_by: String,
}

#[derive(Deserialize)]
struct Side {
    encoders: Vec<String>,
    bytes: u64,
    milliseconds: f64,
    score: f64,
}

impl Pruned {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let path = if path.is_dir() { path.join("prune.json") } else { path.to_owned() };
        let json = fs::read(&path).with_context(|| {
            format!("cannot read {}; make it with `eosfed-trainer ensemble prune`", path.display())
        })?;
        serde_json::from_slice(&json)
            .with_context(|| format!("{}: not the result of pruning", path.display()))
    }

    fn selection(self) -> PruneSelection {
        PruneSelection { note: self.note(), specialists: self.after.encoders }
    }

    fn note(&self) -> String {
        let Self { release, metric, before, after, tie } = self;
        let tie = tie.as_ref().map(|tie| format!("; equal weights told apart by {}", tie.broken_by));
        format!(
            "release {release} pruned from {} to {}: {metric} {:.3} to {:.3}, {} to {}, {:.1} to {:.1} ms a sample{}",
            before.encoders.len(),
            counted(after.encoders.len(), "specialist"),
            before.score,
            after.score,
            print::bytes(before.bytes),
            print::bytes(after.bytes),
            before.milliseconds,
            after.milliseconds,
            tie.unwrap_or_default()
        )
    }
}

async fn list(
    connection: &mut Connection,
    filter: &ReleaseFilter,
    extent: &Extent,
    output: Output,
) -> anyhow::Result<()> {
    let (since, specialist) = (filter.since.map_or(0, |since| since.0), &filter.specialist);
    let listed = pages::list(extent, async |page| {
        let request = v1::ListReleasesRequest { page: Some(page), since, specialist: specialist.clone() };
        let answer = connection.operator.list_releases(request).await;
        let v1::ListReleasesResponse { releases_json, page } = connection.answer(answer)?;
        Ok((releases_json, page))
    });
    let listed = listed.await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => outln!("{}", table(&listed.entries)),
    }
    listed.report_rest();
    Ok(())
}

fn table(list: &[ReleaseSummary]) -> print::Sheet {
    let mut table = print::table(&["release", "created", "specialists", "note"]);
    for ReleaseSummary { number, created_at, note, specialists } in list {
        let created = print::when(*created_at);
        table.add_row([number.to_string(), created, specialists.to_string(), note.clone()]);
    }
    table
}

fn show(release: &ReleaseManifest, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => print::json(release),
        Output::Table => {
            describe(release);
            Ok(())
        }
    }
}

/// Prints a release with the ablations of heads over it.
fn show_all(release: &ReleaseView, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => print::json(release),
        Output::Table => {
            describe(&release.manifest);
            release.ablations.iter().for_each(ablation::describe);
            Ok(())
        }
    }
}

fn describe(release: &ReleaseManifest) {
    outln!("release {}, created {} ({})", release.number, release.created_at, release.note);
    outln!("{}", specialist::table(&release.specialists));
}

async fn pull(
    connection: &mut Connection,
    release: &ReleaseManifest,
    folder: &Path,
    output: Output,
) -> anyhow::Result<()> {
    let total = release.specialists.iter().map(|card| card.weights_bytes).sum();
    let style = ProgressStyle::with_template(
        "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {msg}",
    )?;
    let bar = ProgressBar::new(total).with_style(style);
    for card in &release.specialists {
        bar.set_message(card.name.to_string());
        fetch(connection, card, &folder.join(card.name.as_str())).await?;
        bar.inc(card.weights_bytes);
    }
    bar.finish_and_clear();
    write(&folder.join(stac::ITEM_FILE), &stac::release_item(release))?;
    // The manifest is written last: a folder with a manifest is complete.
    write(&folder.join(ReleaseManifest::FILE), release)?;
    match output {
        Output::Json => print::json(&PulledRelease { folder, release: release.number, bytes: total }),
        Output::Table => {
            outln!(
                "release {} is in {}: {}, {}",
                release.number,
                folder.display(),
                counted(release.specialists.len(), "specialist"),
                print::bytes(total)
            );
            Ok(())
        }
    }
}

async fn fetch(connection: &Connection, card: &Card, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(WEIGHTS_FILE);
    let blob = BlobRef { digest: card.weights, size: card.weights_bytes };
    super::fetch::blob(connection, blob, &path).await?;
    write(&folder.join(stac::ITEM_FILE), &stac::specialist_item(card))?;
    write(&folder.join(CARD_FILE), card)
}

fn write<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    write_atomically(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_note_of_a_pruned_release_says_what_told_equal_weights_apart() {
        let side = |encoders: &[&str], score| json!({ "encoders": encoders, "bytes": 1_000, "head_parameters": 9, "milliseconds": 2.0, "score": score });
        let mut json = json!({
            "release": 3, "metric": "miou", "before": side(&["a@1", "b@1"], 0.8), "after": side(&["b@1"], 0.7),
        });
        let selection =
            |json: &serde_json::Value| serde_json::from_value::<Pruned>(json.clone()).unwrap().selection();
        assert!(selection(&json).note.ends_with("2.0 to 2.0 ms a sample"), "{}", selection(&json).note);
        json["tie"] = json!({ "encoders": [], "broken_by": "ablation", "part": "test", "samples": 9 });
        let PruneSelection { specialists, note } = selection(&json);
        assert_eq!(specialists, ["b@1"]);
        assert!(note.ends_with("; equal weights told apart by ablation"), "{note}");
    }
}
