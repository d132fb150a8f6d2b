//! Programs of other releases: served when they speak the same protocol, refused with a sentence when
//! not, on both sides of a call.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::process::Output;
use std::task::{Context, Poll};
use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::net::acceptor::ServerTls;
use eosfed_common::net::authority::{Authority, KeyAndCertificate};
use eosfed_common::net::status::from_status;
use eosfed_common::refusal::Reason;
use eosfed_coordinator::identity::IdentityFolder;
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::settings::StateFolder;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use server::Server;
use tokio::net::TcpListener;
use tokio::process::Command;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_another_protocol_are_told_who_is_behind() {
    let server = Server::start().await;
    let mut west = ParticipantClient::new(server.enrol("west").await);
    let mut operator = OperatorClient::new(server.operator());
    for (protocol, behind) in [(2, "update the coordinator"), (0, "update the client")] {
        let hello = v1::HelloRequest { protocol, release: "9.9.9".to_owned() };
        let refusal = from_status(&west.hello(hello).await.unwrap_err());
        assert_eq!(refusal.reason, Reason::Incompatible);
        let wanted = [behind, "client (release 9.9.9)", "protocol 1"];
        assert!(wanted.iter().all(|part| refusal.message.contains(part)), "{refusal}");
    }
    let hello = v1::OperatorHelloRequest { protocol: 2, release: "9.9.9".to_owned() };
    let refusal = from_status(&operator.hello(hello).await.unwrap_err());
    assert!(refusal.message.contains("`eosfed` command (release 9.9.9)"), "{refusal}");
    // Another release that speaks the same protocol is served.
    for release in ["0.0.1", "9.9.9"] {
        let hello = v1::HelloRequest { protocol: 1, release: release.to_owned() };
        assert_eq!(west.hello(hello).await.unwrap().into_inner().protocol, 1);
        let hello = v1::OperatorHelloRequest { protocol: 1, release: release.to_owned() };
        assert_eq!(operator.hello(hello).await.unwrap().into_inner().role, "operator");
    }
}

/// A coordinator of another release: it greets, and knows no other call.
#[derive(Clone)]
struct Other(i32);

impl NamedService for Other {
    const NAME: &'static str = "eosfed.v1.Operator";
}

impl tower::Service<http::Request<Body>> for Other {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let protocol = self.0;
        Box::pin(async move {
            if !request.uri().path().ends_with("/Hello") {
                return Ok(Status::unimplemented("").into_http());
            }
            let (release, role) = ("9.9.9".to_owned(), "operator".to_owned());
            let answer = v1::OperatorHelloResponse { protocol, release, name: "admin".to_owned(), role };
            let hello = tower::service_fn(move |_: Request<v1::OperatorHelloRequest>| {
                std::future::ready(Ok::<_, Status>(Response::new(answer.clone())))
            });
            let codec = ProstCodec::<v1::OperatorHelloResponse, v1::OperatorHelloRequest>::default();
            Ok(Grpc::new(codec).unary(hello, request).await)
        })
    }
}

/// Serves one that speaks this protocol, with a state folder as if it were its own.
async fn other(protocol: i32) -> (tempfile::TempDir, StateFolder) {
    eosfed_common::net::install_crypto_provider();
    let (folder, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let names = vec!["127.0.0.1".to_owned()];
    let listen = "127.0.0.1:0".parse().unwrap();
    let choices = Choices { listen, public_url: None, names: names.clone() };
    let path = folder.path().join("state");
    std::fs::create_dir(&path).unwrap();
    let state = init(&path, &choices, now).unwrap();
    let [key_pem, certificate_pem] = state.authority().map(|path| std::fs::read_to_string(path).unwrap());
    let authority = Authority::open(&KeyAndCertificate { key_pem, certificate_pem }).unwrap();
    let pair = authority.server(&names, now, Duration::from_secs(3600)).unwrap();
    let tls = ServerTls::new(&pair, authority.certificate_pem()).unwrap();
    let listener = TcpListener::bind(listen).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    IdentityFolder(state.operator()).point(&url).unwrap();
    let served = tonic::transport::Server::builder()
        .add_service(Other(protocol))
        .serve_with_incoming(tls.incoming(listener));
    tokio::spawn(async move { served.await.unwrap() });
    (folder, state)
}

async fn says(command: &mut Command) -> String {
    let Output { status, stderr, stdout } = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_what_to_update() {
    let eosfed = |state: &StateFolder| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed"));
        command.arg("--identity").arg(state.operator()).args(["job", "list"]);
        command
    };
    let (_newer, state) = other(2).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(said.contains("speaks protocol 2") && said.contains("update the `eosfed` command"), "{said}");
    let (_older, state) = other(0).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(
        said.contains("coordinator (release 9.9.9)") && said.contains("update the coordinator"),
        "{said}"
    );

    // The same protocol, but a call that it does not know yet.
    let (folder, state) = other(1).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(said.contains("INCOMPATIBLE") && said.contains("older release"), "{said}");
    let lock = std::fs::File::create(state.lock()).unwrap();
    lock.lock().unwrap();
    let mut backup = Command::new(env!("CARGO_BIN_EXE_eosfed-coordinator"));
    backup.args(["backup", "--state"]).arg(&state.0).arg("--to").arg(folder.path().join("to"));
    let said = says(&mut backup).await;
    assert!(said.contains("older release") && said.contains("update it"), "{said}");
}
