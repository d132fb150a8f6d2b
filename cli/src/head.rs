//! `eosfed job head`, and the selection of specialists by a trained head.

use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::counted::counted;
use eosfed_common::files::write_atomically;
use eosfed_common::head::{HeadFile, HeadOver, MAX_HEAD_BYTES};
use eosfed_common::outln;
use eosfed_common::plan::JobKind;
use eosfed_common::stdout::{print_note, print_warning};
use eosfed_common::view::{JobView, TrainedHeadView};
use eosfed_common::weights::{Signature, WeightsFile};

use super::arguments::Output;
use super::connection::Connection;
use super::document::PulledHead;
use super::tie::{self, Kept, Tie};
use super::{fetch, print, query};

/// The head that a job has trained.
fn trained(job: &JobView) -> anyhow::Result<&TrainedHeadView> {
    match &job.trained {
        Some(trained) => Ok(trained),
        None if job.spec.kind() == JobKind::Downstream => {
            bail!("job {} is {}; its head is available when it has finished", job.id, job.state)
        }
        None => bail!(
            "job {} is of kind `{}` and trains no head; a plan with `kind = \"downstream\"` does",
            job.id,
            job.spec.kind()
        ),
    }
}

/// Downloads a job's head into `folder`, as `eosfed-trainer` reads it.
pub(super) async fn pull(
    connection: &Connection,
    job: &JobView,
    folder: &Path,
    output: Output,
) -> anyhow::Result<()> {
    let trained = trained(job)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fetch::blob(connection, trained.weights, &folder.join(HeadFile::WEIGHTS)).await?;
    let path = folder.join(HeadFile::FILE);
    let file = head(connection, trained).await?;
    file.check().map_err(|reason| anyhow::anyhow!("the head of job {}: {reason}", job.id))?;
    write_atomically(&path, &serde_json::to_vec_pretty(&file)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match output {
        Output::Json => print::json(&PulledHead {
            folder,
            job: job.id.clone(),
            release: trained.release,
            bytes: trained.weights.size,
        }),
        Output::Table => {
            let place = folder.display();
            let release = trained.release;
            outln!(
                "the head of job {} is in {place}: {}, {}",
                job.id,
                print::bytes(trained.weights.size),
                print::scores(&trained.metrics, trained.scoring.as_ref())
            );
            if let Some(untold) = file.untold() {
                outln!("{untold}");
            }
            outln!("pull its release:  eosfed release pull {release} --to release-{release}");
            outln!(
                "score it on labelled data:  eosfed-trainer score {place} --release release-{release} --data DATA --output scores"
            );
            Ok(())
        }
    }
}

/// The contents of `head.json`: the head of the job, the imagery that it was trained on, and what institutions told of
/// its bands.
async fn head(connection: &Connection, trained: &TrainedHeadView) -> anyhow::Result<HeadFile> {
    let bytes = fetch::document(connection, trained.document, MAX_HEAD_BYTES as u64).await?;
    let HeadOver { head, release: _ } = HeadOver::from_bytes(&bytes)
        .with_context(|| format!("{} does not describe a head", trained.document.digest))?;
    let samples = usize::try_from(trained.samples).unwrap_or(usize::MAX);
    let statistics = trained.statistics.clone();
    let statistics_from = trained.statistics_from;
    Ok(HeadFile { samples, imagery: trained.imagery, statistics, statistics_from, ..head })
}

/// The specialists that pruning a release by a job's learned selection keeps.
pub(super) struct PruneSelection {
    /// Digests of the specialists' weights.
    pub(super) specialists: Vec<String>,
    /// The note of the smaller release.
    pub(super) note: String,
}

/// The specialists with the largest weights in a job's head. Of those with equal weights, the ones without which the head
/// is worst, by an ablation of that head that was handed in for its release.
pub(super) async fn strongest(
    connection: &mut Connection,
    job: &JobView,
    keep: usize,
) -> anyhow::Result<PruneSelection> {
    let trained = trained(job)?;
    let head = head(connection, trained).await?;
    let folder = tempfile::tempdir().context("cannot make a folder for the head")?;
    let path = folder.path().join(HeadFile::WEIGHTS);
    fetch::blob(connection, trained.weights, &path).await?;
    let learned = selection(&path, &head.signature())?;
    let strongest = head
        .strongest(learned.as_deref(), keep)
        .map_err(|reason| anyhow::anyhow!("job {}: {reason}", job.id))?;
    let release = query::release(connection, Some(head.release.0)).await?;
    let Kept { places, tie } = tie::kept(&strongest, &head, learned.as_deref().unwrap_or_default(), &release);
    match &tie {
        Tie::None => {}
        Tie::Ablation(words) => print_note(format_args!("{}", print::printable(words))),
        Tie::Order(words) => print_warning(format_args!("{}", print::printable(words))),
    }
    let mut digests: Vec<String> = places
        .iter()
        .filter_map(|place| head.encoders[*place].weights)
        .map(|digest| digest.to_string())
        .collect();
    digests.dedup();
    let mut note = note(job, trained, &release.manifest, &digests);
    note.push_str(match tie {
        Tie::None => "",
        Tie::Ablation(_) => "; equal weights told apart by an ablation",
        Tie::Order(_) => "; equal weights told apart by their order in the head",
    });
    Ok(PruneSelection { specialists: digests, note })
}

fn selection(path: &Path, signature: &Signature) -> anyhow::Result<Option<Vec<f32>>> {
    let file = WeightsFile::open(path)?;
    let weights = file.check(signature)?;
    let learned = signature.0.contains_key(HeadFile::SELECTION);
    Ok(learned.then(|| weights.values(HeadFile::SELECTION).iter().collect()))
}

fn note(job: &JobView, trained: &TrainedHeadView, release: &ReleaseManifest, kept: &[String]) -> String {
    let size =
        |cards: &mut dyn Iterator<Item = &Card>| print::bytes(cards.map(|card| card.weights_bytes).sum());
    let all = &release.specialists;
    format!(
        "release {} pruned from {} to {} by the selection of job {} ({}), {} to {}",
        release.number,
        all.len(),
        counted(kept.len(), "specialist"),
        job.id,
        print::scores(&trained.metrics, trained.scoring.as_ref()),
        size(&mut all.iter()),
        size(&mut all.iter().filter(|card| kept.contains(&card.weights.to_string())))
    )
}
