//! Callers of other versions are served if they have the same protocol, and otherwise refused with a message.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::refusal::Reason;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::status::from_status;
use server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_another_protocol_are_told_which_program_is_older() {
    let server = Server::start().await;
    let mut west = ParticipantClient::new(server.enrol("west").await);
    let mut operator = OperatorClient::new(server.operator());
    let ours = i32::from(PROTOCOL);
    for (protocol, behind) in
        [(ours + 1, "update the coordinator"), (1, "update the client"), (0, "update the client")]
    {
        let hello = v1::HelloRequest { protocol, version: "9.9.9".to_owned() };
        let refusal = from_status(&west.hello(hello).await.unwrap_err());
        assert_eq!(refusal.reason, Reason::Incompatible);
        let spoken = format!("speaks protocol {ours}");
        let wanted = [behind, "client (version 9.9.9)", &spoken];
        assert!(wanted.iter().all(|part| refusal.message.contains(part)), "{refusal}");
    }
    let hello = v1::OperatorHelloRequest { protocol: ours + 1, version: "9.9.9".to_owned() };
    let refusal = from_status(&operator.hello(hello).await.unwrap_err());
    assert!(refusal.message.contains("`eosfed` command (version 9.9.9)"), "{refusal}");
    // Another version that speaks the same protocol is served.
    for version in ["0.0.1", "9.9.9"] {
        let hello = v1::HelloRequest { protocol: ours, version: version.to_owned() };
        assert_eq!(west.hello(hello).await.unwrap().into_inner().protocol, ours);
        let hello = v1::OperatorHelloRequest { protocol: ours, version: version.to_owned() };
        assert_eq!(operator.hello(hello).await.unwrap().into_inner().role, "operator");
    }
}
