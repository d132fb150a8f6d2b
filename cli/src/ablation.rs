//! What specialists contribute to heads over a release.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use eosfed_common::ablation::{Ablation, AblationFile};
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::outln;
use eosfed_common::view::{AblationView, WithoutView};

use super::print;

/// Reads the result of `eosfed-trainer ensemble ablate` for a release.
pub(super) fn read(path: &Path, number: ReleaseNumber, name: Option<&str>) -> anyhow::Result<Ablation> {
    let path = if path.is_dir() { path.join(AblationFile::FILE) } else { path.to_owned() };
    let json = fs::read(&path).with_context(|| {
        format!("cannot read {}; make it with `eosfed-trainer ensemble ablate`", path.display())
    })?;
    let file: AblationFile = serde_json::from_slice(&json).with_context(|| {
        format!(
            "{}: not an ablation, or one of an earlier version; make it again with `eosfed-trainer ensemble ablate`",
            path.display()
        )
    })?;
    let found = file.release;
    anyhow::ensure!(
        found == number,
        "{}: `release` must be {number}, the release that it is handed in for, found `{found}`",
        path.display()
    );
    let head = name.map_or(file.head, str::to_owned);
    AblationFile { head, ..file }.ablation().with_context(|| path.display().to_string())
}

/// Prints what each specialist contributes to a head.
pub(super) fn describe(ablation: &AblationView) {
    let AblationView { head, task, part, samples, metric, unit, all, .. } = ablation;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let all_of = format!("{metric} {:.3}{unit} with all {}", all, ablation.without.len());
    let who = format!("{} by {}", print::when(ablation.recorded_at), ablation.recorded_by);
    let text = format!("ablation of {head} ({task}): {all_of}, {part} part, n = {samples}, handed in {who}");
    outln!("\n{}\n{}", print::printable(&text), table(ablation));
}

fn table(ablation: &AblationView) -> print::Sheet {
    let mut table = print::table(&["without", "weight", &ablation.metric, "contributes", ""]);
    for WithoutView { specialist, weights: _, selection, score, gain } in &ablation.without {
        table.add_row([
            specialist.clone(),
            selection.map_or_else(|| "–".to_owned(), |factor| format!("{factor:.3}")),
            format!("{score:.3}"),
            format!("{gain:+.3}"),
            effect(gain.get()).to_owned(),
        ]);
    }
    table
}

/// What a contribution means.
fn effect(gain: f64) -> &'static str {
    match gain {
        gain if gain > 0.0 => "helps",
        gain if gain < 0.0 => "better without",
        _ => "no difference",
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::ablation::FileEntry;
    use eosfed_common::digest::Digest;
    use eosfed_common::model::Task;

    use super::*;

    fn file() -> AblationFile {
        AblationFile {
            head: "top5".to_owned(),
            release: ReleaseNumber(3),
            task: Task::Segmentation,
            part: "test".to_owned(),
            samples: 9,
            metric: "miou".to_owned(),
            unit: String::new(),
            larger_is_better: true,
            all: 0.75,
            ablations: vec![FileEntry {
                specialist: "west-rgb".to_owned(),
                digest: Some(Digest::of(b"weights")),
                weight: 0.5,
                without: 0.5,
                change: -0.25,
            }],
        }
    }

    #[test]
    fn a_file_or_its_folder_is_read_and_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(AblationFile::FILE);
        let of_file = |path: &Path, number| read(path, ReleaseNumber(number), None).unwrap();
        let of_folder = |number, name| read(folder.path(), ReleaseNumber(number), name);
        let refused = |number, name| format!("{:#}", of_folder(number, name).unwrap_err());
        assert!(refused(3, None).contains("ensemble ablate"), "{}", refused(3, None));
        fs::write(&path, serde_json::to_vec(&file()).unwrap()).unwrap();
        assert_eq!(of_file(&path, 3), of_folder(3, None).unwrap());
        assert_eq!(of_folder(3, Some("mine")).unwrap().head, "mine");
        let said = refused(4, None);
        assert!(
            said.contains("must be 4") && said.contains("found `3`") && said.contains("ablation.json"),
            "{said}"
        );
        let said = refused(3, Some("\u{202e}"));
        assert!(said.contains("`head` must be") && said.contains("ablation.json"), "{said}");
        fs::write(
            &path,
            br#"{"head":"all","metric":"miou","larger_is_better":true,"all":0.5,"ablations":[]}"#,
        )
        .unwrap();
        let said = refused(3, None);
        assert!(said.contains("an earlier version") && said.contains("missing field"), "{said}");
    }

    #[test]
    fn a_contribution_is_told_in_a_word() {
        assert_eq!([0.1, -1e-9, 0.0].map(effect), ["helps", "better without", "no difference"]);
    }
}
