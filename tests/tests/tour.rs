//! The commands of the tour work, and so do those of the guides, in the federation that the tour has made.
//!
//! One shell runs the blocks of every page in order. A guide speaks of the folders of an installation; `replaced`
//! says where they lie here, and `before` what a reader has done before a command. Pages that install packages or
//! images are run by `make system-test` and `make container-test`.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eosfed_e2e::{programs, project};

/// A page whose shell blocks are run here.
struct Page {
    file: &'static str,
    /// What a command of the page begins with, and the commands before it.
    before: &'static [(&'static str, &'static str)],
    /// What stands in the page, and what it is here.
    replaced: &'static [(&'static str, &'static str)],
}

const STARTED: &str = "until grep -qs READY restored.out; do sleep 0.1; done";

const PAGES: [Page; 7] = [
    Page { file: "docs/tour.md", before: &[], replaced: &[("127.0.0.1:7443", "127.0.0.1:0")] },
    Page { file: "docs/institution.md", before: &[], replaced: &[("/var/lib/eosfed", "tour/west")] },
    Page {
        file: "docs/researcher.md",
        before: &[
            ("eosfed join", SECOND_SPECIALIST),
            ("eosfed-client data inspect", "mv tour/labelled labelled; cp -r labelled test"),
            ("eosfed-trainer predict", "cp labelled/0/image.tif scene.tif"),
        ],
        replaced: &[
            ("release pull 3", "release pull 2"),
            ("fit --release", "fit --epochs 2 --release"),
            ("--select top-5", "--select top-2"),
            ("--top-k 2", "--top-k 1"),
            ("--split validation", "--split test"),
            ("B02,B03,B04,B08", "blue,green,red,nir,swir16,swir22"),
        ],
    },
    Page {
        file: "docs/security-operations.md",
        before: &[("eosfed-coordinator init", "cp root/certificate.pem root-certificate.pem")],
        replaced: &[("/var/lib/eosfed", "carried")],
    },
    Page {
        file: "docs/backup-and-upgrade.md",
        before: &[
            ("eosfed-coordinator backup --state", SETTINGS),
            ("eosfed-coordinator restore --from", "kill %1"),
        ],
        replaced: &[
            ("backup --state /var/lib/eosfed", "backup --state tour/coordinator"),
            ("/mnt/backups/eosfed-2026-11-25T02-00-00Z", "$(echo backups/eosfed-*)"),
            ("serve --state /var/lib/eosfed", "serve --state restored > restored.out &"),
            ("/var/lib/eosfed", "restored"),
        ],
    },
    Page {
        file: "docs/operations.md",
        before: &[("eosfed audit list --since", STARTED)],
        replaced: &[("release ablation 3", "release ablation 2"), ("release show 3", "release show 2")],
    },
    Page { file: "docs/dashboard.md", before: &[], replaced: &[] },
];

/// The researcher of the guide has a choice: the second job makes another specialist. The researcher is somebody
/// else, with a home of their own.
const SECOND_SPECIALIST: &str = r#"
sed 's/west-rgb/west-infrared/; s/"red", "green", "blue"/"nir", "swir16", "swir22"/; s/^epochs.*/epochs = 1/' \
    deploy/demo/tour/plan.toml > second.toml
eosfed job submit second.toml --watch
eosfed reader invite grace --token-file reader.token
operator=$EOSFED_IDENTITY; unset EOSFED_IDENTITY
"#;

/// What the pages say about `coordinator.toml`, with the folder and the key of this test.
const SETTINGS: &str = r#"
export EOSFED_IDENTITY=restored/operator
key=$(grep -o 'age1[0-9a-z]*' backup-key.txt)
sed -i "s|^# folder = .*|folder = \"$PWD/backups\"|; s|^# recipients = .*|recipients = [\"$key\"]|" \
    tour/coordinator/coordinator.toml
printf '[http]\nlisten = "127.0.0.1:0"\n' >> tour/coordinator/coordinator.toml
"#;

/// Pages with shell blocks that nothing runs here, and what does.
const ELSEWHERE: [(&str, &str); 3] = [
    ("docs/deployment.md", "make system-test"),
    ("docs/performance.md", "make bench"),
    ("docs/results.md", "a machine with a GPU"),
];

/// The commands of the shell blocks of a page, with lines that go on joined.
fn commands(text: &str) -> Vec<String> {
    let blocks =
        text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().replace("\\\n", " "));
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What the shell runs for a page.
fn script(page: &Page) -> String {
    let text = fs::read_to_string(project().join(page.file)).unwrap();
    let mut lines = vec![format!(": {}", page.file)];
    let mut unused: BTreeSet<_> = page.before.iter().map(|(start, _)| *start).collect();
    for command in commands(&text) {
        for (start, first) in page.before.iter().filter(|(start, _)| command.starts_with(start)) {
            if unused.remove(start) {
                lines.push((*first).to_owned());
            }
        }
        lines.push(page.replaced.iter().fold(command, |line, (from, to)| line.replace(from, to)));
    }
    assert!(unused.is_empty(), "{} has no command {unused:?}", page.file);
    assert!(lines.len() > 1, "{} has lost its commands", page.file);
    lines.join("\n")
}

fn run(folder: &Path, cache: &Path, script: &str) -> (bool, String) {
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    let end = "trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n";
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1; set -euo pipefail\n{end}set -x\n{script}\n")])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", cache)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_commands_of_the_tour_and_of_the_guides_work() {
    let folder = tempfile::tempdir().unwrap();
    symlink(project().join("deploy"), folder.path().join("deploy")).unwrap();
    let known = Command::new("python3").arg(project().join("deploy/demo/fetch_scene.py")).output().unwrap();
    if !known.status.success() {
        println!(
            "skipped: the_commands_of_the_tour_and_of_the_guides_work: the demo's scene cannot be fetched"
        );
        return;
    }
    let scene = PathBuf::from(String::from_utf8(known.stdout).unwrap().trim());
    let cache = scene.ancestors().nth(2).unwrap();
    let pages: Vec<_> = PAGES.iter().map(script).collect();
    let (success, said) = run(folder.path(), cache, &pages.join("\n"));
    assert!(success, "{said}");
    for made in [
        "tour/imagery.png",
        "tour/curves.png",
        "tour/release/release.json",
        "tour/scores/results.md",
        "tour/scores/predictions.png",
        "heads/top5/head.json",
        "ablation",
        "pruned",
        "map.png",
        "train.safetensors",
        "carried/coordinator.toml",
        "events.jsonl",
    ] {
        assert!(folder.path().join(made).exists(), "{made} is missing\n{said}");
    }
    assert!(said.contains("http://127.0.0.1:"), "no link to the dashboard\n{said}");
}

#[test]
fn every_guide_with_commands_is_run_here_or_named_with_what_runs_it() {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let with_commands: BTreeSet<_> = docs
        .map(|name| format!("docs/{}", name.to_str().unwrap()))
        .filter(|file| Path::new(file).extension().is_some_and(|one| one == "md"))
        .filter(|file| !commands(&fs::read_to_string(project().join(file)).unwrap()).is_empty())
        .collect();
    let named: BTreeSet<_> = PAGES
        .iter()
        .map(|page| page.file)
        .chain(ELSEWHERE.map(|(file, _)| file))
        .map(str::to_owned)
        .collect();
    assert_eq!(with_commands, named);
}

#[test]
fn the_two_commands_of_the_readme_and_every_file_named_exist() {
    let text = fs::read_to_string(project().join("README.md")).unwrap();
    for target in ["demo", "test", "help"] {
        assert!(text.contains(&format!("make {target}")), "{target}");
        let make = Command::new("make").args(["-n", target]).current_dir(project()).output().unwrap();
        assert!(make.status.success(), "make {target}: {}", String::from_utf8_lossy(&make.stderr));
    }
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(link.starts_with("https://") || project().join(link).exists(), "{link} is not there");
    }
    let lines = text.lines().count();
    assert!(lines <= 80, "the README is one screen and its links, not {lines} lines");
}
