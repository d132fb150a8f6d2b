//! `eosfed-trainer`: trains specialists for the client daemon, and heads over releases for users.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
