//! Signing keys and signatures over real TLS: what an institution enrols, what the coordinator names.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{PublicKey, SigningKey};
use eosfed_common::view::InstitutionView;
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::signing;
use eosfed_transport::enrollment::signing_key_proof;
use eosfed_transport::keys::KeyAndRequest;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::coordinator_keys;
use server::Server;

fn request() -> String {
    KeyAndRequest::generate("west").unwrap().request_pem
}

fn proof(key: &SigningKey, name: &str, request_pem: &str) -> String {
    signing_key_proof(key, &name.parse().unwrap(), request_pem).to_string()
}

/// The signing key that the coordinator has of `west`.
async fn enrolled_key(server: &Server) -> Option<PublicKey> {
    let list = v1::ListInstitutionsRequest::default();
    let answer = OperatorClient::new(server.operator()).list_institutions(list).await.unwrap().into_inner();
    let views =
        answer.institutions_json.iter().map(|json| serde_json::from_str::<InstitutionView>(json).unwrap());
    views.filter(|view| view.name.as_str() == "west").find_map(|view| view.signing_key)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_institution_joins_with_a_signing_key_that_it_has() {
    let server = Server::start().await;
    let invite = v1::InviteInstitutionRequest { name: "west".to_owned(), valid_for_seconds: 60 };
    let invited = OperatorClient::new(server.operator()).invite_institution(invite).await.unwrap();
    let secret = invited.into_inner().secret;
    let (west, pem) = (signing::institution("west"), request());
    let join = async |proof: String| {
        let request = v1::EnrollRequest {
            institution: "west".to_owned(),
            secret: secret.clone(),
            signing_request_pem: pem.clone(),
            role: 0,
            signing_key_proof: proof,
        };
        let answer = EnrollmentClient::new(server.stranger()).enroll(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    };
    assert_eq!(join(String::new()).await.unwrap_err().reason, Reason::Incompatible);
    // Proofs for another request, by another name, and of another key than they name.
    let east = signing::institution("east").public().to_string();
    let forged = proof(&west, "west", &pem).replace(&west.public().to_string(), &east);
    for bad in [proof(&west, "west", "other"), proof(&west, "east", &pem), forged] {
        let refused = join(bad).await.unwrap_err();
        assert!(refused.message.contains("`signing_key_proof`"), "{refused}");
    }
    assert_eq!(enrolled_key(&server).await, None);
    let answer = join(proof(&west, "west", &pem)).await.unwrap();
    assert_eq!(enrolled_key(&server).await, Some(west.public()));
    assert_eq!(coordinator_keys(answer.coordinator_keys).unwrap().len(), 1);
}

async fn renew(server: &Server, key: &SigningKey) -> Result<(), Refusal> {
    let pem = request();
    let signing_key_proof = proof(key, "west", &pem);
    let request = v1::RenewRequest { signing_request_pem: pem, signing_key_proof };
    let answer = EnrollmentClient::new(server.client("west")).renew(request).await;
    answer.map(drop).map_err(|status| from_status(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_does_not_replace_the_signing_key() {
    let server = Server::start().await;
    server.enrol("west").await;
    let refused = renew(&server, &signing::institution("thief")).await.unwrap_err();
    assert!(refused.reason == Reason::Forbidden && refused.message.contains("re-enrol west"), "{refused}");
    renew(&server, &signing::institution("west")).await.unwrap();
    assert_eq!(enrolled_key(&server).await, Some(signing::institution("west").public()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_names_the_same_key_after_a_restart() {
    let server = Server::start().await;
    server.enrol("west").await;
    let named = async |server: &Server| {
        let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: String::new() };
        let answer = ParticipantClient::new(server.client("west")).hello(hello).await.unwrap();
        coordinator_keys(answer.into_inner().coordinator_keys).unwrap()
    };
    let before = named(&server).await;
    let server = server.restart().await;
    assert_eq!(named(&server).await, before);
}
