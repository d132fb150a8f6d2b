//! The coordinator daemon.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::net::limits::raise_open_files;
use eosfed_common::telemetry;
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings;
use tokio::signal::unix::{SignalKind, signal};

/// Holds the registry of specialists, schedules rounds of training at partner institutions and cuts
/// ensemble releases.
#[derive(Parser)]
#[command(
    name = "eosfed-coordinator",
    version,
    after_help = "\
Examples:
  eosfed-coordinator init --state /var/lib/eosfed --name eo.example.org --listen 0.0.0.0:7443 \\
                          --public-url https://eo.example.org:7443
  eosfed-coordinator serve --state /var/lib/eosfed
  eosfed --identity /var/lib/eosfed/operator institution invite univ-ghent

Exit codes: 0 done or stopped by a signal, 1 failed, 64 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a state folder: a certificate authority, settings and an operator's identity
    ///
    /// Nothing is overwritten: a folder that is a coordinator's already is left alone. Keep a copy of
    /// `ca/key.pem` in a safe place; whoever has it can admit anybody.
    Init {
        /// The folder to make
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Where to listen; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:7443")]
        listen: SocketAddr,
        /// Address that institutions connect to [default: the address listened on]
        #[arg(long, value_name = "https://HOST:PORT")]
        public_url: Option<String>,
        /// Host name or IP address that the server's certificate is for; may be repeated
        #[arg(long = "name", default_values = ["localhost", "127.0.0.1"])]
        names: Vec<String>,
    },
    /// Run the coordinator until SIGTERM or SIGINT
    ///
    /// Prints `READY https://HOST:PORT` on standard output when it can be called. It may be killed at
    /// any instant: nothing that was acknowledged is lost, and rounds go on after the next start.
    Serve {
        /// The state folder that `init` has made
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Check settings, keys and store, then exit
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    eosfed_common::net::install_crypto_provider();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { state, listen, public_url, names } => {
            let made = init(&state, &Choices { listen, public_url, names }, SystemClock.now())?;
            println!("The coordinator's state is in {}.", made.0.display());
            println!("  start it:            eosfed-coordinator serve --state {}", made.0.display());
            println!(
                "  invite institutions: eosfed --identity {} institution invite NAME",
                made.operator().display()
            );
            Ok(())
        }
        Command::Serve { state, check } => {
            let (state, settings) = settings::load(&state)?;
            telemetry::init(settings.log, "info");
            allow_open_files();
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let coordinator = Coordinator::open(state, settings).await?;
                if check {
                    println!("settings, keys and store are fine");
                    return Ok(());
                }
                let ready = |url: &str| {
                    println!("READY {url}");
                    // Who waits for the line may have gone; that is no reason not to serve.
                    let _ = std::io::stdout().flush();
                };
                coordinator.serve(ready, stopped()?).await
            })
        }
    }
}

/// Each connection is an open file, and the usual limit at first is 1,024.
fn allow_open_files() {
    match raise_open_files() {
        Ok(files) => tracing::info!(files, "files and connections that may be open at once"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files; see `ulimit -n`"),
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}
