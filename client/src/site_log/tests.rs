use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use eosfed_common::clock::{ManualClock, Timestamp};

use super::file::{firsts, path_of};
use super::*;

const SMALL: SiteLogSettings = SiteLogSettings { file_mib: 0, files: 3 };

fn log(folder: &Path, settings: SiteLogSettings) -> SiteLog {
    SiteLog::new(folder, settings, Arc::new(ManualClock::new(Timestamp(1_795_000_000_000))))
}

fn waits(why: &str) -> Entry {
    Entry::of(&"j-0a1b2c3d.0.1.west".parse().unwrap(), EntryKind::Waits { why: why.to_owned() })
}

fn read(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    Follower::new(folder).each(|line| lines.push(line.to_owned())).unwrap();
    lines
}

fn newest(folder: &Path) -> PathBuf {
    path_of(folder, *firsts(folder).unwrap().last().unwrap())
}

#[test]
fn entries_of_two_writers_make_one_chain_and_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("site-log");
    let daemon = log(&folder, SiteLogSettings::default());
    let command = log(&folder, SiteLogSettings::default());
    for number in 0..6 {
        let writer = if number % 2 == 0 { &daemon } else { &command };
        writer.record(waits(&number.to_string())).unwrap();
    }
    assert_eq!(read(&folder).len(), 6);
    let Verification { verified, oldest } = verify(&folder, None).unwrap();
    assert_eq!((verified.events, verified.first, oldest), (6, Some(0), 0));
    for (path, mode) in [(folder.clone(), 0o700), (newest(&folder), 0o600), (folder.join("lock"), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
    }
}

#[test]
fn a_changed_a_removed_and_a_swapped_entry_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), SiteLogSettings::default());
    ["first", "second", "third"].iter().for_each(|why| log.record(waits(why)).unwrap());
    let newest_ref = verify(folder.path(), None).unwrap().verified.head;
    let path = newest(folder.path());
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let broken = |text: String| {
        fs::write(&path, text).unwrap();
        verify(folder.path(), newest_ref).unwrap_err().to_string()
    };
    let said = broken(whole.replace("second", "seconds"));
    assert!(said.contains("event 1 was changed"), "{said}");
    let said = broken(format!("{}\n{}\n", lines[0], lines[2]));
    assert!(said.contains("event 1 is missing"), "{said}");
    let said = broken(format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]));
    assert!(said.contains("follows event 1"), "{said}");
    let said = broken(format!("{}\n{}\n", lines[1], lines[2]));
    assert!(said.contains("oldest entry is 1"), "{said}");
    let said = broken(format!("{}\n{}\n", lines[0], lines[1]));
    assert!(said.contains("event 2 was noted as"), "only the noted entry reveals this: {said}");
    fs::write(&path, &whole).unwrap();
    assert_eq!(verify(folder.path(), newest_ref).unwrap().verified.events, 3);
}

#[test]
fn files_are_rotated_and_the_chain_goes_on_over_them() {
    let folder = tempfile::tempdir().unwrap();
    // Each entry fills a file.
    let writer = log(folder.path(), SMALL);
    for number in 0..8 {
        writer.record(waits(&number.to_string())).unwrap();
    }
    let kept = firsts(folder.path()).unwrap();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let Verification { verified, oldest } = verify(folder.path(), None).unwrap();
    assert_eq!((verified.first, oldest), (Some(kept[0]), kept[0]));
    assert!(kept[0] > 0 && read(folder.path()).last().unwrap().contains("\"why\":\"7\""));
    // Another process continues.
    log(folder.path(), SMALL).record(waits("again")).unwrap();
    verify(folder.path(), None).unwrap();
    // A whole old file is removed.
    let kept = firsts(folder.path()).unwrap();
    fs::remove_file(path_of(folder.path(), kept[0])).unwrap();
    let said = verify(folder.path(), None).unwrap_err().to_string();
    assert!(said.contains("are missing"), "{said}");
}

#[test]
fn an_incomplete_last_line_is_cut_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), SiteLogSettings::default()).record(waits("whole")).unwrap();
    let path = newest(folder.path());
    let torn = &read(folder.path())[0][..40];
    OpenOptions::new().append(true).open(&path).unwrap().write_all(torn.as_bytes()).unwrap();
    let said = verify(folder.path(), None).unwrap_err().to_string();
    assert!(said.contains("it is incomplete"), "{said}");
    assert_eq!(read(folder.path()).len(), 1, "readers stop before it");
    log(folder.path(), SiteLogSettings::default()).record(waits("next")).unwrap();
    let lines = read(folder.path());
    assert!(lines[1].contains("\"bytes\":40,") && lines[1].contains("mended"), "{}", lines[1]);
    assert_eq!((lines.len(), verify(folder.path(), None).unwrap().verified.events), (3, 3));
}

#[test]
fn a_crash_between_a_new_file_and_its_first_line_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), SiteLogSettings::default()).record(waits("whole")).unwrap();
    fs::write(path_of(folder.path(), 1), "{\"at\":17").unwrap();
    log(folder.path(), SiteLogSettings::default()).record(waits("next")).unwrap();
    let lines = read(folder.path());
    assert!(lines[1].contains("mended") && lines.len() == 3, "{lines:?}");
    assert_eq!(verify(folder.path(), None).unwrap().verified.events, 3);
}

#[test]
fn a_complete_line_that_is_damaged_is_not_mended() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path(), SiteLogSettings::default()).record(waits("whole")).unwrap();
    let path = newest(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [text.replace("whole", "hole"), "not an entry\n".to_owned()] {
        fs::write(&path, &damaged).unwrap();
        let next = log(folder.path(), SiteLogSettings::default());
        let said = next.record(waits("next")).unwrap_err().to_string();
        assert!(said.contains("move it away to begin a new log"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "it is kept as it was found");
    }
}

#[test]
fn what_could_not_be_written_is_written_before_the_next_entry() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("site-log");
    fs::write(&place, "in the way").unwrap();
    let log = log(&place, SiteLogSettings::default());
    log.note(waits("first"));
    assert!(log.record(waits("second")).is_err());
    fs::remove_file(&place).unwrap();
    log.record(waits("third")).unwrap();
    let lines = read(&place);
    assert!(lines.len() == 2 && lines[0].contains("first") && lines[1].contains("third"), "{lines:?}");
}

#[test]
fn entries_of_another_try_are_not_repeated_until_they_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path(), SiteLogSettings::default());
    (0..3).for_each(|_| log.record_once(waits("again")).unwrap());
    assert_eq!(read(folder.path()).len(), 1);
    log.forget(|_| false);
    log.record_once(waits("again")).unwrap();
    assert_eq!(read(folder.path()).len(), 2);
}

#[test]
fn texts_of_entries_are_bounded_and_can_be_shown() {
    assert_eq!(text("a\nb\u{1b}"), "a\\nb\\u{1b}");
    assert_eq!(text(&"x".repeat(10_000)).len(), 4096);
    assert_eq!((name("a\u{1b}"), name(&"x".repeat(10_000)).len()), ("a\\u{1b}".to_owned(), 80));
    assert_eq!(lines((0..500).map(|line| line.to_string())).len(), 64);
}
