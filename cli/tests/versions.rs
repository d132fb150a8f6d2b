//! Calls to coordinators of other versions name the program to update.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::process::Output;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::secret::Secret;
use eosfed_coordinator::backup::backup;
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::settings::StateFolder;
use eosfed_coordinator::tls::{Authority, LiveConnections, ServerTls};
use eosfed_proto::v1;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::protocol::PROTOCOL;
use tokio::net::TcpListener;
use tokio::process::Command;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// A coordinator of another version, which implements only `Hello`.
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
            let version = "9.9.9".to_owned();
            let role = "operator".to_owned();
            let answer = v1::OperatorHelloResponse {
                protocol,
                version,
                name: "admin".to_owned(),
                role,
                coordinator_keys: Vec::new(),
            };
            let hello = tower::service_fn(move |_: Request<v1::OperatorHelloRequest>| {
                std::future::ready(Ok::<_, Status>(Response::new(answer.clone())))
            });
            let codec = ProstCodec::<v1::OperatorHelloResponse, v1::OperatorHelloRequest>::default();
            Ok(Grpc::new(codec).unary(hello, request).await)
        })
    }
}

/// Serves a coordinator with this protocol, and makes a state folder for it.
async fn other(protocol: i32) -> (tempfile::TempDir, StateFolder) {
    eosfed_transport::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let names = vec!["127.0.0.1".to_owned()];
    let listen = "127.0.0.1:0".parse().unwrap();
    let choices =
        Choices { listen, public_url: None, names: names.clone(), operator: "ada".parse().unwrap() };
    let path = folder.path().join("state");
    let state = init(&path, &choices, now).unwrap();
    let [key_pem, certificate_pem] = state.authority().map(|path| std::fs::read_to_string(path).unwrap());
    let authority =
        Authority::open(&KeyAndCertificate { key_pem: Secret::new(key_pem), certificate_pem }).unwrap();
    let pair = authority.server(&names, now, Duration::from_secs(3600)).unwrap();
    let tls = ServerTls::new(&pair, authority.certificate_pem()).unwrap();
    let listener = TcpListener::bind(listen).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    IdentityFolder(state.operator()).set_url(&url).unwrap();
    let served = tonic::transport::Server::builder()
        .add_service(Other(protocol))
        .serve_with_incoming(tls.incoming(listener, LiveConnections::new(Arc::new(SystemClock))));
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
async fn the_commands_name_the_program_to_update() {
    let eosfed = |state: &StateFolder| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed"));
        command.arg("--identity").arg(state.operator()).args(["job", "list"]);
        command
    };
    let (_newer, state) = other(i32::from(PROTOCOL) + 1).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(
        said.contains(&format!("speaks protocol {}", i32::from(PROTOCOL) + 1))
            && said.contains("update the `eosfed` command"),
        "{said}"
    );
    let (_older, state) = other(0).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(
        said.contains("coordinator (version 9.9.9)") && said.contains("update the coordinator"),
        "{said}"
    );

    // The same protocol, but a call that it does not know yet.
    let (folder, state) = other(PROTOCOL.into()).await;
    let said = says(&mut eosfed(&state)).await;
    assert!(said.contains("INCOMPATIBLE") && said.contains("older version"), "{said}");
    let lock = std::fs::File::create(state.lock()).unwrap();
    lock.lock().unwrap();
    let to = folder.path().join("to");
    let refused = backup(&state, &to, &[], &state.operator(), SystemClock.now(), &|_, _| {}).await;
    let said = format!("{:#}", refused.unwrap_err());
    assert!(said.contains("older version") && said.contains("update it"), "{said}");
}
