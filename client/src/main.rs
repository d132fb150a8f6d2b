//! `eosfed-client`: the client of an institution. See `eosfed-client --help`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use eosfed_common::exit;
use eosfed_common::stdout::print_failure;

fn main() -> ExitCode {
    if let Some(code) = eosfed_manual::asked(&cli::Cli::command(), std::env::args_os()) {
        return code;
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            // There is no way to report that this cannot be printed.
            let _ = error.print();
            return if wrong { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.execute() {
        Ok(code) => code,
        Err(error) => {
            print_failure(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
