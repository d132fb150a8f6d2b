//! The twenty-one attacks of the review of commit 7902b03, and the test that makes each of them against the real
//! programs as processes, over TLS. Those of dishonest members and coordinators are made by `eosfed-hostile`.
//!
//! | no. | attack | file | test |
//! | --- | --- | --- | --- |
//! | 1 | impossible statistics and metrics | `dishonest_claims.rs` | `claims_beyond_what_can_be_stop_no_coordinator_and_are_no_aggregate` |
//! | 2 | a stolen key after a new enrolment | `dishonest_member.rs` | `a_stolen_key_ends_with_a_new_enrolment_and_a_revocation_closes_connections` |
//! | 3 | silent connections | `load.rs` | `a_thousand_hostile_connections_fail_no_call_of_an_institution` |
//! | 4 | large slow messages without a certificate | `load.rs` | `a_thousand_hostile_connections_fail_no_call_of_an_institution` |
//! | 5 | heartbeats without end | `dishonest_member.rs` | `a_dishonest_institution_gets_nothing_and_stops_nobody` |
//! | 6 | forty uploads with one lease | `dishonest_member.rs` | `a_dishonest_institution_gets_nothing_and_stops_nobody` |
//! | 7 | an update that claims 1e12 samples | `dishonest_claims.rs` | `claims_beyond_what_can_be_stop_no_coordinator_and_are_no_aggregate` |
//! | 8 | lies about a rival's specialist | `dishonest_claims.rs` | `one_evaluator_neither_removes_a_rival_nor_saves_itself` |
//! | 9 | an update of one step | `dishonest_coordinator.rs` | `the_daemon_refuses_every_lie_and_still_serves_honest_work` |
//! | 10 | rounds without a strategy | `dishonest_coordinator.rs` | `the_daemon_refuses_every_lie_and_still_serves_honest_work` |
//! | 11 | what leaves without a word | `site_egress.rs` | `nothing_leaves_without_a_word_and_nothing_after_the_policy_has_changed` |
//! | 12 | huge weights and tiles | `dishonest_coordinator.rs` | `the_daemon_refuses_every_lie_and_still_serves_honest_work` |
//! | 13 | wrong answers to a renewal | `identities.rs` | `an_identity_stays_byte_for_byte_until_the_right_certificate_comes` |
//! | 14 | one approval for everything | `dishonest_coordinator.rs` | `an_approval_covers_its_rounds_and_no_changed_terms` |
//! | 15 | a connection after its certificate | `identities.rs` | `a_connection_ends_with_its_certificate_and_renews_nothing` |
//! | 16 | bytes by their digest | `dishonest_member.rs` | `a_dishonest_institution_gets_nothing_and_stops_nobody` |
//! | 17 | control characters in texts | `dishonest_member.rs` | `a_dishonest_institution_gets_nothing_and_stops_nobody` |
//! | 18 | a named pipe among the images | `site_machine.rs` | `a_named_pipe_among_the_images_stops_neither_inspection_nor_a_daemon` |
//! | 19 | state folders that others read | `site_machine.rs` | `state_folders_are_for_their_owner_only_and_laxer_ones_are_refused` |
//! | 20 | a policy that changes during training | `site_egress.rs` | `nothing_leaves_without_a_word_and_nothing_after_the_policy_has_changed` |
//! | 21 | the environment and the life of the trainer | `site_machine.rs` | `a_training_program_gets_no_secret_of_the_daemon_and_ends_with_it` |
//!
//! The tests here check that all of them exist, here and in `SECURITY.md`, which says what holds each line.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eosfed_e2e::project;

/// Number of attacks.
const ATTACKS: u32 = 21;

/// All source files of the project, with their text.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![project()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name();
            let is_built = path.join("CACHEDIR.TAG").exists() || name == "target";
            if entry.file_type().unwrap().is_dir() && !is_built && !name.to_string_lossy().starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    found
}

/// The texts between backticks of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether this is the name of a test: words of lower case, four or more. Settings have fewer. A `*` at the end
/// stands for the rest of several names.
fn is_test(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.trim_end_matches('*').chars().all(allowed) && word.matches('_').count() >= 3
}

fn has_test(text: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => text.contains(&format!("fn {start}")),
        None => text.contains(&format!("fn {name}(")),
    }
}

/// The rows of a table of attacks: number, file and test.
fn attacks(text: &str) -> BTreeMap<u32, (String, String)> {
    let rows = text.lines().filter_map(|line| {
        let number = line.trim_start_matches("//! ").strip_prefix("| ")?.split(' ').next()?.parse().ok()?;
        let [file, test] = quoted(line).collect::<Vec<_>>()[..] else { panic!("{line}") };
        Some((number, (file.rsplit('/').next()?.to_owned(), test.to_owned())))
    });
    rows.collect()
}

#[test]
fn every_attack_has_a_test_against_real_processes() {
    let known = attacks(include_str!("attacks.rs"));
    assert!(known.keys().copied().eq(1..=ATTACKS), "{known:?}");
    for (number, (file, test)) in &known {
        let text = fs::read_to_string(project().join("tests/tests").join(file)).unwrap();
        assert!(has_test(&text, test), "attack {number}: {file} has no `{test}`");
    }
    let security = fs::read_to_string(project().join("SECURITY.md")).unwrap();
    assert_eq!(attacks(&security), known, "SECURITY.md names the same tests");
}

#[test]
fn every_test_and_file_that_security_names_exists() {
    let sources = sources();
    let security = fs::read_to_string(project().join("SECURITY.md")).unwrap();
    let (mut files, mut tests) = (0, 0);
    // Paragraphs wrap; a row of a table is a line.
    let paragraphs = security.split("\n\n").flat_map(|one| {
        if one.trim_start().starts_with('|') {
            one.lines().map(str::to_owned).collect()
        } else {
            vec![one.replace('\n', " ")]
        }
    });
    for paragraph in paragraphs {
        // A test belongs to the file that was named last.
        let mut named: Option<&str> = None;
        for word in quoted(&paragraph) {
            if word.contains('/') && !word.ends_with(".rs") && !word.contains(' ') {
                assert!(project().join(word).exists(), "{word} is not there: {paragraph}");
            } else if word.ends_with(".rs") {
                files += 1;
                named = Some(word);
                let exists = sources.keys().any(|path| path.ends_with(Path::new(word)));
                assert!(exists, "no file ends with {word}: {paragraph}");
            } else if is_test(word) {
                tests += 1;
                let mut looked =
                    sources.iter().filter(|(path, _)| named.is_none_or(|file| path.ends_with(file)));
                assert!(
                    looked.any(|(_, text)| has_test(text, word)),
                    "no test `{word}` in {named:?}: {paragraph}"
                );
            }
        }
    }
    assert!(files > 40 && tests > 40, "{files} files and {tests} tests are named");
    for link in security.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(link.starts_with("https://") || project().join(link).exists(), "{link} is not there");
    }
}
