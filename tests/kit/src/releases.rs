//! Releases, and heads over them.

use eosfed_common::ablation::{Ablation, AblationFile, FileEntry, Without};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::finite::Finite;
use eosfed_common::head::HeadOver;
use eosfed_common::scoring::ScoredPart;

/// A head over [`release`], as it travels.
pub const HEAD: &str = include_str!("../documents/head.json");

/// The head over [`release`]; it tells `a` from `b`.
#[must_use]
pub fn head() -> HeadOver {
    HeadOver::from_bytes(HEAD.as_bytes()).unwrap()
}

/// The release of one specialist, [`crate::cards::card`].
#[must_use]
pub fn release() -> ReleaseManifest {
    head().release
}

/// The ablation of a head `top5` over [`release`]: without its only specialist, it is worse by a half.
#[must_use]
pub fn ablation() -> Ablation {
    let release = release();
    let without = release.specialists.iter().map(|card| Without {
        weights: card.weights,
        selection: Some(Finite::literal(1.0)),
        score: Finite::literal(0.4),
    });
    Ablation {
        release: release.number,
        head: "top5".to_owned(),
        task: release.specialists[0].model.task,
        part: ScoredPart::Test,
        samples: 40,
        metric: "macro_f1".to_owned(),
        unit: String::new(),
        all: Finite::literal(0.8),
        without: without.collect(),
    }
}

/// The file of [`ablation`], as the trainer writes it.
#[must_use]
pub fn ablation_file() -> AblationFile {
    let Ablation { release, head, task, part, samples, metric, unit, all, without } = ablation();
    let names = self::release().specialists.into_iter().map(|card| card.name.to_string());
    let entry = |(one, specialist): (Without, String)| FileEntry {
        specialist,
        digest: Some(one.weights),
        weight: 1.0,
        without: one.score.get(),
        change: one.score.get() - all.get(),
    };
    AblationFile {
        head,
        release,
        task,
        part: part.to_string(),
        samples,
        metric,
        unit,
        larger_is_better: true,
        all: all.get(),
        ablations: without.into_iter().zip(names).map(entry).collect(),
    }
}
