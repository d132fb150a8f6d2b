//! The authority is replaced by another one, over real TLS: who knows the old one connects and renews onto
//! the new one, and after its end certificates of the old one are refused.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::secret::Secret;
use eosfed_coordinator::ca::{self, Changed};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::signing;
use eosfed_transport::certificate::fingerprints;
use eosfed_transport::channel::{ChannelOptions, Transport, open};
use eosfed_transport::enrollment::{enroll, enroll_as, renew};
use eosfed_transport::issued::{NotAccepted, accept};
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::meter::Meter;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::renewal::renew_now;
use server::Server;

fn west() -> Identity {
    Identity::institution("west".parse().unwrap())
}

async fn hello(transport: Transport) -> bool {
    let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    ParticipantClient::new(transport).hello(hello).await.is_ok()
}

/// A connection that trusts these authorities only.
fn trusting(server: &Server, ca_pem: &str, pair: Option<&KeyAndCertificate>) -> Transport {
    open(server.url(), ca_pem, pair, Meter::default()).unwrap()
}

fn operator(folder: &std::path::Path) -> IdentityFolder {
    IdentityFolder(folder.join("state/operator"))
}

/// The server after a rotation, with the certificate of the authority before it.
async fn rotated(server: Server) -> (Server, String, Changed) {
    let old = server.ca_pem().to_owned();
    let (folder, clients) = server.stop().await;
    let changed = ca::rotate(&folder.path().join("state"), SystemClock.now()).await.unwrap();
    assert_eq!(changed.before, fingerprints(&old)[0]);
    let error = ca::rotate(&folder.path().join("state"), SystemClock.now()).await.unwrap_err();
    assert!(error.to_string().contains("ca retire"), "{error}");
    (Server::serve(folder, clients).await, old, changed)
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_the_old_authority_connect_and_renew_onto_the_new_one() {
    let server = Server::start().await;
    server.enrol("west").await;
    let (server, old, changed) = rotated(server).await;

    // West knows the old authority only, and has a certificate of it.
    let pair = server.pair("west");
    let transport = trusting(&server, &old, Some(&pair));
    assert!(hello(transport.clone()).await, "over the signature of the old authority");
    let renewed = renew(transport, &west()).await.unwrap();
    let now = SystemClock.now();
    let accepted = accept(&renewed.pair, &renewed.ca_pem, &west(), &old, now).unwrap();
    assert!(fingerprints(&accepted.ca_pem).contains(&changed.now), "it trusts the new one now");
    assert!(hello(trusting(&server, &accepted.ca_pem, Some(&renewed.pair))).await);
    // An authority that the trusted one has not signed is not taken, and its certificate neither.
    let stranger = Server::start().await;
    let other = stranger.certified(&west(), Duration::from_secs(600));
    let refused = accept(&other, stranger.ca_pem(), &west(), &old, now).unwrap_err();
    assert_eq!(refused, NotAccepted::Authority);

    // Somebody joins with a token of before the rotation, another with one of after it.
    let mut operator = OperatorClient::new(server.operator());
    for (name, ca_pem) in [("north", old.as_str()), ("east", &accepted.ca_pem)] {
        let invite = v1::InviteInstitutionRequest { name: name.to_owned(), valid_for_seconds: 60 };
        let secret = operator.invite_institution(invite).await.unwrap().into_inner().secret;
        let stranger = trusting(&server, ca_pem, None);
        let identity = Identity::institution(name.parse().unwrap());
        let key = signing::institution(name);
        let enrolled = enroll(stranger, &identity.name, Secret::new(secret), &key).await.unwrap();
        let accepted = accept(&enrolled.pair, &enrolled.ca_pem, &identity, ca_pem, now).unwrap();
        assert!(fingerprints(&accepted.ca_pem).contains(&changed.now), "{name}");
        assert!(hello(trusting(&server, &accepted.ca_pem, Some(&enrolled.pair))).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_authority_counts_no_more_and_whoever_needs_it_is_named_before() {
    let server = Server::start().await;
    server.enrol("west").await;
    server.enrol("east").await;
    let (server, old, changed) = rotated(server).await;
    let east = Identity::institution("east".parse().unwrap());
    let transport = trusting(&server, &old, Some(&server.pair("east")));
    let east = renew(transport, &east).await.unwrap();
    assert!(hello(trusting(&server, &east.ca_pem, Some(&east.pair))).await, "the new key is used");
    let (folder, clients) = server.stop().await;
    let state = folder.path().join("state");
    let now = SystemClock.now();
    let refused = ca::retire(&state, false, now).await.unwrap_err().to_string();
    assert!(refused.contains("operator `ada`") && refused.contains("institution `west`"), "{refused}");
    assert!(!refused.contains("`east`"), "{refused}");

    // The operator renews; west does not, and is forced out.
    let server = Server::serve(folder, clients).await;
    let ada = operator(server.folder());
    renew_now(&ada, &ChannelOptions::default(), now).await.unwrap().unwrap();
    let fresh = ada.read().unwrap();
    let hello_request = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    let mut client = OperatorClient::new(trusting(&server, &fresh.ca_pem, Some(&fresh.pair)));
    client.hello(hello_request.clone()).await.unwrap();
    let live = trusting(&server, &old, Some(&server.pair("west")));
    assert!(hello(live.clone()).await);
    let (folder, clients) = server.stop().await;
    let refused = ca::retire(&state, false, now).await.unwrap_err().to_string();
    assert!(refused.contains("used by 1: institution") && refused.contains("`west`"), "{refused}");
    assert_eq!(ca::retire(&state, true, now).await.unwrap(), changed);
    assert!(ca::retire(&state, true, now).await.is_err(), "there is nothing left to retire");

    let server = Server::serve(folder, clients).await;
    assert!(!hello(live).await, "its connection was closed");
    let fresh = operator(server.folder()).read().unwrap();
    assert!(!hello(trusting(&server, &fresh.ca_pem, Some(&server.pair("west")))).await);
    assert!(
        !hello(trusting(&server, &old, Some(&server.pair("west")))).await,
        "the server is of the new one"
    );
    assert!(hello(trusting(&server, &fresh.ca_pem, Some(&east.pair))).await);
    // The next renewal drops the old authority from those that are trusted.
    renew_now(&operator(server.folder()), &ChannelOptions::default(), now).await.unwrap().unwrap();
    assert_eq!(fingerprints(&operator(server.folder()).read().unwrap().ca_pem), [changed.now]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_on_the_coordinators_machine_lets_an_operator_back_in() {
    let server = Server::start().await;
    let state = server.folder().join("state");
    let refused = ca::invite_operator(&state, "ada".parse().unwrap(), Duration::from_secs(60)).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("another coordinator runs"), "{refused}");
    let (folder, clients) = server.stop().await;
    for name in ["ada", "grace"] {
        let invited = ca::invite_operator(&state, name.parse().unwrap(), Duration::from_secs(60)).await;
        let (token, _) = invited.unwrap();
        assert_eq!((token.role, token.institution.as_str()), (Role::Operator, name));
    }
    let (token, _) =
        ca::invite_operator(&state, "ada".parse().unwrap(), Duration::from_secs(60)).await.unwrap();
    let server = Server::serve(folder, clients).await;
    let ada = Identity { role: Role::Operator, name: "ada".parse().unwrap() };
    let enrolled = enroll_as(server.stranger(), &ada, token.secret).await.unwrap();
    let hello = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    let mut client = OperatorClient::new(server.connect(Some(&enrolled.pair)));
    client.hello(hello.clone()).await.unwrap();
    assert!(OperatorClient::new(server.operator()).hello(hello).await.is_err(), "the old key is refused");
    let people = v1::ListPeopleRequest { role: v1::Role::Operator.into(), ..Default::default() };
    let listed = client.list_people(people).await.unwrap().into_inner().people_json;
    assert!(listed.iter().all(|one| one.contains("\"invited_by\":\"coordinator\"")), "{listed:?}");
}
