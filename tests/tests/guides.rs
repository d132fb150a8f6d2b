//! The commands of the guides in `docs` are commands of the programs, and every link leads somewhere.
//!
//! It asks the programs for the help of each command that a guide shows, and looks for the options that the
//! guide uses. `readme.rs` runs the commands of the tour.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use eosfed_e2e::{programs, project};

const PROGRAMS: [&str; 4] = ["eosfed", "eosfed-client", "eosfed-coordinator", "eosfed-trainer"];

fn guides() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs.filter(|path| path.extension().is_some_and(|one| one == "md")).collect();
    paths.extend(["README.md", "SECURITY.md", "ARCHITECTURE.md"].map(|name| project().join(name)));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The command lines of the shell blocks and of the code within sentences that begin with a program's name.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for (n, block) in text.split("```").enumerate() {
        if n % 2 == 0 {
            lines.extend(block.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")));
        } else if block.starts_with("sh\n") {
            lines.extend(block.replace("\\\n", " ").lines().map(str::to_owned));
        }
    }
    lines.iter().filter_map(|line| command(line)).collect()
}

/// The words of a line that begins with a program's name, up to a comment, a pipe or a redirection. The name may
/// come after `sudo -u USER`.
fn command(line: &str) -> Option<Vec<String>> {
    let words: Vec<_> = line.split_whitespace().collect();
    let words = if words.starts_with(&["sudo", "-u"]) { words.get(3..)? } else { &words[..] };
    if !words.first().is_some_and(|word| PROGRAMS.contains(word)) {
        return None;
    }
    let end = |word: &&&str| !["#", "|", ">", "2>", "&", "&&", ";"].contains(*word);
    let words: Vec<_> = words.iter().take_while(end).map(|word| (*word).to_owned()).collect();
    (words.len() > 1).then_some(words)
}

/// The help of the longest prefix of `words` that is a command, as the program gives it.
fn help(words: &[String]) -> Option<String> {
    let is_name =
        |word: &&String| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
    let names: Vec<_> = words[1..].iter().take_while(is_name).take(2).collect();
    let global = words[1].starts_with('-');
    if names.is_empty() && !global {
        return None;
    }
    let output = Command::new(programs().join(&words[0])).args(names).arg("--help").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Words such as `revoke` that a sentence shows for a command of two words: the second one may be a name.
fn known(words: &[String], seen: &mut BTreeMap<Vec<String>, Option<String>>) -> Option<String> {
    for length in [3, 2] {
        let prefix = words[..words.len().min(length)].to_vec();
        let found = seen.entry(prefix.clone()).or_insert_with(|| help(&prefix)).clone();
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn the_programs_know_every_command_and_option_of_the_guides() {
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (path, text) in guides() {
        for words in commands(&text) {
            let line = words.join(" ");
            let Some(help) = known(&words, &mut seen) else {
                wrong.push(format!("{}: `{line}` is no command", path.display()));
                continue;
            };
            checked += 1;
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap().trim_end_matches([',', '.', ')']);
                let there = help.split([' ', '\n', ',', '=', '[', ']', '<']).any(|word| word == option);
                if !there && !["--version", "--help"].contains(&option) {
                    wrong.push(format!("{}: `{line}` has no option `{option}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 100, "the guides have lost their commands: {checked}");
}

#[test]
fn every_link_of_the_guides_leads_to_a_file() {
    let mut wrong = Vec::new();
    for (path, text) in guides() {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = link.split('#').next().unwrap();
            let there =
                file.is_empty() || file.starts_with("http") || path.parent().unwrap().join(file).exists();
            if !there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}
