//! The coordinator daemon.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod signals;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser as _};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::exit;
use eosfed_common::files::write_atomically;
use eosfed_common::outln;
use eosfed_common::signing::CoordinatorKeys;
use eosfed_common::stdout::print_failure;
use eosfed_common::telemetry::{self, LogFormat};
use eosfed_coordinator::backup::command::{self, Wanted};
use eosfed_coordinator::ca;
use eosfed_coordinator::exit::exit_code;
use eosfed_coordinator::health::health;
use eosfed_coordinator::init::{Choices, init, init_with};
use eosfed_coordinator::notify;
use eosfed_coordinator::open_files::raise_open_files;
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings;
use eosfed_coordinator::signing_keys;
use eosfed_transport::allocator::give_back_freed_memory;
use nix::sys::stat::Mode;

use arguments::{Arguments, Backup, Command, InviteOperator, NotifyCommand, Restore, SigningKeyCommand};
use signals::{on_hangup, stopped};

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
    // Whatever is written is for this user only: keys, the store with its lease tokens, backups.
    nix::sys::stat::umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let serves = matches!(arguments.command, Command::Serve { .. });
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_failure(error.as_ref());
            ExitCode::from(if serves { exit_code(&error) } else { exit::FAILED })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { state, if_missing: true, .. } if settings::load(&state).is_ok() => {
            outln!("{} is a coordinator's state folder already; nothing was changed", state.display());
            Ok(())
        }
        Command::Init { state, operator, listen, public_url, names, authority, if_missing: _ } => {
            let choices = Choices { listen, public_url, names, operator };
            let now = SystemClock.now();
            let made = match authority.read(&state, now)? {
                Some(given) => init_with(&state, &choices, &given, now)?,
                None => init(&state, &choices, now)?,
            };
            outln!("The coordinator's state is in {}.", made.0.display());
            outln!("  start it:            eosfed-coordinator serve --state {}", made.0.display());
            outln!(
                "  invite institutions: eosfed --identity {} institution invite NAME",
                made.operator().display()
            );
            Ok(())
        }
        Command::Health { state } => {
            let (state, settings) = settings::load(&state)?;
            let url = tokio::runtime::Runtime::new()?.block_on(health(&state, &settings))?;
            outln!("the coordinator answers at {url}");
            Ok(())
        }
        Command::SigningKey(SigningKeyCommand::Show { state }) => {
            let (state, _) = settings::load(&state)?;
            show_keys(&signing_keys::read(&state.signing())?);
            Ok(())
        }
        Command::SigningKey(SigningKeyCommand::Rotate { state }) => {
            let (state, _) = settings::load(&state)?;
            show_keys(&signing_keys::rotate(&state)?);
            Ok(())
        }
        Command::BackupKey { out } => command::make_key(&out),
        Command::Backup(Backup { state, to, recipients, identity, output }) => {
            telemetry::init(LogFormat::Text, "warn");
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(command::make(&state, Wanted { to, recipients, identity }, output))
        }
        Command::Restore(Restore { from, key, state, check: _, output }) => {
            telemetry::init(LogFormat::Text, "warn");
            command::run_restore(&from, key.as_deref(), state.as_deref(), output)
        }
        Command::InviteOperator(invite) => {
            telemetry::init(LogFormat::Text, "warn");
            tokio::runtime::Runtime::new()?.block_on(invite_operator(invite))
        }
        Command::Ca(command) => {
            telemetry::init(LogFormat::Text, "warn");
            tokio::runtime::Runtime::new()?.block_on(command.run(SystemClock.now()))
        }
        Command::Notify(NotifyCommand::Test { state, name }) => {
            let (_, settings) = settings::load(&state)?;
            let url = settings.public_url.unwrap_or_else(|| format!("https://{}", settings.listen));
            let trial = notify::trial(&settings.notify, name.as_deref(), &url, SystemClock.now());
            match tokio::runtime::Runtime::new()?.block_on(trial)? {
                true => Ok(()),
                false => bail!("correct what is a problem above"),
            }
        }
        Command::Check { state } => match eosfed_coordinator::check::check(&state) {
            true => Ok(()),
            false => bail!("correct what is a problem above"),
        },
        Command::Serve { state, check } => {
            let (state, settings) = settings::load(&state)?;
            let logging = telemetry::init(settings.log, &settings.log_level.to_string());
            allow_open_files();
            give_back_freed_memory();
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let coordinator = Coordinator::open(state, settings).await?.with_logging(logging);
                if check {
                    outln!("settings, keys and store are fine");
                    return Ok(());
                }
                tokio::spawn(on_hangup(coordinator.reload())?);
                let ready = |url: &str| {
                    // The program that reads the line may have exited. The coordinator serves anyway.
                    let mut out = std::io::stdout().lock();
                    let _ = writeln!(out, "READY {url}").and_then(|()| out.flush());
                };
                coordinator.serve(ready, stopped()?).await
            })
        }
    }
}

async fn invite_operator(invite: InviteOperator) -> anyhow::Result<()> {
    let InviteOperator { name, state, valid_for, token_file } = invite;
    let (token, until) = ca::invite_operator(&state, name, valid_for).await?;
    write_atomically(&token_file, token.expose().as_bytes())
        .with_context(|| format!("cannot write {}", token_file.display()))?;
    outln!(
        "the token for operator `{}` is in {} and works once, until {until}",
        token.institution,
        token_file.display()
    );
    outln!("start the coordinator, then: eosfed join --token-file FILE --identity DIR");
    Ok(())
}

fn show_keys(keys: &CoordinatorKeys) {
    for key in keys.public() {
        outln!("{key}  {}", key.fingerprint());
    }
}

/// Raises the limit of open files: each connection is one, and the usual soft limit is 1,024.
fn allow_open_files() {
    match raise_open_files() {
        Ok(files) => tracing::info!(files, "files and connections that may be open at once"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files; see `ulimit -n`"),
    }
}
