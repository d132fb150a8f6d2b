//! Each program writes manual pages and completion scripts that are well formed and say what its help says.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eosfed_e2e::{programs, succeed};

const PROGRAMS: [&str; 4] = ["eosfed", "eosfed-client", "eosfed-coordinator", "eosfed-trainer"];

/// A program's pages and scripts, in a folder of the test.
fn written(program: &str, folder: &Path) {
    succeed(Command::new(programs().join(program)).arg("--write-manual").arg(folder));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The command lines of a program, found by its help: `["job", "show"]` and so on.
fn command_lines(program: &str) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(line) = found.get(next).cloned() {
        let help = help(program, &line);
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = commands.take_while(|line| !line.is_empty()).filter_map(|line| {
            let name = line.strip_prefix("  ")?.split_whitespace().next()?;
            (!line.starts_with("   ") && name != "help").then(|| name.to_owned())
        });
        found.extend(names.map(|name| line.iter().cloned().chain([name]).collect()));
        next += 1;
    }
    found
}

fn help(program: &str, line: &[String]) -> String {
    let output = succeed(Command::new(programs().join(program)).args(line).arg("-h"));
    String::from_utf8(output.stdout).unwrap()
}

/// The long options of a help text, without their other names.
fn options(help: &str) -> impl Iterator<Item = &str> {
    let named = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = named.flat_map(|line| line.split("  ").next().unwrap_or_default().split([' ', ',']));
    words.filter(|word| word.starts_with("--")).map(|word| word.trim_end_matches('.'))
}

fn is_there(tool: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    if !there.status.success() {
        eprintln!("skipped: {tool} is not installed");
    }
    there.status.success()
}

#[test]
fn each_command_line_has_a_page_with_all_its_options() {
    for program in PROGRAMS {
        let folder = tempfile::tempdir().unwrap();
        written(program, folder.path());
        let lines = command_lines(program);
        for line in &lines {
            let name = [&[program.to_owned()], line.as_slice()].concat().join("-");
            let path = folder.path().join("man1").join(format!("{name}.1"));
            let page =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let page = page.replace("\\-", "-");
            let help = help(program, line);
            for option in options(&help) {
                assert!(page.contains(option), "{} lacks {option}", path.display());
            }
        }
        assert_eq!(files(&folder.path().join("man1")).len(), lines.len(), "{program} has other pages too");
        let least = if program == "eosfed" { 30 } else { 9 };
        assert!(lines.len() >= least, "{program}: only {} command lines were found", lines.len());
    }
}

#[test]
fn pages_are_well_formed() {
    if !is_there("mandoc") {
        return;
    }
    for program in PROGRAMS {
        let folder = tempfile::tempdir().unwrap();
        written(program, folder.path());
        // Warnings are about blank lines between paragraphs and about the date, which pages have none of.
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .args(files(&folder.path().join("man1")))
            .output()
            .unwrap();
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    }
}

#[test]
fn completion_scripts_are_programs_of_their_shells() {
    for shell in ["bash", "zsh", "fish"].into_iter().filter(|shell| is_there(shell)) {
        for program in PROGRAMS {
            let folder = tempfile::tempdir().unwrap();
            written(program, folder.path());
            for script in files(&folder.path().join("completions").join(shell)) {
                succeed(Command::new(shell).arg("-n").arg(&script));
                let text = fs::read_to_string(&script).unwrap();
                for line in command_lines(program).iter().filter(|line| line.len() == 1) {
                    assert!(text.contains(&line[0]), "{} lacks {}", script.display(), line[0]);
                }
            }
        }
    }
}
