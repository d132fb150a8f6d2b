//! Manual pages and completion scripts of a program, from the definition of its command line.
//!
//! Each program writes its own: `PROGRAM --write-manual FOLDER`, which its help does not mention. So a
//! package has the pages of exactly the program in it, and no second build is needed for them.
//! `make manual` runs it for all programs.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

/// The option, which must be the first argument.
pub const OPTION: &str = "--write-manual";

/// The shells whose scripts are written.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes the pages and scripts if the program's arguments ask for that, and gives its exit code.
#[must_use]
pub fn asked(program: &Command, arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != OPTION {
        return None;
    }
    let folder = arguments.next()?;
    Some(match write(program, Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "error: cannot write into {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    })
}

/// Writes `man1/*.1`, a page for the program and for each of its commands, and `completions/SHELL/*`.
/// Folders are made if they are missing. Hidden commands and options are left out.
///
/// # Errors
/// If a file cannot be written.
pub fn write(program: &Command, folder: &Path) -> io::Result<()> {
    let mut program = visible(program);
    // Names of commands become those of whole command lines.
    program.build();
    let folder_of_pages = folder.join("man1");
    fs::create_dir_all(&folder_of_pages)?;
    let source = format!("EoS-Fed {}", program.get_version().unwrap_or_default());
    pages(&program, &source, &folder_of_pages)?;
    for shell in SHELLS {
        let folder = folder.join("completions").join(shell.to_string());
        fs::create_dir_all(&folder)?;
        generate_to(shell, &mut program.clone(), program.get_name(), &folder)?;
    }
    Ok(())
}

/// Writes the page of a command and those of its own commands. Pages have no date: the same sources give the
/// same bytes.
fn pages(command: &Command, source: &str, folder: &Path) -> io::Result<()> {
    for child in command.get_subcommands() {
        pages(child, source, folder)?;
    }
    let page = Man::new(command.clone()).date("\u{20}").source(source).manual("EoS-Fed");
    page.generate_to(folder).map(drop)
}

/// The program without hidden commands, which completion scripts would show, and without the `help`
/// commands, which `--help` stands for.
fn visible(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        .subcommand_required(command.is_subcommand_required_set())
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .subcommands(command.get_subcommands().filter(|child| !child.is_hide_set()).map(visible));
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(text) = command.get_after_help() {
        shown = shown.after_help(text.clone());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    fn program() -> Command {
        let job = Command::new("job")
            .about("Jobs")
            .subcommand_required(true)
            .subcommand(Command::new("show").about("Show one").arg(Arg::new("job").help("Its id")));
        let verbose = Arg::new("verbose").long("verbose").action(ArgAction::SetTrue).help("Say more");
        Command::new("eosfed")
            .version("1.2.3")
            .about("Federates")
            .after_help("Exit codes: 0 done")
            .arg(verbose)
            .subcommands([job, Command::new("inner").hide(true)])
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        write(&program(), folder.path()).unwrap();
        let pages = folder.path().join("man1");
        assert_eq!(names(&pages), ["eosfed-job-show.1", "eosfed-job.1", "eosfed.1"]);
        let page = fs::read_to_string(pages.join("eosfed.1")).unwrap();
        for wanted in ["Federates", "verbose", "eosfed\\-job(1)", "Exit codes: 0 done", "EoS-Fed 1.2.3"] {
            assert!(page.contains(wanted), "{wanted} is not in {page}");
        }
        for (shell, file) in [("bash", "eosfed.bash"), ("fish", "eosfed.fish"), ("zsh", "_eosfed")] {
            let script = folder.path().join("completions").join(shell).join(file);
            let script = fs::read_to_string(script).unwrap();
            assert!(script.contains("verbose") && script.contains("show"), "{shell}: {script}");
            assert!(!script.contains("inner") && !script.contains("write-manual"), "{shell}: {script}");
        }
    }

    #[test]
    fn only_the_option_as_the_first_argument_asks() {
        let folder = tempfile::tempdir().unwrap();
        let asked = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            asked(&program(), words.chain([folder.path().into()])).is_some()
        };
        assert!(!asked(&["eosfed", "job"]) && !asked(&["eosfed", "job", OPTION]));
        assert!(asked(&["eosfed", OPTION]));
        assert!(folder.path().join("man1/eosfed.1").exists());
    }
}
