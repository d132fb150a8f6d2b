//! The authority is an intermediate of a root that lies elsewhere, over real TLS: members pin the root, and the
//! coordinator's machine never has its key.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::secret::Secret;
use eosfed_coordinator::ca::{self, Changed};
use eosfed_coordinator::ca_request;
use eosfed_coordinator::external_ca::{AuthorityFiles, NewIntermediate, create_intermediate, create_root};
use eosfed_coordinator::init::{Choices, init_with};
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings;
use eosfed_coordinator::tls::Authority;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::signing;
use eosfed_transport::authority::{Unfit, check_certificates};
use eosfed_transport::certificate::fingerprints;
use eosfed_transport::channel::{Transport, open};
use eosfed_transport::enrollment::{enroll, enroll_as, renew};
use eosfed_transport::issued::{NotAccepted, accept};
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::PROTOCOL;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use server::{Clients, Server};
use time::OffsetDateTime;

fn west() -> Identity {
    Identity::institution("west".parse().unwrap())
}

fn pem(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn files(folder: &Path) -> AuthorityFiles {
    AuthorityFiles {
        ca_cert: Some(folder.join("certificate.pem")),
        ca_key: Some(folder.join("key.pem")),
        ca_root: Some(folder.join("root.pem")),
    }
}

fn choices(name: &str) -> Choices {
    let listen = "127.0.0.1:0".parse().unwrap();
    Choices { listen, public_url: None, names: vec![name.to_owned()], operator: "ada".parse().unwrap() }
}

/// A root on a machine of its own; the server has its first intermediate.
struct Offline {
    folder: tempfile::TempDir,
    root_pem: String,
}

impl Offline {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        create_root(&folder.path().join("root"), SystemClock.now()).unwrap();
        let root_pem = pem(folder.path().join("root/certificate.pem"));
        Self { folder, root_pem }
    }

    fn intermediate(&self, name: &str) -> PathBuf {
        let out = self.folder.path().join(name);
        create_intermediate(&self.folder.path().join("root"), &out, SystemClock.now()).unwrap();
        out
    }

    async fn serve(&self) -> Server {
        eosfed_transport::install_crypto_provider();
        let now = SystemClock.now();
        let given = files(&self.intermediate("first")).read(Path::new("none"), now).unwrap().unwrap();
        let folder = tempfile::tempdir().unwrap();
        init_with(&folder.path().join("state"), &choices("127.0.0.1"), &given, now).unwrap();
        Server::serve(folder, Clients::default()).await
    }
}

async fn hello(transport: Transport) -> bool {
    let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    ParticipantClient::new(transport).hello(hello).await.is_ok()
}

fn trusting(server: &Server, ca_pem: &str, pair: Option<&KeyAndCertificate>) -> Transport {
    open(server.url(), ca_pem, pair, Meter::default()).unwrap()
}

/// Joins as `west` with a token; gives the certificate, and what a client pins.
async fn join(server: &Server) -> (KeyAndCertificate, String) {
    let invite = v1::InviteInstitutionRequest { name: "west".to_owned(), valid_for_seconds: 60 };
    let invited = OperatorClient::new(server.operator()).invite_institution(invite).await.unwrap();
    let v1::InviteInstitutionResponse { secret, ca_pem, .. } = invited.into_inner();
    let key = signing::institution("west");
    let stranger = trusting(server, &ca_pem, None);
    let enrolled = enroll(stranger, &west().name, Secret::new(secret), &key).await.unwrap();
    let accepted = accept(&enrolled.pair, &enrolled.ca_pem, &west(), &ca_pem, SystemClock.now()).unwrap();
    (enrolled.pair, accepted.ca_pem)
}

/// A certificate for `west` with this key, of the intermediate in a folder.
fn leaf(folder: &Path, key: KeyAndRequest) -> KeyAndCertificate {
    let key_pem = Secret::new(pem(folder.join("key.pem")));
    let pair = KeyAndCertificate { key_pem, certificate_pem: pem(folder.join("certificate.pem")) };
    let authority = Authority::open(&pair).unwrap();
    let valid_for = Duration::from_secs(600);
    let certified = authority.certify(&key.request_pem, &west(), SystemClock.now(), valid_for).unwrap();
    KeyAndCertificate { key_pem: key.key_pem, certificate_pem: certified }
}

/// A request for the key of a pair.
fn request(pair: &KeyAndCertificate) -> KeyAndRequest {
    let key = KeyPair::from_pem(pair.key_pem.expose()).unwrap();
    let request_pem = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    KeyAndRequest { key_pem: pair.key_pem.clone(), request_pem }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_joins_calls_and_renews_with_only_the_root_pinned() {
    let offline = Offline::new();
    let server = offline.serve().await;
    let root = fingerprints(&offline.root_pem);
    assert_eq!(fingerprints(server.ca_pem()), root, "the operator pins the root alone");
    let (pair, pinned) = join(&server).await;
    assert_eq!(fingerprints(&pinned), root, "so does a member");
    assert!(hello(trusting(&server, &pinned, Some(&pair))).await);

    let renewed = renew(trusting(&server, &pinned, Some(&pair)), &west()).await.unwrap();
    let now = SystemClock.now();
    let accepted = accept(&renewed.pair, &renewed.ca_pem, &west(), &pinned, now).unwrap();
    assert_eq!(fingerprints(&accepted.ca_pem), root);
    assert!(hello(trusting(&server, &pinned, Some(&renewed.pair))).await);
    // A client that sends the intermediate too is accepted as well.
    let [_, intermediate] = server.state().authority();
    let chain = renewed.pair.certificate_pem.clone() + &pem(intermediate);
    let with_chain = KeyAndCertificate { certificate_pem: chain, ..renewed.pair.clone() };
    assert!(hello(trusting(&server, &pinned, Some(&with_chain))).await);

    // The intermediate has ended, its root has not.
    let late = now.plus(Duration::from_secs(11 * 365 * 86_400));
    let refused = accept(&renewed.pair, &renewed.ca_pem, &west(), &pinned, late).unwrap_err();
    assert_eq!(refused, NotAccepted::Authority);

    // An answer of another root's intermediate is not taken, nor is a server of it.
    let others = Offline::new();
    let foreign = leaf(&others.intermediate("foreign"), request(&renewed.pair));
    let answer = pem(others.folder.path().join("foreign/certificate.pem")) + &others.root_pem;
    assert_eq!(accept(&foreign, &answer, &west(), &pinned, now).unwrap_err(), NotAccepted::Authority);
    assert!(!hello(trusting(&server, &others.root_pem, Some(&renewed.pair))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_of_another_intermediate_of_the_same_root_is_refused() {
    let offline = Offline::new();
    let server = offline.serve().await;
    let (pair, pinned) = join(&server).await;
    assert!(hello(trusting(&server, &pinned, Some(&pair))).await);
    let second = offline.intermediate("second");
    let stranger = leaf(&second, KeyAndRequest::generate("west").unwrap());
    // Even for the enrolled key, so that the records alone would let it in.
    let same_key = leaf(&second, request(&pair));
    for leaf in [stranger, same_key] {
        assert!(!hello(trusting(&server, &pinned, Some(&leaf))).await);
        let chain = leaf.certificate_pem.clone() + &pem(second.join("certificate.pem"));
        let leaf = KeyAndCertificate { certificate_pem: chain, ..leaf };
        assert!(!hello(trusting(&server, &pinned, Some(&leaf))).await, "nor with its intermediate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_intermediate_takes_over_and_the_one_before_ends() {
    let offline = Offline::new();
    let server = offline.serve().await;
    let (pair, pinned) = join(&server).await;
    let second = offline.intermediate("second");
    let (folder, clients) = server.stop().await;
    let state = folder.path().join("state");
    let now = SystemClock.now();
    let refused = ca::rotate(&state, now).await.unwrap_err().to_string();
    assert!(refused.contains("ca install --state"), "{refused}");
    let others = Offline::new();
    let strange = others.intermediate("strange");
    let new = |folder: &Path| NewIntermediate {
        ca_cert: folder.join("certificate.pem"),
        ca_key: Some(folder.join("key.pem")),
    };
    let refused = format!("{:#}", ca::install(&state, &new(&strange), now).await.unwrap_err());
    assert!(refused.contains("not signed by the root"), "{refused}");
    let first = offline.folder.path().join("first");
    let refused = ca::install(&state, &new(&first), now).await.unwrap_err().to_string();
    assert!(refused.contains("installed already"), "{refused}");
    let Changed { now: second_print, .. } = ca::install(&state, &new(&second), now).await.unwrap();
    let refused = ca::install(&state, &new(&second), now).await.unwrap_err().to_string();
    assert!(refused.contains("still counts"), "the first one was not retired: {refused}");

    let server = Server::serve(folder, clients).await;
    let renewed = renew(trusting(&server, &pinned, Some(&pair)), &west()).await.unwrap();
    assert!(fingerprints(&renewed.ca_pem).contains(&second_print));
    let accepted = accept(&renewed.pair, &renewed.ca_pem, &west(), &pinned, now).unwrap();
    assert_eq!(accepted.ca_pem, pinned, "what is pinned stays");
    let old_key = leaf(&first, request(&renewed.pair));
    assert!(hello(trusting(&server, &pinned, Some(&old_key))).await, "the first one still counts");
    let (folder, clients) = server.stop().await;
    ca::retire(&state, true, now).await.unwrap();
    let server = Server::serve(folder, clients).await;
    assert!(hello(trusting(&server, &pinned, Some(&renewed.pair))).await);
    assert!(!hello(trusting(&server, &pinned, Some(&old_key))).await, "the first one has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_intermediate_has_ended_nothing_starts_until_another_one_is_installed() {
    eosfed_transport::install_crypto_provider();
    let now = SystemClock.now();
    let then = Timestamp(now.0 - 11 * 365 * 86_400_000);
    let folder = tempfile::tempdir().unwrap();
    let [root, first, second, state] =
        ["root", "first", "second", "state"].map(|name| folder.path().join(name));
    create_root(&root, then).unwrap();
    create_intermediate(&root, &first, then).unwrap();
    let given = files(&first).read(Path::new("none"), then).unwrap().unwrap();
    init_with(&state, &choices("127.0.0.1"), &given, then).unwrap();
    let said = format!("{:#}", files(&first).read(Path::new("none"), now).err().unwrap());
    assert!(said.contains("the authority's certificate is valid from"), "{said}");
    let (opened, settings) = settings::load(&state).unwrap();
    let coordinator = Coordinator::open(opened, settings).await.unwrap();
    let stop = tokio::time::sleep(Duration::from_secs(5));
    let said = coordinator.serve(|_| {}, stop).await.unwrap_err().to_string();
    assert!(said.starts_with("the authority's certificate ended at"), "{said}");

    create_intermediate(&root, &second, now).unwrap();
    let new =
        NewIntermediate { ca_cert: second.join("certificate.pem"), ca_key: Some(second.join("key.pem")) };
    ca::install(&state, &new, now).await.unwrap();
    let valid_for = Duration::from_secs(60);
    let (token, _) = ca::invite_operator(&state, "ada".parse().unwrap(), valid_for).await.unwrap();
    let server = Server::serve(folder, Clients::default()).await;
    let ada = Identity { role: Role::Operator, name: token.institution };
    let enrolled = enroll_as(trusting(&server, &token.ca_pem, None), &ada, token.secret).await.unwrap();
    let hello = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    let transport = trusting(&server, &token.ca_pem, Some(&enrolled.pair));
    OperatorClient::new(transport).hello(hello).await.unwrap();
}

#[test]
fn the_key_of_the_root_is_nowhere_in_the_state_folder() {
    let offline = Offline::new();
    let now = SystemClock.now();
    let first = offline.intermediate("first");
    let given = files(&first).read(Path::new("none"), now).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    init_with(&folder.path().join("state"), &choices("127.0.0.1"), &given, now).unwrap();
    let body = |path: PathBuf| pem(path).lines().nth(1).unwrap().to_owned();
    let root_key = body(offline.folder.path().join("root/key.pem"));
    let own_key = body(first.join("key.pem"));
    let mut folders = vec![folder.path().to_owned(), first];
    let mut with_own_key = 0;
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&entry).unwrap()).into_owned();
            assert!(!text.contains(&root_key), "{}", entry.display());
            with_own_key += usize::from(text.contains(&own_key));
        }
    }
    assert_eq!(with_own_key, 2, "the search finds the key of the intermediate in both places");
}

/// What a request and its certificate are about, in a folder of their own.
struct Requested {
    offline: Offline,
    state: PathBuf,
    request: PathBuf,
}

impl Requested {
    /// A request for a state folder that is not there yet, or that a server has left.
    fn new(offline: Offline, state: &Path, name: &str) -> Self {
        let request = offline.folder.path().join(name);
        let key = ca_request::request(state, &request).unwrap();
        // Asked again, it is the same key.
        let again = offline.folder.path().join(format!("{name}.again"));
        assert_eq!(ca_request::request(state, &again).unwrap(), key);
        let exists = ca_request::request(state, &request).unwrap_err().to_string();
        assert!(exists.contains("exists already"), "{exists}");
        Self { offline, state: state.to_owned(), request }
    }

    /// Signs the request with the offline root.
    fn sign(&self, out: &str) -> PathBuf {
        let out = self.offline.folder.path().join(out);
        let root = self.offline.folder.path().join("root");
        ca_request::sign(&root, &self.request, &out, SystemClock.now()).unwrap();
        out
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_never_leaves_the_machine_is_certified_by_request() {
    eosfed_transport::install_crypto_provider();
    let now = SystemClock.now();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let requested = Requested::new(Offline::new(), &state, "first.csr");
    let first = requested.sign("first.pem");
    let given = AuthorityFiles {
        ca_cert: Some(first.clone()),
        ca_key: None,
        ca_root: Some(requested.offline.folder.path().join("root/certificate.pem")),
    };
    let given = given.read(&state, now).unwrap().unwrap();
    init_with(&state, &choices("127.0.0.1"), &given, now).unwrap();
    assert!(!state.join("ca/requested.key").exists(), "it is the authority's key now");
    let server = Server::serve(folder, Clients::default()).await;
    let (pair, pinned) = join(&server).await;
    assert_eq!(fingerprints(&pinned), fingerprints(&requested.offline.root_pem));

    // Another one takes over, while the key of the first one serves.
    let requested = Requested::new(requested.offline, &requested.state, "second.csr");
    let second = requested.sign("second.pem");
    let (folder, clients) = server.stop().await;
    let without_key = |ca_cert: &Path| NewIntermediate { ca_cert: ca_cert.to_owned(), ca_key: None };
    let other = format!("{:#}", ca::install(&state, &without_key(&first), now).await.unwrap_err());
    assert!(other.contains("is not the key of its certificate"), "a certificate of another key: {other}");
    ca::install(&state, &without_key(&second), now).await.unwrap();
    assert!(!state.join("ca/requested.key").exists());
    let none = format!("{:#}", ca::install(&state, &without_key(&second), now).await.unwrap_err());
    assert!(none.contains("still counts"), "{none}");
    let server = Server::serve(folder, clients).await;
    let renewed = renew(trusting(&server, &pinned, Some(&pair)), &west()).await.unwrap();
    assert!(hello(trusting(&server, &pinned, Some(&renewed.pair))).await);
    let (_folder, _) = server.stop().await;
    ca::retire(&state, true, now).await.unwrap();
    let none = format!("{:#}", ca::install(&state, &without_key(&second), now).await.unwrap_err());
    assert!(none.contains("ca request --state"), "no key was asked for: {none}");
}

#[test]
fn a_certificate_says_what_the_root_says_whatever_the_request_asks_for() {
    let offline = Offline::new();
    let now = SystemClock.now();
    let key = KeyPair::generate().unwrap();
    let mut wanted = ca("Somebody else");
    wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.distinguished_name.push(DnType::OrganizationName, "\u{1b}[2J");
    let request = offline.folder.path().join("wanted.csr");
    let mut plain = CertificateParams::default();
    plain.distinguished_name = wanted.distinguished_name.clone();
    fs::write(&request, plain.serialize_request(&key).unwrap().pem().unwrap()).unwrap();
    let out = offline.folder.path().join("wanted.pem");
    let signed = ca_request::sign(&offline.folder.path().join("root"), &request, &out, now).unwrap();
    assert_eq!(signed.asked, "Somebody else");
    assert!(signed.subject.starts_with("EoS-Fed coordinator authority "), "{signed:?}");
    assert_eq!(signed.key, Digest::of(&key.subject_public_key_info()));
    assert_eq!(fingerprints(&pem(&out)), [signed.fingerprint]);
    assert!(signed.until > now.plus(Duration::from_secs(9 * 365 * 86_400)), "{signed:?}");
    // It is an authority, with none below it.
    let own = Issuer::from_ca_cert_pem(&pem(&out), key).unwrap();
    let below = ca("Below").signed_by(&KeyPair::generate().unwrap(), &own).unwrap().pem();
    let refused = check_certificates(&pem(&out), &pem(&out), now).unwrap_err();
    assert_eq!(refused, Unfit::NotSelfSigned("the authority's certificate"));
    assert_eq!(check_certificates(&pem(&out), &offline.root_pem, now), Ok(()));
    assert_eq!(
        check_certificates(&below, &pem(&out), now).unwrap_err(),
        Unfit::NotSelfSigned("the root's certificate")
    );
}

#[test]
fn what_is_no_good_request_is_refused_and_leaves_no_file() {
    let offline = Offline::new();
    let root = offline.folder.path().join("root");
    let good = KeyAndRequest::generate("x").unwrap().request_pem;
    // One digit of its signature, which is at the end.
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let last = lines.len() - 2;
    let changed: String = lines[last - 1].chars().map(|one| if one == 'A' { 'B' } else { 'A' }).collect();
    lines[last - 1] = changed;
    let root_key = KeyPair::from_pem(&pem(root.join("key.pem"))).unwrap();
    let of_root = CertificateParams::default().serialize_request(&root_key).unwrap().pem().unwrap();
    let certificate = pem(root.join("certificate.pem"));
    for (what, text, said) in [
        ("empty", String::new(), "not a request"),
        ("a certificate", certificate, "not a request"),
        ("a false signature", lines.join("\n") + "\n", "not a request"),
        ("too large", good.clone() + &" ".repeat(20_000), "more than 16384 bytes"),
        ("the root's own key", of_root, "the root's own key"),
    ] {
        let request = offline.folder.path().join("bad.csr");
        fs::write(&request, text).unwrap();
        let out = offline.folder.path().join("bad.pem");
        let refused = ca_request::sign(&root, &request, &out, SystemClock.now()).unwrap_err();
        assert!(format!("{refused:#}").contains(said), "{what}: {refused:#}");
        assert!(!out.exists(), "{what}");
    }
    let out = offline.folder.path().join("good.pem");
    fs::write(offline.folder.path().join("good.csr"), &good).unwrap();
    ca_request::sign(&root, &offline.folder.path().join("good.csr"), &out, SystemClock.now()).unwrap();
    let again = ca_request::sign(&root, &offline.folder.path().join("good.csr"), &out, SystemClock.now());
    assert!(again.unwrap_err().to_string().contains("exists already"));
}

/// What a test changes in a root and an intermediate that are fit.
#[derive(Clone)]
struct Change {
    root: fn(&mut CertificateParams),
    own: fn(&mut CertificateParams),
}

const NOTHING: fn(&mut CertificateParams) = |_| {};

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_after = OffsetDateTime::now_utc() + Duration::from_secs(100 * 86_400);
    params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(86_400);
    params
}

/// The files of an institution's own CA, with a change.
fn institutional(folder: &Path, Change { root, own }: Change) -> AuthorityFiles {
    let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
    let (mut root_params, mut own_params) = (ca("Institute Root"), ca("Institute EoS-Fed"));
    root(&mut root_params);
    own(&mut own_params);
    let root_pem = root_params.self_signed(&keys[0]).unwrap().pem();
    let issuer = Issuer::from_params(&root_params, &keys[0]);
    let own_pem = own_params.signed_by(&keys[1], &issuer).unwrap().pem();
    let key_pem = keys[1].serialize_pem();
    for (name, text) in [("root.pem", &root_pem), ("certificate.pem", &own_pem), ("key.pem", &key_pem)] {
        eosfed_common::files::write_atomically(&folder.join(name), text.as_bytes()).unwrap();
    }
    files(folder)
}

fn refused(files: &AuthorityFiles, now: Timestamp) -> String {
    format!("{:#}", files.read(Path::new("none"), now).err().unwrap())
}

#[test]
fn an_intermediate_that_is_not_fit_is_refused_with_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let fit = Change { root: NOTHING, own: NOTHING };
    let given = institutional(folder.path(), fit.clone()).read(Path::new("none"), now).unwrap().unwrap();
    let state = folder.path().join("state");
    init_with(&state, &choices("127.0.0.1"), &given, now).unwrap();

    let bad: [(&str, Change); 6] = [
        ("not of a CA", Change { own: |own| own.is_ca = IsCa::ExplicitNoCa, ..fit.clone() }),
        ("keyCertSign", Change { own: |own| own.key_usages = vec![KeyUsagePurpose::CrlSign], ..fit.clone() }),
        (
            "extended key usage",
            Change {
                own: |own| own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
                ..fit.clone()
            },
        ),
        (
            "path length is 0",
            Change { root: |root| root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), ..fit.clone() },
        ),
        (
            "the authority's certificate is valid from",
            Change { own: |own| own.not_after = own.not_before + Duration::from_secs(3600), ..fit.clone() },
        ),
        (
            "the root's certificate is valid from",
            Change {
                root: |root| root.not_after = root.not_before + Duration::from_secs(86_400 * 30),
                ..fit.clone()
            },
        ),
    ];
    for (rule, change) in bad {
        let said = refused(&institutional(folder.path(), change), now);
        assert!(said.contains(rule), "{rule}: {said}");
    }
    // Files that do not belong together.
    let others = tempfile::tempdir().unwrap();
    let other = institutional(others.path(), fit.clone());
    let files = institutional(folder.path(), fit);
    let said = refused(&AuthorityFiles { ca_key: other.ca_key, ..files.clone() }, now);
    assert!(said.contains("not the key of its certificate"), "{said}");
    let said = refused(&AuthorityFiles { ca_root: other.ca_root, ..files.clone() }, now);
    assert!(said.contains("not signed by the root"), "{said}");
    let said = refused(&AuthorityFiles { ca_root: None, ..files.clone() }, now);
    assert!(said.contains("not self-signed"), "{said}");
    let said = refused(&AuthorityFiles { ca_key: files.ca_cert.clone(), ..files }, now);
    assert!(said.contains("PKCS#8"), "{said}");
}

#[test]
fn what_the_tls_library_would_refuse_is_refused_by_init() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let only_example: fn(&mut CertificateParams) = |own| {
        own.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let files = institutional(folder.path(), Change { root: NOTHING, own: only_example });
    let given = files.read(Path::new("none"), now).unwrap().unwrap();
    let said = init_with(&folder.path().join("a"), &choices("eo.example.com"), &given, now).unwrap_err();
    assert!(format!("{said:#}").contains("members would not accept"), "{said:#}");
    assert!(!folder.path().join("a").exists(), "nothing was made");
    init_with(&folder.path().join("b"), &choices("eo.example.org"), &given, now).unwrap();
}
