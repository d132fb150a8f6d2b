//! Crowds of hostile connections over real sockets and real TLS: members are served all the same.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::channel::Transport;
use eosfed_transport::protocol::{PROTOCOL, VERSION};
use eosfed_transport::status::from_status;
use server::Server;

/// Longest time in which a member must be served in a crowd; without one it takes milliseconds.
const PROMPT: Duration = Duration::from_secs(5);

async fn hello(transport: Transport) -> Result<(), Reason> {
    let request = v1::HelloRequest { protocol: PROTOCOL.into(), version: VERSION.to_owned() };
    let answer = ParticipantClient::new(transport).hello(request).await;
    answer.map(drop).map_err(|status| from_status(&status).reason)
}

/// A member gets in within [`PROMPT`]. It tries again as a daemon does: in the first second of a crowd from its
/// own address, it can be closed like the others.
async fn assert_prompt(server: &Server, name: &str) {
    let started = Instant::now();
    while let Err(reason) = hello(server.client(name)).await {
        assert_eq!(reason, Reason::Unavailable);
        assert!(started.elapsed() < PROMPT, "it does not get in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = started.elapsed();
    assert!(took < PROMPT, "it took {took:?} to get in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_keep_nobody_out() {
    let server = Server::start().await;
    drop(server.enrol("west").await);
    let address = server.address();
    let crowd = move || (0..600).map(|_| TcpStream::connect(&address).unwrap()).collect::<Vec<_>>();
    let crowd = tokio::task::spawn_blocking(crowd).await.unwrap();
    assert_prompt(&server, "west").await;
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_a_certificate_are_few_and_do_not_count_for_members() {
    let server = Server::start().await;
    drop(server.enrol("west").await);
    let mut crowd = Vec::new();
    let (mut served, mut refused) = (0, 0);
    for _ in 0..40 {
        let mut stranger = EnrollmentClient::new(server.stranger());
        let request = v1::EnrollRequest {
            institution: "west".to_owned(),
            secret: "0".repeat(64),
            signing_request_pem: "none".to_owned(),
            role: 0,
            signing_key_proof: String::new(),
        };
        match from_status(&stranger.enroll(request).await.unwrap_err()).reason {
            Reason::Unavailable => refused += 1,
            _ => served += 1,
        }
        crowd.push(stranger);
    }
    assert!(served <= 16 && refused >= 24, "{served} anonymous callers were served, {refused} refused");
    assert_prompt(&server, "west").await;
}

/// Six connections with 60 calls each that wait for work: more than one member may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_has_a_limited_number_of_calls_and_takes_none_of_others() {
    let server = Server::start().await;
    for name in ["west", "east"] {
        drop(server.enrol(name).await);
    }
    let mut open = Vec::new();
    let mut seen_revision = 0;
    for _ in 0..6 {
        let mut participant = ParticipantClient::new(server.client("west"));
        let first = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
        seen_revision = participant.poll(first).await.unwrap().into_inner().revision;
        open.push(participant);
    }
    let mut calls = tokio::task::JoinSet::new();
    for participant in open {
        for _ in 0..60 {
            let mut participant = participant.clone();
            let poll = v1::PollRequest { seen_revision, wait_ms: 3000 };
            calls.spawn(async move {
                participant.poll(poll).await.map(drop).map_err(|status| from_status(&status).reason)
            });
        }
    }
    assert_prompt(&server, "east").await;
    let answers = calls.join_all().await;
    let refused = answers.iter().filter(|answer| **answer == Err(Reason::Unavailable)).count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!((served, refused), (256, 104));
    assert_prompt(&server, "west").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_has_a_limited_number_of_connections_and_takes_none_of_others() {
    let server = Server::start().await;
    for name in ["west", "east"] {
        drop(server.enrol(name).await);
    }
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..70 {
        let transport = server.client("west");
        match hello(transport.clone()).await {
            Ok(()) => open.push(transport),
            Err(reason) => {
                assert_eq!(reason, Reason::Unavailable);
                refused += 1;
            }
        }
    }
    assert!(open.len() <= 64 && refused >= 6, "{} connections, {refused} refused", open.len());
    assert_prompt(&server, "east").await;
}
