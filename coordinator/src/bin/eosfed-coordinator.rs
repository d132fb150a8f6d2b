//! The coordinator daemon.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::duration;
use eosfed_common::exit;
use eosfed_common::files::write_atomically;
use eosfed_common::ids::InstitutionName;
use eosfed_common::outln;
use eosfed_common::signing::CoordinatorKeys;
use eosfed_common::stdout::print_error;
use eosfed_common::telemetry::{self, LogFormat};
use eosfed_coordinator::backup::command::{self, Output, Wanted};
use eosfed_coordinator::ca;
use eosfed_coordinator::ca_command::Ca;
use eosfed_coordinator::exit::exit_code;
use eosfed_coordinator::external_ca::AuthorityFiles;
use eosfed_coordinator::health::health;
use eosfed_coordinator::init::{Choices, init, init_with};
use eosfed_coordinator::notify;
use eosfed_coordinator::open_files::raise_open_files;
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings;
use eosfed_coordinator::signing_keys;
use nix::sys::stat::Mode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Holds the registry of specialists, schedules rounds of training at partner institutions and cuts
/// ensemble releases.
#[derive(Parser)]
#[command(
    name = "eosfed-coordinator",
    version,
    after_help = "\
Examples:
  eosfed-coordinator init --state /var/lib/eosfed --operator ada --name eo.example.org \\
                          --listen 0.0.0.0:7443 --public-url https://eo.example.org:7443
  eosfed-coordinator serve --state /var/lib/eosfed
  eosfed --identity /var/lib/eosfed/operator institution invite univ-ghent
  eosfed-coordinator backup --state /var/lib/eosfed --to /mnt/backups/eosfed-$(date +%F)
  eosfed-coordinator restore --from /mnt/backups/eosfed-2026-11-25 --state /var/lib/eosfed

Exit codes: 0 done or stopped by a signal, 1 failed, 64 wrong usage, 78 what only a person can
correct (`serve`)."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a state folder: a certificate authority, settings and an operator's identity
    ///
    /// Nothing is overwritten: the state folder of another coordinator is not changed. Keep a copy of
    /// `ca/key.pem` in a safe place; whoever has it can admit any institution.
    ///
    /// Without `--ca-cert`, the authority is made here. With it, the state folder gets an intermediate that
    /// somebody else's root has signed (`ca create-root`, or an institution's own CA), and members pin the
    /// root, whose key is not needed here.
    Init {
        /// The folder to make
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Name of the first operator, a person: it is in each event of what they do
        ///
        /// 1 to 40 lower-case letters, digits and hyphens. Others join with `eosfed operator invite`.
        #[arg(long, value_name = "NAME")]
        operator: InstitutionName,
        /// Where to listen; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:7443")]
        listen: SocketAddr,
        /// Address that institutions connect to [default: the address listened on]
        #[arg(long, value_name = "https://HOST:PORT")]
        public_url: Option<String>,
        /// Host name or IP address that the server's certificate is for; may be repeated
        #[arg(long = "name", default_values = ["localhost", "127.0.0.1"])]
        names: Vec<String>,
        /// Succeed and change nothing if the folder is a coordinator's state folder already
        #[arg(long)]
        if_missing: bool,
        #[command(flatten)]
        authority: AuthorityFiles,
    },
    /// Run the coordinator until SIGTERM or SIGINT
    ///
    /// Calls under way then have ten seconds to end; a second signal ends it at once. SIGHUP reads
    /// coordinator.toml again: `names` counts at once, the rest at the next start. Prints `READY https://HOST:PORT` on standard output when it accepts calls. It can be killed at any
    /// instant: nothing that was acknowledged is lost, and rounds continue after the next start.
    Serve {
        /// The state folder that `init` made
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Check settings, keys and store, then exit
        ///
        /// Like each start, this migrates a store of an earlier version. Make a backup first.
        #[arg(long)]
        check: bool,
    },
    /// Say whether the coordinator of a state folder answers calls, for health checks of containers
    ///
    /// Calls it by TLS, as an institution does. Exit code 1 if it does not answer within 10 seconds.
    Health {
        /// The state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// Check settings, keys and address, also beside a serving coordinator; changes nothing
    ///
    /// The store is not opened: `serve --check` does that, while no coordinator serves.
    Check {
        /// The state folder that `init` made
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// Show or replace the key that signs assignments, cards and releases
    #[command(subcommand)]
    SigningKey(SigningKeyCommand),
    /// Back up a state folder, also while the coordinator serves
    ///
    /// The copy shows one instant: jobs, institutions, specialists and releases with all weights, the
    /// settings, the certificate authority and the operator's identity. A running coordinator takes a
    /// snapshot and keeps serving; a stopped one cannot start until the copy is done. Every blob is checked
    /// against its digest. `backup.json` is written last: a folder without it is not a backup.
    ///
    /// Run it on the coordinator's machine, as its user, with a folder on another disk. The copy has the key
    /// of the certificate authority: encrypt it to a key of `backup-key`, or protect it as you protect that
    /// key. Calls that the coordinator acknowledges later are not in the backup.
    Backup(Backup),
    /// Make a key pair for encrypted backups
    ///
    /// Anybody who has the file can read the backups, and without it nobody can: keep it on another machine
    /// than the coordinator's, and a copy of it. It is a key file of age, so age(1) can decrypt single files.
    BackupKey {
        /// The file for the private key; it must be new
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Restore a state folder from a backup
    ///
    /// Every file is checked before it is used, and none is overwritten. A backup of an earlier version is
    /// migrated. The coordinator then has the same authority, so institutions connect as before, as long as
    /// it answers at the same address (`public_url`, `names` and `listen` in `coordinator.toml`). Jobs
    /// continue: leases are extended, clients submit what they have finished, and work whose result was
    /// acknowledged after the backup is offered again. Run this as the coordinator's user, and never run the
    /// original and the copy side by side.
    Restore(Restore),
    /// Make a join token for an operator, on the coordinator's machine
    ///
    /// The way back in when no operator has a valid certificate. The coordinator must be stopped. The ledger
    /// names the coordinator as who has invited.
    InviteOperator(InviteOperator),
    /// Try the receivers of notifications
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Make an authority whose root lies elsewhere; replace the certificate authority
    #[command(subcommand)]
    Ca(Ca),
}

#[derive(Args)]
struct InviteOperator {
    /// The operator's name, known or new
    name: InstitutionName,
    /// The coordinator's state folder
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// How long the token can be used, such as 90s, 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = duration::parse)]
    valid_for: Duration,
    /// The file to write the token to; only its owner may read it
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

#[derive(Subcommand)]
enum NotifyCommand {
    /// Send a test notification to each receiver (`[[notify]]`) and say what came back
    ///
    /// Each gets one try, also of events that it does not ask for. Exit code 1 if one was not delivered.
    Test {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Only the receiver of this name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Subcommand)]
enum SigningKeyCommand {
    /// Print the public keys, oldest first; the last one signs
    Show {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// Replace the key of a coordinator that is not running
    ///
    /// The old key signs the new one, so that members who know the old one take the new one when they next
    /// call. Old signatures stay valid. The old private key is overwritten.
    Rotate {
        /// The coordinator's state folder
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
}

#[derive(Args)]
struct Backup {
    /// The coordinator's state folder
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The folder to write; it must be new or empty [default: a new one in `folder` of the table `[backup]`]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Encrypt to this public age key; may be repeated [default: `recipients` of the table `[backup]`]
    #[arg(long = "recipient", value_name = "age1…", value_parser = settings::recipient)]
    recipients: Vec<age::x25519::Recipient>,
    /// The operator's identity for calls to a serving coordinator [default: `operator` in its state folder]
    #[arg(long, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Args)]
struct Restore {
    /// The backup
    #[arg(long, value_name = "BACKUP")]
    from: PathBuf,
    /// The file of the private key of an encrypted backup
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The state folder to make; it must be new or empty
    #[arg(long, value_name = "NEW_DIR", required_unless_present = "check", conflicts_with = "check")]
    state: Option<PathBuf>,
    /// Read the whole backup and compare every digest, and restore nothing
    #[arg(long)]
    check: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

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
            print_error(format_args!("{error:#}"));
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

/// Tells the coordinator at each SIGHUP to read its settings again.
fn on_hangup(reload: Arc<Notify>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reload.notify_one();
        }
    })
}

/// Resolves at SIGTERM or SIGINT. A second one ends the program at once: what was acknowledged is stored.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("ending at once on a second signal");
            std::process::exit(exit::DONE.into());
        });
    })
}
