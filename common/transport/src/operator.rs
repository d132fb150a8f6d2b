//! Calling the coordinator as an operator or as a user of releases: the identity folder that
//! `eosfed-coordinator init` makes, and the connection that uses it.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use eosfed_common::ids::JobId;
use eosfed_common::private::{NotPrivate, check_private};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::settings::{self, SettingsError};
use eosfed_common::signing::{CoordinatorKey, NotEndorsed, PinnedKeys};
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use serde::{Deserialize, Serialize};
use tonic::{Response, Status};

use crate::channel::{ChannelError, ChannelOptions, Transport, open_with};
use crate::identity_files::{FileError, IdentityFiles};
use crate::keys::KeyAndCertificate;
use crate::meter::Meter;
use crate::protocol::{PROTOCOL, VERSION, agree};
use crate::status::from_status;
use crate::wire::coordinator_keys;

/// The file of an identity folder with the coordinator's signing keys.
const PINNED: &str = "coordinator-keys.json";
/// The file of an identity folder with the coordinator's address.
const ADDRESS: &str = "coordinator.toml";
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Why an identity folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It has no key.
    #[error(
        "{folder} holds no identity; name the folder `operator` of the coordinator's state folder with \
         `--identity DIR` or EOSFED_IDENTITY",
        folder = folder.display()
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// It is the state folder of `eosfed-client`.
    #[error(
        "{folder} is the state folder of an institution, which `eosfed-client` uses; name a person's folder, such as \
         `operator` of the coordinator's state folder, with `--identity DIR` or EOSFED_IDENTITY",
        folder = folder.display()
    )]
    OfInstitution {
        /// The folder.
        folder: PathBuf,
    },
    /// Others may read its key.
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    /// A file of it cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The coordinator's address cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The coordinator's address cannot be written.
    #[error("the coordinator's address cannot be written: {0}")]
    Address(#[from] toml::ser::Error),
    /// The file of the coordinator's signing keys is damaged.
    #[error("{path} is damaged: {reason}; join again", path = path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The coordinator names a key that no known key has signed.
    #[error(transparent)]
    NotEndorsed(#[from] NotEndorsed),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    url: String,
}

/// An identity folder: key, certificate, the authority to trust and the coordinator's address.
#[derive(Debug, Clone)]
pub struct IdentityFolder(pub PathBuf);

/// The contents of an identity folder.
#[derive(Clone)]
pub struct PersonalIdentity {
    /// Key and certificate.
    pub pair: KeyAndCertificate,
    /// Certificate of the authority to trust.
    pub ca_pem: String,
    /// Address of the coordinator.
    pub url: String,
}

impl IdentityFolder {
    /// Reads the folder.
    ///
    /// # Errors
    /// If a file is missing or cannot be read.
    pub fn read(&self) -> Result<PersonalIdentity, IdentityError> {
        let key = self.0.join("key.pem");
        match key.try_exists() {
            Ok(true) => check_private(&key)?,
            Ok(false) => return Err(IdentityError::Missing { folder: self.0.clone() }),
            Err(source) => return Err(FileError { action: "read", path: key, source }.into()),
        }
        let address = self.0.join(ADDRESS);
        if !address.exists() && self.0.join("client.toml").exists() {
            return Err(IdentityError::OfInstitution { folder: self.0.clone() });
        }
        let (pair, ca_pem) = IdentityFiles(&self.0).read()?;
        let Address { url } = settings::load(&address)?;
        Ok(PersonalIdentity { pair, ca_pem, url })
    }

    /// Writes the folder, which must exist.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, pair: &KeyAndCertificate, ca_pem: &str, url: &str) -> Result<(), IdentityError> {
        self.replace(pair, ca_pem)?;
        self.set_url(url)
    }

    /// Replaces the key, its certificate and the certificates of the authority; a crash leaves the old ones
    /// or the new ones.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn replace(&self, pair: &KeyAndCertificate, ca_pem: &str) -> Result<(), IdentityError> {
        Ok(IdentityFiles(&self.0).replace(pair, ca_pem)?)
    }

    /// Locks the folder for a replacement. Gives nothing if another program holds the lock.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn lock(&self) -> Result<Option<File>, IdentityError> {
        let path = self.0.join("lock");
        let failed = |source| FileError { action: "write", path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// Writes the coordinator's address.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_url(&self, url: &str) -> Result<(), IdentityError> {
        let text = toml::to_string(&Address { url: url.to_owned() })?;
        Ok(IdentityFiles(&self.0).put(ADDRESS, &text)?)
    }

    /// The coordinator's signing keys, as far as they are known.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn pinned(&self) -> Result<PinnedKeys, IdentityError> {
        let path = self.0.join(PINNED);
        if !path.exists() {
            return Ok(PinnedKeys::default());
        }
        let text = IdentityFiles(&self.0).text(PINNED)?;
        serde_json::from_str(&text).map_err(|error| IdentityError::Keys { path, reason: error.to_string() })
    }

    /// Takes the keys that the coordinator names, if they follow from those that are known.
    ///
    /// # Errors
    /// If one does not, or a file cannot be read or written.
    pub fn pin(&self, named: &[CoordinatorKey]) -> Result<(), IdentityError> {
        let known = self.pinned()?;
        let extended = known.extended(named)?;
        if extended == known {
            return Ok(());
        }
        let json = |error: serde_json::Error| IdentityError::Keys {
            path: self.0.join(PINNED),
            reason: error.to_string(),
        };
        Ok(IdentityFiles(&self.0).put(PINNED, &serde_json::to_string_pretty(&extended).map_err(json)?)?)
    }
}

/// A connection to the coordinator with an identity.
pub struct Connection {
    /// The client for blobs.
    pub transport: Transport,
    /// The client for everything else.
    pub operator: OperatorClient<Transport>,
    url: String,
    /// The job that a call has begun, for the trace of the command.
    pub begun: Option<JobId>,
}

impl Connection {
    /// Prepares a connection. Nothing is sent yet.
    ///
    /// # Errors
    /// If the identity's address, key or certificates cannot be used.
    pub fn open(options: &ChannelOptions, identity: &PersonalIdentity) -> Result<Self, ChannelError> {
        let PersonalIdentity { pair, ca_pem, url } = identity;
        let transport = open_with(options, url, ca_pem, Some(pair), Meter::default())?;
        let operator = OperatorClient::new(transport.clone()).max_decoding_message_size(MAX_ANSWER);
        Ok(Self { transport, operator, url: url.clone(), begun: None })
    }

    /// Exchanges versions and checks that they are compatible. Gives the signing keys that the coordinator
    /// names.
    ///
    /// # Errors
    /// [`Reason::Incompatible`] with the program to update, or the coordinator's refusal.
    pub async fn exchange_versions(&mut self) -> Result<Vec<CoordinatorKey>, Refusal> {
        let request = v1::OperatorHelloRequest { protocol: PROTOCOL.into(), version: VERSION.to_owned() };
        let answer = self.operator.hello(request).await;
        let v1::OperatorHelloResponse { protocol, version, name: _, role: _, coordinator_keys: keys } =
            self.answer(answer)?;
        agree("`eosfed` command", "coordinator", protocol, &version)?;
        Ok(coordinator_keys(keys)?)
    }

    /// The answer to a call, or the refusal for its status or for a missing answer.
    ///
    /// # Errors
    /// The coordinator's refusal; [`Reason::Unavailable`] with its address when it does not answer.
    pub fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Refusal> {
        answer.map(Response::into_inner).map_err(|status| self.explain(&status))
    }

    fn explain(&self, status: &Status) -> Refusal {
        let refusal = from_status(status);
        if refusal.reason != Reason::Unavailable {
            return refusal;
        }
        // If the certificate is the problem, the coordinator is running.
        let running = if refusal.message.contains("certificate") {
            ""
        } else {
            "; is `eosfed-coordinator serve` running?"
        };
        let message =
            format!("the coordinator at {} does not answer: {}{running}", self.url, refusal.message);
        Refusal::new(Reason::Unavailable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_an_institution_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        let identity = IdentityFolder(folder.path().to_owned());
        assert!(matches!(identity.read(), Err(IdentityError::Missing { .. })));
        for name in ["key.pem", "client.toml"] {
            IdentityFiles(folder.path()).put(name, "").unwrap();
        }
        let said = identity.read().map(drop).unwrap_err().to_string();
        assert!(said.contains("state folder of an institution") && said.contains("--identity"), "{said}");
        // A folder that is both is a person's.
        identity.set_url("https://localhost:1").unwrap();
        assert!(!matches!(identity.read(), Err(IdentityError::OfInstitution { .. })));
    }
}
