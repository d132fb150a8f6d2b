//! Programs that attack a coordinator or a site over the real protocol. Tests and the load test start them as
//! processes of their own.

mod connection;
mod crowd;
mod liar;
mod member;
mod slow;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Attack a coordinator or a site of your own, on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    attack: Attack,
}

#[derive(Debug, Subcommand)]
enum Attack {
    /// Hold many connections of several kinds. Prints READY when each has been tried, ends with its
    /// standard input or after the time, and prints what it has met as JSON
    Crowd(crowd::Arguments),
    /// Do what a dishonest institution tries. Prints the answer to each call as a line of JSON
    Member(member::Arguments),
    /// Be a coordinator that lies to the institution `west`. Prints how each lie has ended as JSON
    Coordinator(liar::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // The same provider for both kinds of TLS connections here; a second one is never installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot ask for open files")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(async {
        match arguments.attack {
            Attack::Crowd(arguments) => crowd::run(arguments).await,
            Attack::Member(arguments) => member::run(arguments).await,
            Attack::Coordinator(arguments) => liar::run(arguments).await,
        }
    });
    runtime.shutdown_background();
    done
}
