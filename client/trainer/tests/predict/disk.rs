//! A disk that becomes full while a map is written: real disks of a few kilobytes, mounted where only the test sees them, and
//! a limit of the size of files, which works everywhere.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::command::said;
use super::{head, image};

/// What `predict` gets in every case.
const ARGUMENTS: &str =
    "--head \"$FOLDER/head\" --bands nir,red --window 64 --overlap 16 --device cpu --threads 1";

/// Runs a script in `folder/disk`, with the program as `$TRAINER`.
fn run(folder: &Path, program: &[&str], script: &str) -> Output {
    let script = format!("predict() {{ \"$TRAINER\" predict {ARGUMENTS} \"$@\"; }}\n{script}");
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args(["sh", "-c", &script]).current_dir(folder.join("disk"));
    command.env("TRAINER", env!("CARGO_BIN_EXE_eosfed-trainer")).env("FOLDER", folder).output().unwrap()
}

/// Runs a script on a disk of so many kilobytes; nothing where the test may not mount one.
fn on_disk(folder: &Path, kilobytes: usize, script: &str) -> Option<Output> {
    let mount = format!("mount -t tmpfs -o size={kilobytes}k tmpfs \"$FOLDER/disk\" && cd \"$FOLDER/disk\"");
    let unshare = ["unshare", "--map-root-user", "--mount", "--"];
    let may = Command::new("unshare").arg("--version").output().is_ok();
    if !may || !run(folder, &unshare, &mount).status.success() {
        return None;
    }
    Some(run(folder, &unshare, &format!("{mount}\n{script}")))
}

fn setting() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    head(folder.path());
    fs::create_dir(folder.path().join("disk")).unwrap();
    fs::create_dir(folder.path().join("scenes")).unwrap();
    image(&folder.path().join("scenes/a.tif"), 64, 64);
    image(&folder.path().join("scenes/b.tif"), 520, 520);
    folder
}

#[test]
fn a_full_disk_ends_in_an_error_and_the_next_run_goes_on() {
    let folder = setting();
    // The larger map and its confidence need at least 1.06 MB, and at most 7.5 MB.
    let script = "predict --scenes \"$FOLDER/scenes\" --confidence --output maps; echo \"ends with $?\"; ls -A maps\n\
                  mount -o remount,size=64m \"$FOLDER/disk\"\n\
                  predict --scenes \"$FOLDER/scenes\" --confidence --output maps; echo \"ends with $?\"; ls -A maps\n";
    let Some(output) = on_disk(folder.path(), 2048, script) else {
        eprintln!("skipped: a disk cannot be mounted here");
        return;
    };
    let (out, err) = (String::from_utf8(output.stdout.clone()).unwrap(), said(&output));
    let records = "predict.json\npredict.warnings.jsonl\n";
    let complete = "a.confidence.tif\na.tif\na.tif.aux.xml\n";
    let first =
        format!("1 mapped, 0 there already, 1 failed, 0 other files\nends with 1\n{complete}{records}");
    assert!(out.contains(&first), "{out}\n{err}");
    for part in ["b.tif has no map", "maps/b.", "No space left on device", "nothing of it was kept"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(err.contains("needs 1.07 MB to 7.54 MB"), "{err}");
    let second = "1 mapped, 1 there already, 0 failed, 0 other files\nends with 0\n";
    assert!(
        out.contains(second) && out.ends_with(&format!("b.tif\nb.tif.aux.xml\n{records}")),
        "{out}\n{err}"
    );
}

#[test]
fn a_map_is_refused_only_where_none_of_its_size_fits() {
    let folder = setting();
    let script = "predict --image \"$FOLDER/scenes/b.tif\" --output map.tif; echo \"ends with $?\"; ls -A\n\
                  mount -o remount,size=512k \"$FOLDER/disk\"\n\
                  predict --image \"$FOLDER/scenes/b.tif\" --output map.tif; echo \"ends with $?\"; ls -A\n";
    let Some(output) = on_disk(folder.path(), 128, script) else {
        eprintln!("skipped: a disk cannot be mounted here");
        return;
    };
    let (out, err) = (String::from_utf8(output.stdout.clone()).unwrap(), said(&output));
    assert!(out.starts_with("ends with 1\nmap.tif: "), "nothing is there after the refusal: {out}\n{err}");
    assert!(err.contains("map.tif: a map of this size needs at least "), "{err}");
    // 1.5 MB without compression.
    assert!(err.contains(" kB to 1.") && err.contains(" MB on its disk while it is written"), "{err}");
    assert!(out.ends_with("ends with 0\nmap.tif\nmap.tif.aux.xml\n"), "{out}\n{err}");
}

#[test]
fn a_file_that_may_not_grow_is_named_and_the_map_before_it_stays() {
    let folder = setting();
    fs::write(folder.path().join("disk/map.tif"), "the map before").unwrap();
    // Blocks of 512 bytes; without the signal, a write fails.
    let script = "trap '' XFSZ; ulimit -f 100\n\
                  predict --image \"$FOLDER/scenes/b.tif\" --confidence --output map.tif; echo \"ends with $?\"; ls -A; cat map.tif";
    let output = run(folder.path(), &["env"], script);
    let (out, err) = (String::from_utf8(output.stdout.clone()).unwrap(), said(&output));
    assert_eq!(out, "ends with 1\nmap.tif\nthe map before", "{err}");
    for part in ["error: map.tif: ", "File too large", "nothing of it was kept; make space there"] {
        assert!(err.contains(part), "{part}: {err}");
    }
}
