//! The coordinator, as the command calls it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::net::channel::{Transport, Way, open_by};
use eosfed_common::net::meter::Meter;
use eosfed_common::net::protocol::{PROTOCOL, RELEASE, agree};
use eosfed_common::net::proxy::Proxy;
use eosfed_common::net::status::from_status;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use serde::de::DeserializeOwned;
use tonic::{Response, Status};

use crate::identity::IdentityFolder;

/// A coordinator that will be called as the holder of an identity.
pub(super) struct Connection {
    /// For blobs.
    pub(super) transport: Transport,
    /// For everything else.
    pub(super) operator: OperatorClient<Transport>,
    url: String,
}

impl Connection {
    /// Reads the identity. Nothing is sent yet.
    pub(super) fn open(folder: Option<&Path>, proxy: Option<Proxy>) -> anyhow::Result<Self> {
        let folder = folder.map_or_else(default_folder, |folder| Ok(folder.to_owned()))?;
        let identity = IdentityFolder(folder).read()?;
        let (way, pair) = (Way::through(proxy), Some(&identity.pair));
        let transport = open_by(&way, &identity.url, &identity.ca_pem, pair, Meter::default())?;
        let operator = OperatorClient::new(transport.clone()).max_decoding_message_size(64 << 20);
        Ok(Self { transport, operator, url: identity.url })
    }

    /// Exchanges versions, so that what follows is understood on both sides.
    pub(super) async fn greet(&mut self) -> Result<(), Refusal> {
        let request = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), release: RELEASE.to_owned() };
        let answer = self.operator.hello(request).await;
        let v1::OperatorHelloResponse { protocol, release, name: _, role: _ } = self.answer(answer)?;
        agree("`eosfed` command", "coordinator", protocol, &release)
    }

    /// The answer to a call, or the refusal that it, or its absence, means.
    pub(super) fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Refusal> {
        answer.map(Response::into_inner).map_err(|status| {
            let refusal = from_status(&status);
            if refusal.reason != Reason::Unavailable {
                return refusal;
            }
            // Where a certificate is the trouble, somebody does answer.
            let running = match refusal.message.contains("certificate") {
                true => "",
                false => "; is `eosfed-coordinator serve` running?",
            };
            let message =
                format!("the coordinator at {} does not answer: {}{running}", self.url, refusal.message);
            Refusal::new(Reason::Unavailable, message)
        })
    }
}

fn default_folder() -> anyhow::Result<PathBuf> {
    let home =
        std::env::var_os("HOME").context("name an identity with `--identity DIR` or EOSFED_IDENTITY")?;
    Ok(Path::new(&home).join(".config/eosfed"))
}

/// A record of the coordinator's.
pub(super) fn decode<T: DeserializeOwned>(json: &str) -> anyhow::Result<T> {
    serde_json::from_str(json)
        .context("the coordinator speaks another release's language; install fitting releases")
}

/// A key that makes one call of this program harmless to repeat.
pub(super) fn key() -> String {
    IdempotencyKey::random(&mut rand::rng()).to_string()
}
