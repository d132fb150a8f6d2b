//! A coordinator that lies to the daemons of institutions: it has an authority of its own, lets an institution
//! join, and then asks for what no honest coordinator asks for.

mod lies;
mod record;
mod renewals;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Role;
use eosfed_common::secret::Secret;
use eosfed_coordinator::tls::{Authority, LiveConnections, ServerTls};
use eosfed_proto::v1::blobs_server::BlobsServer;
use eosfed_proto::v1::enrollment_server::EnrollmentServer;
use eosfed_proto::v1::participant_server::ParticipantServer;
use eosfed_transport::join::JoinToken;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use lies::Lie;
use renewals::Answer;
use service::Liar;

/// The institution that it lies to.
const VICTIM: &str = "west";
/// How long its certificates are valid.
const DAY: Duration = Duration::from_secs(86_400);

/// The options of a lying coordinator.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where it listens; an address of this machine
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Where the join token of the institution `west` is written
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// What it offers, one after the other; the next when the last has come to an end
    #[arg(long, value_delimiter = ',', required = true, value_name = "LIE,...")]
    lies: Vec<Lie>,
    /// How it answers to renewals, one after the other. Its certificates are then due for renewal at once
    #[arg(long, value_delimiter = ',', value_name = "ANSWER,...")]
    renewals: Vec<Answer>,
}

/// Serves until the standard input ends. A line `next` there withdraws the present offer. Prints READY, and
/// how each lie has ended, and each answer to a renewal, as a line of JSON.
///
/// # Errors
/// If it cannot listen, or the token cannot be written.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { listen, token_file, lies, renewals } = arguments;
    anyhow::ensure!(listen.ip().is_loopback(), "`{listen}` is not an address of this machine");
    let now = SystemClock.now();
    let authority = Authority::open(&Authority::create(now)?)?;
    let tls = authority.server(&["127.0.0.1".to_owned()], now, DAY)?;
    let tls = ServerTls::new(&tls, authority.certificate_pem())?;
    let token = JoinToken {
        institution: VICTIM.parse()?,
        role: Role::Institution,
        url: format!("https://{listen}"),
        ca_pem: authority.certificate_pem().to_owned(),
        secret: Secret::new("0".repeat(64)),
    };
    std::fs::write(&token_file, token.expose())
        .with_context(|| format!("cannot write {}", token_file.display()))?;
    let listener = TcpListener::bind(listen).await?;
    let liar = Liar::new(authority, lies, renewals)?;
    let withdrawing = liar.clone();
    println!("READY");
    let served = tonic::transport::Server::builder()
        .add_service(ParticipantServer::new(liar.clone()))
        .add_service(BlobsServer::new(liar.clone()))
        .add_service(EnrollmentServer::new(liar))
        .serve_with_incoming(tls.incoming(listener, LiveConnections::new(Arc::new(SystemClock))));
    let orders = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            anyhow::ensure!(line == "next", "`{line}` is no order");
            withdrawing.withdraw();
        }
        anyhow::Ok(())
    };
    tokio::select! {
        served = served => served?,
        ended = orders => ended?,
    }
    Ok(())
}
