//! The `eosfed` command for operators and users of releases, over gRPC. It imports nothing of the
//! coordinator; shared definitions are in `eosfed-common`.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod ablation;
pub mod arguments;
mod audit;
mod connection;
mod curves;
pub mod document;
mod event;
mod explain;
mod fetch;
mod head;
mod identity;
mod institution;
mod job;
mod live;
mod member;
mod pages;
mod person;
mod plot;
mod print;
mod query;
mod release;
mod scores;
mod seeing;
mod show;
mod specialist;
pub mod stac;
mod storage;
mod tie;
mod trace;
mod verify;
mod watch;

use std::process::ExitCode;

use eosfed_common::exit;
use eosfed_common::identity::Role;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::operator::{Connection, IdentityFolder};
use eosfed_transport::proxy::Proxy;
use eosfed_transport::traced::TraceSlot;

use arguments::{Arguments, Command};
use eosfed_common::stdout::print_failure;

/// Runs a command and gives the program's exit code.
pub async fn run(arguments: Arguments) -> ExitCode {
    match act(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            print_failure(error.as_ref());
            exit_code(&error)
        }
    }
}

/// The exit code of an error.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) if refusal.reason == Reason::Unavailable => ExitCode::from(exit::UNAVAILABLE),
        Some(_) | None => ExitCode::FAILURE,
    }
}

async fn act(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let output = arguments.output;
    if let Command::Completions { shell } = &arguments.command {
        arguments::completions(*shell);
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Job(arguments::Job::Check { plan }) = &arguments.command {
        return job::check(plan, output);
    }
    let identity = arguments.identity.as_deref();
    match &arguments.command {
        Command::Release(arguments::Release::Verify { folder, trust }) => {
            return verify::release(folder, trust, identity, output);
        }
        Command::Specialist(arguments::Specialist::Verify { path, trust }) => {
            return verify::specialist(path, trust, identity, output);
        }
        Command::Audit(arguments::Audit::Verify { file: Some(file), noted, release }) => {
            let noted = match release {
                Some(release) => Some(audit::noted_offline(release, identity)?),
                None => *noted,
            };
            return audit::verify_file(file, noted, output);
        }
        _ => {}
    }
    if let Command::Identity(arguments::IdentityCommand::Show) = &arguments.command {
        return identity::show(arguments.identity.as_deref(), output);
    }
    let credentials = arguments.proxy_credentials_file.as_deref();
    let proxy = arguments.proxy.as_deref().map(|url| Proxy::new(url, credentials)).transpose()?;
    if let Command::Identity(arguments::IdentityCommand::Renew) = &arguments.command {
        return identity::renew(arguments.identity.as_deref(), proxy, output).await;
    }
    if let Command::Join { token_file } = &arguments.command {
        let folder = arguments.identity.clone().map_or_else(connection::default_folder, Ok)?;
        return person::join(token_file, &folder, proxy, output).await;
    }
    let folder = connection::folder(arguments.identity.as_deref())?;
    let slot = TraceSlot::default();
    let trace = trace::Trace::begin(&arguments.command, &slot);
    let mut connection = connection::open(&folder, proxy, slot).await?;
    let done = call(&mut connection, &folder, arguments).await;
    trace.end(connection.begun, done.as_ref().err().map(|error| format!("{error:#}"))).await;
    done
}

/// Runs a command that calls the coordinator.
async fn call(
    connection: &mut Connection,
    folder: &IdentityFolder,
    arguments: &Arguments,
) -> anyhow::Result<ExitCode> {
    let output = arguments.output;
    let named = connection.exchange_versions().await?;
    connection::pin(folder, &named);
    match &arguments.command {
        Command::Institution(command) => institution::run(connection, command, output).await,
        Command::Operator(command) => person::run(connection, Role::Operator, command, output).await,
        Command::Reader(command) => person::run(connection, Role::Reader, command, output).await,
        Command::Job(command) => job::run(connection, command, output).await,
        Command::Specialist(command) => specialist::run(connection, command, output).await,
        Command::Release(command) => release::run(connection, folder, command, output).await,
        Command::Audit(command) => audit::run(connection, folder, command, output).await,
        Command::Storage(command) => storage::run(connection, command, output).await,
        Command::Status => seeing::status(connection, output).await,
        Command::Energy { name, since, extent } => {
            seeing::energy(connection, (name, *since), extent, output).await
        }
        Command::Watch(command) => live::watch(connection, command, output).await,
        Command::Dashboard(command) => seeing::dashboard(connection, command, output).await,
        Command::Join { .. } | Command::Identity(_) | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
