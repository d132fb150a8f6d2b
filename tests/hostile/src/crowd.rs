//! Many connections of four kinds, each opened again when the coordinator closes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eosfed_proto::v1;
use eosfed_proto::v1::blobs_client::BlobsClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use serde::Serialize;
use strum::{EnumIter, IntoEnumIterator as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::connection::{Target, identity_folder};
use crate::slow;

/// Pause before a connection that was closed is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a connection waits for the coordinator to close it.
const PATIENCE: Duration = Duration::from_secs(60);

const ENROLL: &str = "/eosfed.v1.Enrollment/Enroll";
const SUBMIT_JOB: &str = "/eosfed.v1.Operator/SubmitJob";
const HELLO: &str = "/eosfed.v1.Participant/Hello";
/// Bytes of a message that no method accepts.
const LARGE: u32 = 64 << 20;
/// Bytes of a message whose size every method accepts.
const SMALL: u32 = 16_000;

/// The options of a crowd.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the coordinator listens; an address of this machine
    #[arg(long, value_name = "HOST:PORT")]
    coordinator: SocketAddr,
    /// Folder with `key.pem`, `certificate.pem` and `ca.pem` of a member, who attacks too
    #[arg(long, value_name = "DIR", value_parser = identity_folder)]
    identity: PathBuf,
    /// Connections, a quarter of each kind
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(4..=4000))]
    connections: u16,
    /// Addresses that they come from
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=250))]
    addresses: u8,
    /// Longest time in seconds
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumIter, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// It says nothing.
    Silent,
    /// It sends half of the first message of a TLS handshake.
    HalfHandshake,
    /// It has no certificate and sends a large message slowly.
    Anonymous,
    /// It is a member's and calls without end.
    Member,
}

/// What connections of one kind have met.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Met {
    /// TCP connections, or TLS connections where the kind makes them.
    opened: u64,
    /// Tries without a connection.
    not_opened: u64,
    /// Calls that succeeded.
    answered: u64,
    /// Calls that were refused.
    refused: u64,
    /// Calls that ended without an answer.
    cut: u64,
}

#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<Kind, Met>>>);

impl Tally {
    fn add(&self, kind: Kind, change: impl FnOnce(&mut Met)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default());
    }

    fn call<T>(&self, kind: Kind, answer: &Result<T, Status>) {
        self.add(kind, |met| match answer {
            Ok(_) => met.answered += 1,
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => {
                met.cut += 1;
            }
            Err(_) => met.refused += 1,
        });
    }
}

/// Attacks until the standard input ends or the time is over.
///
/// # Errors
/// If the identity cannot be read.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { coordinator, identity, connections, addresses, seconds } = arguments;
    let target = Arc::new(Target::new(coordinator, identity)?);
    let tally = Tally::default();
    let tried = Arc::new(Semaphore::new(0));
    for (place, kind) in (0..connections).zip(Kind::iter().cycle()) {
        let from = Ipv4Addr::new(127, 0, 1, 1 + (place % u16::from(addresses)) as u8).into();
        let one = Connection { target: Arc::clone(&target), tally: tally.clone(), kind, from };
        tokio::spawn(one.keep(Arc::clone(&tried)));
    }
    let all = tried.acquire_many(u32::from(connections)).await?;
    println!("READY");
    all.forget();
    let mut input = tokio::io::stdin();
    let mut read = Vec::new();
    // Either end is right.
    let _ = tokio::time::timeout(Duration::from_secs(seconds), input.read_to_end(&mut read)).await;
    let met = tally.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    println!("{}", serde_json::to_string(&met)?);
    Ok(())
}

/// One place in the crowd.
struct Connection {
    target: Arc<Target>,
    tally: Tally,
    kind: Kind,
    from: IpAddr,
}

impl Connection {
    /// Opens a connection, attacks, and does it again when it has ended.
    async fn keep(self, tried: Arc<Semaphore>) {
        let mut first = Some(tried);
        loop {
            let attack = self.attack(&mut first);
            if attack.await.is_err() {
                self.tally.add(self.kind, |met| met.not_opened += 1);
            }
            Self::note(&mut first);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells that the first try is made.
    fn note(first: &mut Option<Arc<Semaphore>>) {
        if let Some(tried) = first.take() {
            tried.add_permits(1);
        }
    }

    fn opened(&self, first: &mut Option<Arc<Semaphore>>) {
        self.tally.add(self.kind, |met| met.opened += 1);
        Self::note(first);
    }

    async fn attack(&self, first: &mut Option<Arc<Semaphore>>) -> anyhow::Result<()> {
        match self.kind {
            Kind::Silent => {
                let stream = self.target.tcp(self.from).await?;
                self.opened(first);
                closed(stream).await;
            }
            Kind::HalfHandshake => {
                let mut stream = self.target.tcp(self.from).await?;
                self.opened(first);
                let hello = Target::client_hello()?;
                stream.write_all(&hello[..hello.len() / 2]).await?;
                closed(stream).await;
            }
            Kind::Anonymous => {
                let mut channel = self.target.channel(self.from, false).await?;
                self.opened(first);
                for (method, bytes) in [(SUBMIT_JOB, LARGE), (ENROLL, LARGE), (ENROLL, SMALL)] {
                    let answer = slow::call(&mut channel, method, bytes).await;
                    self.tally
                        .add(self.kind, |met| if answer.is_ok() { met.refused += 1 } else { met.cut += 1 });
                }
            }
            Kind::Member => {
                let channel = self.target.channel(self.from, true).await?;
                self.opened(first);
                self.call_without_end(channel).await;
            }
        }
        Ok(())
    }

    /// Calls methods of members in turn until one is cut off.
    async fn call_without_end(&self, channel: tonic::transport::Channel) {
        let mut participant = ParticipantClient::new(channel.clone());
        let mut blobs = BlobsClient::new(channel.clone());
        let mut raw = channel;
        for number in 0_u64.. {
            let cut = match number % 4 {
                0 => self.tell(participant.poll(v1::PollRequest { seen_revision: 0, wait_ms: 0 }).await),
                1 => {
                    let digest = format!("sha256:{number:064x}");
                    self.tell(blobs.stat(v1::StatRequest { digest }).await)
                }
                2 => {
                    let beat = v1::HeartbeatRequest {
                        assignment: "j-00000000.0.1.mallory".to_owned(),
                        lease_token: "0".repeat(32),
                        ..Default::default()
                    };
                    self.tell(participant.heartbeat(beat).await)
                }
                _ => self.tell(slow::call(&mut raw, HELLO, LARGE).await.map_or_else(
                    |error| Err(Status::unavailable(error.to_string())),
                    |code| Err::<(), _>(Status::new(code, "")),
                )),
            };
            if cut {
                return;
            }
        }
    }

    /// Counts an answer; whether the connection is lost.
    fn tell<T>(&self, answer: Result<T, Status>) -> bool {
        self.tally.call(self.kind, &answer);
        answer.is_err_and(|status| status.code() == Code::Unavailable)
    }
}

/// Waits until the coordinator closes a connection.
async fn closed(mut stream: TcpStream) {
    let mut byte = [0];
    // Whatever it answers, a connection that says nothing is of no use to it.
    let _ = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await;
}
