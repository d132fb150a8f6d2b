//! `eosfed-trainer`: trains specialists for the client daemon, and heads over releases for users.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
