//! The command line of the coordinator daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use eosfed_common::duration;
use eosfed_common::ids::InstitutionName;
use eosfed_coordinator::backup::command::Output;
use eosfed_coordinator::ca_command::Ca;
use eosfed_coordinator::external_ca::AuthorityFiles;
use eosfed_coordinator::settings;

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
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
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
    /// coordinator.toml again: `names`, `notify` and `log_level` count at once, the rest at the next start.
    /// Prints `READY https://HOST:PORT` on standard output when it accepts calls. It can be killed at any
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
pub(super) struct InviteOperator {
    /// The operator's name, known or new
    pub(super) name: InstitutionName,
    /// The coordinator's state folder
    #[arg(long, value_name = "DIR")]
    pub(super) state: PathBuf,
    /// How long the token can be used, such as 90s, 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = duration::parse)]
    pub(super) valid_for: Duration,
    /// The file to write the token to; only its owner may read it
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: PathBuf,
}

#[derive(Subcommand)]
pub(super) enum NotifyCommand {
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
pub(super) enum SigningKeyCommand {
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
pub(super) struct Backup {
    /// The coordinator's state folder
    #[arg(long, value_name = "DIR")]
    pub(super) state: PathBuf,
    /// The folder to write; it must be new or empty [default: a new one in `folder` of the table `[backup]`]
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
    /// Encrypt to this public age key; may be repeated [default: `recipients` of the table `[backup]`]
    #[arg(long = "recipient", value_name = "age1…", value_parser = settings::recipient)]
    pub(super) recipients: Vec<age::x25519::Recipient>,
    /// The operator's identity for calls to a serving coordinator [default: `operator` in its state folder]
    #[arg(long, value_name = "DIR")]
    pub(super) identity: Option<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    pub(super) output: Output,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The backup
    #[arg(long, value_name = "BACKUP")]
    pub(super) from: PathBuf,
    /// The file of the private key of an encrypted backup
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The state folder to make; it must be new or empty
    #[arg(long, value_name = "NEW_DIR", required_unless_present = "check", conflicts_with = "check")]
    pub(super) state: Option<PathBuf>,
    /// Read the whole backup and compare every digest, and restore nothing
    #[arg(long)]
    pub(super) check: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    pub(super) output: Output,
}
