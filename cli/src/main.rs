//! The operator's and model user's command-line tool.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use eosfed_cli::arguments::Arguments;
use eosfed_cli::run;
use eosfed_common::exit;
use eosfed_common::stdout::print_error;
use eosfed_common::telemetry::{self, LogFormat};

fn main() -> ExitCode {
    if let Some(code) = eosfed_manual::asked(&Arguments::command(), std::env::args_os()) {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::DONE });
        }
    };
    eosfed_transport::install_crypto_provider();
    telemetry::init(LogFormat::Text, "warn");
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => {
            print_error(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}
