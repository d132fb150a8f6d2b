//! Keys and revocation, over real TLS: an old key that was stolen, a connection that is open when access is
//! taken back, a certificate that expires while its connection is open.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::time::{Duration, Instant};

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::secret::Secret;
use eosfed_common::view::{JobState, JobView, PersonView};
use eosfed_coordinator::domain::{Change, Member};
use eosfed_coordinator::storage::{SledStore, Store as _, ready};
use eosfed_proto::v1;
use eosfed_proto::v1::enrollment_client::EnrollmentClient;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::signing;
use eosfed_transport::channel::{ChannelOptions, Transport};
use eosfed_transport::enrollment::{enroll, enroll_as, signing_key_proof};
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::protocol::PROTOCOL;
use eosfed_transport::renewal::renew_when_due;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::{Wire as _, role_message};
use server::{KEY, Server, plan};

fn west() -> Identity {
    Identity::institution("west".parse().unwrap())
}

async fn hello(transport: Transport) -> Result<(), Refusal> {
    let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    let answer = ParticipantClient::new(transport).hello(hello).await;
    answer.map(drop).map_err(|status| from_status(&status))
}

/// Renews with a fresh key, over a connection of another.
async fn renew(transport: Transport) -> Result<KeyAndCertificate, Refusal> {
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
    let request = v1::RenewRequest { signing_request_pem: request_pem, signing_key_proof: String::new() };
    let answer = EnrollmentClient::new(transport).renew(request).await;
    let answer = answer.map_err(|status| from_status(&status))?.into_inner();
    Ok(KeyAndCertificate { key_pem, certificate_pem: answer.certificate_pem })
}

async fn revoke(server: &Server, remove: bool) -> Result<(), Refusal> {
    let member = Some(west().into_message());
    let request = v1::RevokeRequest { member, reason: "laptop stolen".to_owned(), remove };
    let answer = OperatorClient::new(server.operator()).revoke(request).await;
    answer.map(drop).map_err(|status| from_status(&status))
}

async fn re_enrol(server: &Server) -> KeyAndCertificate {
    let request = v1::ReEnrolRequest { member: Some(west().into_message()), valid_for_seconds: 60 };
    let invited = OperatorClient::new(server.operator()).re_enrol(request).await.unwrap();
    let key = signing::institution("west");
    let secret = Secret::new(invited.into_inner().secret);
    enroll(server.stranger(), &west().name, secret, &key).await.unwrap().pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_is_worth_nothing_after_its_holder_has_enrolled_again() {
    let server = Server::start().await;
    let thief = server.enrol("west").await;
    hello(thief.clone()).await.unwrap();
    let again = v1::InviteInstitutionRequest { name: "west".to_owned(), valid_for_seconds: 60 };
    let refused = OperatorClient::new(server.operator()).invite_institution(again).await.unwrap_err();
    assert!(from_status(&refused).message.contains("eosfed institution re-enrol west"), "{refused:?}");
    let fresh = re_enrol(&server).await;

    for refused in [hello(thief.clone()).await, renew(thief).await.map(drop)] {
        let refusal = refused.unwrap_err();
        assert!(matches!(refusal.reason, Reason::Unauthenticated | Reason::Unavailable), "{refusal}");
    }
    let refusal = hello(server.connect(Some(&server.pair("west")))).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unauthenticated);
    assert!(refusal.message.contains("another key"), "{refusal}");
    hello(server.connect(Some(&fresh))).await.unwrap();
    let server = server.restart().await;
    assert!(hello(server.client("west")).await.is_err());
    hello(server.connect(Some(&fresh))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_closes_an_open_connection_within_a_second_and_survives_a_restart() {
    let server = Server::start().await;
    let west = server.enrol("west").await;
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let seen = ParticipantClient::new(west.clone()).poll(poll).await.unwrap().into_inner().revision;
    let waits = tokio::spawn(async move {
        let poll = v1::PollRequest { seen_revision: seen, wait_ms: 30_000 };
        ParticipantClient::new(west).poll(poll).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waits.is_finished());
    let started = Instant::now();
    revoke(&server, false).await.unwrap();
    waits.await.unwrap().unwrap_err();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!("closed {took:?} after the call");

    let server = server.restart().await;
    let refusal = hello(server.client("west")).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unauthenticated);
    assert!(
        refusal.message.contains("laptop stolen") && refusal.message.contains("re-enrol west"),
        "{refusal}"
    );
    let fresh = re_enrol(&server).await;
    hello(server.connect(Some(&fresh))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_institution_is_not_listed() {
    let server = Server::start().await;
    for name in ["east", "west"] {
        server.enrol(name).await;
    }
    revoke(&server, true).await.unwrap();
    let list = v1::ListInstitutionsRequest::default();
    let listed = OperatorClient::new(server.operator()).list_institutions(list).await.unwrap().into_inner();
    assert!(matches!(&listed.institutions_json[..], [one] if one.contains("\"east\"")), "{listed:?}");
    let nobody = v1::Member { role: v1::Role::Institution.into(), name: "north".to_owned() };
    let request = v1::RevokeRequest { member: Some(nobody), ..Default::default() };
    let refused = OperatorClient::new(server.operator()).revoke(request).await.unwrap_err();
    assert_eq!(from_status(&refused).reason, Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_operator_cannot_be_revoked() {
    let server = Server::start().await;
    let mut operator = OperatorClient::new(server.operator());
    let hello = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    let name = operator.hello(hello.clone()).await.unwrap().into_inner().name;
    let member = Some(v1::Member { role: v1::Role::Operator.into(), name });
    let request = v1::RevokeRequest { member, ..Default::default() };
    let refusal = from_status(&operator.revoke(request).await.unwrap_err());
    assert!(refusal.reason == Reason::WrongState && refusal.message.contains("last operator"), "{refusal}");
    operator.hello(hello).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_listed_by_role_with_who_has_invited_them() {
    let server = Server::start().await;
    let mut operator = OperatorClient::new(server.operator());
    for role in [Role::Operator, Role::Reader] {
        let person = Some(Identity { role, name: "ben".parse().unwrap() }.into_message());
        let request = v1::InvitePersonRequest { person, valid_for_seconds: 60 };
        operator.invite_person(request).await.unwrap();
        let request = v1::ListPeopleRequest { role: role_message(role).into(), ..Default::default() };
        let listed = operator.list_people(request).await.unwrap().into_inner().people_json;
        let listed: Vec<PersonView> = listed.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
        let names: Vec<_> = listed.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, if role == Role::Operator { vec!["ada", "ben"] } else { vec!["ben"] });
        let ben = listed.last().unwrap();
        assert_eq!(ben.invited_by.as_ref().unwrap().to_string(), "operator:ada");
        assert!(ben.enrolled_at.is_none() && ben.invited_until.is_some() && ben.last_seen.is_none());
        if role == Role::Operator {
            assert!(
                listed[0].last_seen.is_some() && listed[0].certificate_expires_at.is_some(),
                "{listed:?}"
            );
        }
    }
    let institutions = v1::ListPeopleRequest { role: v1::Role::Institution.into(), ..Default::default() };
    let refusal = from_status(&operator.list_people(institutions).await.unwrap_err());
    assert!(refusal.reason == Reason::Malformed && refusal.message.contains("role"), "{refusal}");
}

/// Enrols `west`; gives its key with a certificate that is valid for as long as this.
async fn enrol_for(server: &Server, valid_for: Duration) -> KeyAndCertificate {
    let invite = v1::InviteInstitutionRequest { name: "west".to_owned(), valid_for_seconds: 60 };
    let invited = OperatorClient::new(server.operator()).invite_institution(invite).await.unwrap();
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
    let request = v1::EnrollRequest {
        institution: "west".to_owned(),
        secret: invited.into_inner().secret,
        signing_request_pem: request_pem.clone(),
        role: 0,
        signing_key_proof: signing_key_proof(&signing::institution("west"), &west().name, &request_pem)
            .to_string(),
    };
    EnrollmentClient::new(server.stranger()).enroll(request).await.unwrap();
    KeyAndCertificate { key_pem, certificate_pem: server.certificate(&request_pem, &west(), valid_for) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_certificate_expires() {
    let server = Server::start().await;
    // Certificates count whole seconds.
    let pair = enrol_for(&server, Duration::from_secs(3)).await;
    let west = server.connect(Some(&pair));
    hello(west.clone()).await.unwrap();
    let waits = tokio::spawn({
        let west = west.clone();
        async move {
            let poll = v1::PollRequest { seen_revision: 0, wait_ms: 30_000 };
            let seen = ParticipantClient::new(west.clone()).poll(poll).await.unwrap().into_inner().revision;
            let poll = v1::PollRequest { seen_revision: seen, wait_ms: 30_000 };
            ParticipantClient::new(west).poll(poll).await
        }
    });
    let ended = tokio::time::timeout(Duration::from_secs(4), waits).await;
    ended.expect("the connection is closed when the certificate expires").unwrap().unwrap_err();
    assert!(renew(west.clone()).await.is_err(), "what has expired renews nothing");
    // A call that was made while the connection was closing says that, and not why.
    let mut refusal = hello(west.clone()).await.unwrap_err();
    for _ in 0..5 {
        if !refusal.message.contains("expired") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            refusal = hello(west.clone()).await.unwrap_err();
        }
    }
    assert!(refusal.message.contains("expired"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_renewal_locks_nobody_out_and_a_replaced_key_renews_nothing() {
    let server = Server::start().await;
    let old = server.enrol("west").await;
    renew(old.clone()).await.unwrap();
    // The answer was lost: the old key goes on.
    hello(old.clone()).await.unwrap();
    let fresh = renew(old.clone()).await.unwrap();
    hello(server.connect(Some(&fresh))).await.unwrap();
    // Calls that are under way may end, but the old key gets no certificate any more.
    hello(old.clone()).await.unwrap();
    assert_eq!(renew(old).await.map(drop).unwrap_err().reason, Reason::Unauthenticated);
    let third = renew(server.connect(Some(&fresh))).await.unwrap();
    let server = server.restart().await;
    hello(server.connect(Some(&third))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enrolled_with_an_earlier_version_is_bound_to_the_key_that_it_uses_first() {
    let server = Server::start().await;
    server.enrol("west").await;
    // Signed by the authority, and never enrolled.
    let other = server.certified(&west(), Duration::from_secs(60));
    assert_eq!(hello(server.connect(Some(&other))).await.unwrap_err().reason, Reason::Unauthenticated);
    let (folder, clients) = server.stop().await;
    let store = SledStore::open(&folder.path().join("state/store")).unwrap();
    let member = Member::enrolled(west(), None, SystemClock.now());
    ready(store.commit(&Change { members: vec![member], ..Change::default() }, &[])).unwrap();
    drop(store);
    let server = Server::serve(folder, clients).await;
    hello(server.client("west")).await.unwrap();
    let refusal = hello(server.connect(Some(&other))).await.unwrap_err();
    assert!(refusal.message.contains("another key"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_readers_join_with_tokens_of_their_own() {
    let server = Server::start().await;
    let mut first = OperatorClient::new(server.operator());
    let hello = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    for (role, may_list) in [(Role::Operator, true), (Role::Reader, false)] {
        let ben = Identity { role, name: "ben".parse().unwrap() };
        let person = Some(ben.clone().into_message());
        let request = v1::InvitePersonRequest { person: person.clone(), valid_for_seconds: 60 };
        let secret = Secret::new(first.invite_person(request).await.unwrap().into_inner().secret);
        let other = Identity { role: Role::Institution, name: ben.name.clone() };
        assert!(enroll_as(server.stranger(), &other, secret.clone()).await.is_err(), "another role");
        let enrolled = enroll_as(server.stranger(), &ben, secret).await.unwrap();
        let mut client = OperatorClient::new(server.connect(Some(&enrolled.pair)));
        let answer = client.hello(hello.clone()).await.unwrap().into_inner();
        assert_eq!((answer.name.as_str(), answer.role), ("ben", role.to_string()));
        let listed = client.list_institutions(v1::ListInstitutionsRequest::default()).await;
        assert_eq!(listed.is_ok(), may_list, "{role}");
        let revoke = v1::RevokeRequest { member: person, ..Default::default() };
        first.revoke(revoke).await.unwrap();
        assert!(client.hello(hello.clone()).await.is_err(), "{role}");
    }
}

/// An identity folder of the reader `ben`, whose certificate has been made so long ago that it is due.
async fn due_reader(server: &Server, left: Duration) -> (tempfile::TempDir, IdentityFolder) {
    let ben = Identity { role: Role::Reader, name: "ben".parse().unwrap() };
    let person = Some(ben.clone().into_message());
    let request = v1::InvitePersonRequest { person, valid_for_seconds: 60 };
    let invited = OperatorClient::new(server.operator()).invite_person(request).await.unwrap();
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("ben").unwrap();
    let request = v1::EnrollRequest {
        institution: "ben".to_owned(),
        secret: invited.into_inner().secret,
        signing_request_pem: request_pem.clone(),
        role: v1::Role::Reader.into(),
        signing_key_proof: String::new(),
    };
    EnrollmentClient::new(server.stranger()).enroll(request).await.unwrap();
    // The backdating counts as lifetime only before the issue: this one is in its last third at once.
    let certificate_pem = server.certificate_from(&request_pem, &ben, left * 9, left);
    let folder = tempfile::tempdir().unwrap();
    let identity = IdentityFolder(folder.path().to_owned());
    identity.write(&KeyAndCertificate { key_pem, certificate_pem }, server.ca_pem(), server.url()).unwrap();
    (folder, identity)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_renews_its_certificate_in_the_last_third_with_a_new_key() {
    let server = Server::start().await;
    let (_folder, identity) = due_reader(&server, Duration::from_secs(3600)).await;
    let old = identity.read().unwrap();
    let options = ChannelOptions::default();
    let now = SystemClock.now();
    // Another command has the lock: this one leaves it to that one.
    let lock = identity.lock().unwrap();
    assert_eq!(renew_when_due(&identity, &options, now).await.unwrap(), None);
    drop(lock);
    let renewed = renew_when_due(&identity, &options, now).await.unwrap().unwrap();
    assert!(renewed.not_after > now.plus(Duration::from_secs(86_400)), "{renewed:?}");
    let fresh = identity.read().unwrap();
    assert_ne!(fresh.pair.key_pem, old.pair.key_pem);
    let hello = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    OperatorClient::new(server.connect(Some(&fresh.pair))).hello(hello).await.unwrap();
    assert_eq!(renew_when_due(&identity, &options, now).await.unwrap(), None, "not due any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_to_a_renewal_replaces_nothing() {
    let server = Server::start().await;
    let other = Server::start().await;
    let (_folder, identity) = due_reader(&server, Duration::from_secs(3600)).await;
    let old = identity.read().unwrap();
    // The folder trusts another authority than the one that answers.
    for (url, ca_pem) in [(other.url(), server.ca_pem()), (server.url(), other.ca_pem())] {
        identity.write(&old.pair, ca_pem, url).unwrap();
        renew_when_due(&identity, &ChannelOptions::default(), SystemClock.now()).await.unwrap_err();
        assert_eq!(identity.read().unwrap().pair.key_pem, old.pair.key_pem);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_round_ends_at_once_when_its_last_institution_is_revoked() {
    let server = Server::start().await;
    server.enrol("west").await;
    let mut operator = OperatorClient::new(server.operator());
    let submit = v1::SubmitJobRequest { plan_toml: plan(), idempotency_key: KEY.to_owned() };
    let job = operator.submit_job(submit).await.unwrap().into_inner().job;
    let accept = v1::AcceptRequest { assignment: format!("{job}.0.1.west") };
    ParticipantClient::new(server.client("west")).accept(accept).await.unwrap();
    revoke(&server, false).await.unwrap();
    let shown = operator.get_job(v1::GetJobRequest { job: job.clone() }).await.unwrap().into_inner();
    let shown: JobView = serde_json::from_str(&shown.job_json).unwrap();
    assert_eq!(shown.state, JobState::Paused, "{shown:?}");
    // It is back: the round that an operator resumes asks it again.
    let fresh = re_enrol(&server).await;
    let action = Some(v1::control_job_request::Action::Resume(v1::ResumeJob {}));
    operator.control_job(v1::ControlJobRequest { job: job.clone(), action }).await.unwrap();
    let poll = v1::PollRequest { seen_revision: 0, wait_ms: 0 };
    let offers = ParticipantClient::new(server.connect(Some(&fresh))).poll(poll).await.unwrap().into_inner();
    assert!(matches!(&offers.assignments[..], [one] if one.id.starts_with(&job)), "{offers:?}");
}
