//! Many institutions against one coordinator, all on this machine: they join, hold their connections
//! while they wait for work, and then some of them send whole models at once. Prints the measurements, and
//! fails if anything is refused.

mod coordinator;
mod crowd;
mod growth;
mod history;
mod institution;
mod ledger;
mod probe;
mod progress;
mod report;
mod restarts;
mod rounds;
mod scene;
mod updates;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::growth::Growth;
use crate::report::Report;
use crate::scene::Load;

/// Load one coordinator with many institutions and measure it.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    scene: Option<Scene>,
    /// Institutions that hold a connection and wait for work; those that upload are among them
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    idle: u32,
    /// Institutions that upload weights of 13.6 MB each, all at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    uploading: u32,
    /// Hostile connections of `eosfed-hostile`, beside this program, while institutions upload
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=4000))]
    hostile: u16,
    /// The coordinator's program [default: eosfed-coordinator beside this one]
    #[arg(long, global = true, value_name = "FILE")]
    coordinator: Option<PathBuf>,
    /// Timeout in seconds
    #[arg(long, global = true, default_value_t = 900, value_name = "SECONDS")]
    within: u64,
}

/// Another measurement instead of many uploads.
#[derive(Debug, Subcommand)]
enum Scene {
    /// A job of many rounds: the cost of a heartbeat and of a submission by the number of closed rounds
    History {
        /// Numbers of closed rounds at which to measure
        #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000], value_name = "N,N,...",
              value_parser = clap::value_parser!(u32).range(3..=5000))]
        rounds: Vec<u32>,
        /// Institutions that take part in each round
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=100))]
        institutions: u32,
    },
    /// Rolling restarts: institutions upload and submit while the coordinator is restarted again and again
    Restarts {
        /// Institutions that poll, upload 13.6 MB each and submit
        #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(2..=1000))]
        institutions: u32,
        /// Restarts
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        restarts: u32,
    },
    /// A long ledger: what it takes to start on it, and to list, export and verify it with `eosfed`, which
    /// lies beside the coordinator's program
    Ledger {
        /// Numbers of events at which to measure
        #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000], value_name = "N,N,...",
              value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        events: Vec<u64>,
    },
    /// What each round of a job takes, as a line of JSON
    Rounds {
        /// Institutions that take part in each round
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
        clients: u32,
        /// Rounds that are measured
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
    },
    /// How time, processor, memory, bytes and open files grow. A line of JSON for each measurement
    Growth(Growth),
}

impl Arguments {
    fn program(&self) -> anyhow::Result<PathBuf> {
        if let Some(program) = &self.coordinator {
            return Ok(program.clone());
        }
        let own = std::env::current_exe()?;
        Ok(own.with_file_name("eosfed-coordinator"))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    eosfed_transport::install_crypto_provider();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Raises the limit of open files as far as this process may, and returns it.
fn raise_open_files() -> std::io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        arguments.uploading <= arguments.idle,
        "`--uploading` must be at most `--idle`, which is {}, found `{}`",
        arguments.idle,
        arguments.uploading
    );
    let may_open = raise_open_files().context("cannot ask for open files")?;
    anyhow::ensure!(
        may_open > u64::from(arguments.idle) + 200,
        "{} connections need more open files than the {may_open} that this process may have; see `ulimit -Hn`",
        arguments.idle
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let within = Duration::from_secs(arguments.within);
    let done = runtime.block_on(async {
        tokio::select! {
            done = timeout(within, measure(arguments)) => {
                done.with_context(|| format!("not done within {} s", arguments.within))?
            }
            ended = ended() => Err(ended),
        }
    });
    // The last of the tasks that is dropped ends the coordinator and removes its folder, of gigabytes.
    runtime.shutdown_timeout(Duration::from_secs(5));
    done?.print();
    Ok(())
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let program = arguments.program()?;
    match &arguments.scene {
        None => {
            let Arguments { idle, uploading, hostile, .. } = *arguments;
            scene::play(&program, Load { idle, uploading, hostile }).await
        }
        Some(Scene::History { rounds, institutions }) => history::play(&program, rounds, *institutions).await,
        Some(Scene::Restarts { institutions, restarts }) => {
            restarts::play(&program, *institutions, *restarts).await
        }
        Some(Scene::Rounds { clients, count }) => rounds::play(&program, *clients, *count).await,
        Some(Scene::Growth(growth)) => growth::play(&program, growth).await,
        Some(Scene::Ledger { events }) => ledger::play(&program, events).await,
    }
}

/// Waits until a person or a script ends this program, and says so.
async fn ended() -> anyhow::Error {
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let (mut terminate, mut interrupt) =
        match (listen(SignalKind::terminate()), listen(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return error,
        };
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    anyhow::anyhow!("ended by {name}")
}
