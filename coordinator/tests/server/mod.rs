//! A coordinator in this process, on its own port, with real TLS and real certificates.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod leased;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::report::TrainingReport;
use eosfed_common::secret::Secret;
use eosfed_common::signing::UpdateStatement;
use eosfed_coordinator::init::{Choices, init};
use eosfed_coordinator::serve::Coordinator;
use eosfed_coordinator::settings::{self, StateFolder};
use eosfed_coordinator::tls::Authority;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_testkit::plans::{ONE_SHOT, Plan};
use eosfed_testkit::signing;
use eosfed_transport::channel::{Transport, open};
use eosfed_transport::enrollment::{enroll, enroll_as};
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::meter::Meter;
use eosfed_transport::operator::{IdentityFolder, PersonalIdentity};
use eosfed_transport::wire::Wire as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A plan for one institution, `west`.
pub(crate) fn plan() -> String {
    let plan = Plan::new(ONE_SHOT).without("release").participants(1, 1);
    plan.specialists(&[("west-red", "west", &["red"])]).text()
}

/// An idempotency key.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Keys and certificates of institutions that have enrolled.
pub(crate) type Clients = BTreeMap<String, KeyAndCertificate>;

/// The signature of an institution under an update.
pub(crate) fn update_signature(
    name: &str,
    assignment: &str,
    weights: BlobRef,
    report: &v1::TrainingReport,
) -> String {
    let report = TrainingReport::from_message(report.clone()).map_err(|_| "no report");
    let weights = (weights.digest, weights.size);
    let assignment = assignment.parse().unwrap();
    // What is no report is refused before its signature is looked at.
    let statement = match report {
        Ok(report) => UpdateStatement::of(&assignment, weights, &report),
        Err(none) => UpdateStatement::of(&assignment, weights, &none),
    };
    signing::institution(name).sign(&statement).to_string()
}

pub(crate) struct Server {
    folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    operator: PersonalIdentity,
    url: String,
    clients: Mutex<Clients>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_edited(|text| text).await
    }

    /// With these lines at the end of its settings.
    pub(crate) async fn start_with(lines: &str) -> Self {
        Self::start_edited(|text| text + lines).await
    }

    /// With the text of its settings changed.
    pub(crate) async fn start_edited(edit: impl FnOnce(String) -> String) -> Self {
        eosfed_transport::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let names = vec!["127.0.0.1".to_owned()];
        let listen = "127.0.0.1:0".parse().unwrap();
        let operator = "ada".parse().unwrap();
        let choices = Choices { listen, public_url: None, names, operator };
        let state = init(&state, &choices, SystemClock.now()).unwrap().settings();
        let sample = std::fs::read_to_string(&state).unwrap();
        std::fs::write(&state, edit(sample)).unwrap();
        Self::serve(folder, Clients::default()).await
    }

    /// Serves the state folder `state` in `folder`, to institutions that have enrolled before.
    pub(crate) async fn serve(folder: tempfile::TempDir, clients: Clients) -> Self {
        let (state, settings) = settings::load(&folder.path().join("state")).unwrap();
        let operator = IdentityFolder(state.operator());
        let coordinator = Coordinator::open(state, settings).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let ready = |url: &str| tell.send(url.to_owned()).unwrap();
            let stop = async { drop(stopped.await) };
            coordinator.serve(ready, stop).await.unwrap();
        });
        let url = told.await.unwrap();
        let operator = operator.read().unwrap();
        Self { folder, _stop: stop, serving, operator, url, clients: Mutex::new(clients) }
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("https://").to_owned()
    }

    /// Its state folder.
    pub(crate) fn state(&self) -> StateFolder {
        StateFolder(self.folder.path().join("state"))
    }

    /// Ends at once and removes its folder. Gives the institutions' identities.
    pub(crate) async fn lose(self) -> Clients {
        self.serving.abort();
        let _ = self.serving.await;
        self.clients.into_inner().unwrap()
    }

    /// Ends at once, and serves the same state folder again.
    pub(crate) async fn restart(self) -> Self {
        let (folder, clients) = self.stop().await;
        Self::serve(folder, clients).await
    }

    /// Ends at once; gives its folder, and what the institutions have.
    pub(crate) async fn stop(self) -> (tempfile::TempDir, Clients) {
        let Self { folder, _stop, serving, operator: _, url: _, clients } = self;
        serving.abort();
        let _ = serving.await;
        (folder, clients.into_inner().unwrap())
    }

    /// A key with a certificate of the coordinator's authority; nobody has enrolled with it.
    pub(crate) fn certified(&self, identity: &Identity, valid_for: Duration) -> KeyAndCertificate {
        let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("anybody").unwrap();
        let certificate_pem = self.certificate(&request_pem, identity, valid_for);
        KeyAndCertificate { key_pem, certificate_pem }
    }

    /// A certificate of the coordinator's authority for a request.
    pub(crate) fn certificate(&self, request_pem: &str, identity: &Identity, valid_for: Duration) -> String {
        let [key_pem, certificate_pem] =
            self.state().authority().map(|path| std::fs::read_to_string(path).unwrap());
        let authority =
            Authority::open(&KeyAndCertificate { key_pem: Secret::new(key_pem), certificate_pem }).unwrap();
        authority.certify(request_pem, identity, SystemClock.now(), valid_for).unwrap()
    }

    /// As [`Server::certificate`], made as if by an authority of this age, for the time that is left.
    pub(crate) fn certificate_from(
        &self,
        request_pem: &str,
        identity: &Identity,
        age: Duration,
        left: Duration,
    ) -> String {
        let [key_pem, certificate_pem] =
            self.state().authority().map(|path| std::fs::read_to_string(path).unwrap());
        let authority =
            Authority::open(&KeyAndCertificate { key_pem: Secret::new(key_pem), certificate_pem }).unwrap();
        let made_at = Timestamp(SystemClock.now().0 - u64::try_from(age.as_millis()).unwrap());
        authority.certify(request_pem, identity, made_at, age + left).unwrap()
    }

    /// The folder with its state folder, `state`.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The certificates of its authority.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.operator.ca_pem
    }

    /// The key and certificate of an institution that has enrolled.
    pub(crate) fn pair(&self, name: &str) -> KeyAndCertificate {
        self.clients.lock().unwrap()[name].clone()
    }

    /// A connection with this key and certificate.
    pub(crate) fn connect(&self, pair: Option<&KeyAndCertificate>) -> Transport {
        open(&self.url, &self.operator.ca_pem, pair, Meter::default()).unwrap()
    }

    pub(crate) fn operator(&self) -> Transport {
        self.connect(Some(&self.operator.pair))
    }

    /// A caller without a certificate.
    pub(crate) fn stranger(&self) -> Transport {
        self.connect(None)
    }

    /// An institution that has enrolled.
    pub(crate) fn client(&self, name: &str) -> Transport {
        self.connect(Some(&self.clients.lock().unwrap()[name]))
    }

    /// A reader that has enrolled.
    pub(crate) async fn enrol_reader(&self, name: &str) -> Transport {
        let reader = Identity { role: Role::Reader, name: name.parse().unwrap() };
        let request =
            v1::InvitePersonRequest { person: Some(reader.clone().into_message()), valid_for_seconds: 60 };
        let invited = OperatorClient::new(self.operator()).invite_person(request).await.unwrap();
        let enrolled =
            enroll_as(self.stranger(), &reader, Secret::new(invited.into_inner().secret)).await.unwrap();
        self.connect(Some(&enrolled.pair))
    }

    pub(crate) async fn enrol(&self, name: &str) -> Transport {
        let invite = v1::InviteInstitutionRequest { name: name.to_owned(), valid_for_seconds: 60 };
        let invited = OperatorClient::new(self.operator()).invite_institution(invite).await.unwrap();
        let secret = Secret::new(invited.into_inner().secret);
        let key = signing::institution(name);
        let enrolled = enroll(self.stranger(), &name.parse().unwrap(), secret, &key).await.unwrap();
        self.clients.lock().unwrap().insert(name.to_owned(), enrolled.pair);
        self.client(name)
    }
}
