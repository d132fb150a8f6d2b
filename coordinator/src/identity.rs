//! The folder with which a person calls the coordinator: key, certificate, whom to trust and where.
//! `init` makes the first; the `eosfed` command reads it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eosfed_common::net::authority::KeyAndCertificate;
use eosfed_common::weights::write_atomically;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    url: String,
}

/// An identity folder.
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
    /// If a file is missing.
    pub fn read(&self) -> anyhow::Result<PersonalIdentity> {
        if !self.0.join("key.pem").exists() {
            bail!(
                "{} holds no identity; name the folder `operator` of the coordinator's state folder with \
                 `--identity DIR` or EOSFED_IDENTITY",
                self.0.display()
            );
        }
        let pair = KeyAndCertificate {
            key_pem: self.text("key.pem")?,
            certificate_pem: self.text("certificate.pem")?,
        };
        let settings: Where = eosfed_common::settings::load(&self.0.join("coordinator.toml"))?;
        Ok(PersonalIdentity { pair, ca_pem: self.text("ca.pem")?, url: settings.url })
    }

    /// Writes the folder, which must exist.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, pair: &KeyAndCertificate, ca_pem: &str, url: &str) -> anyhow::Result<()> {
        self.put("key.pem", &pair.key_pem)?;
        self.put("certificate.pem", &pair.certificate_pem)?;
        self.put("ca.pem", ca_pem)?;
        self.point(url)
    }

    /// Says where the coordinator is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn point(&self, url: &str) -> anyhow::Result<()> {
        let text = toml::to_string(&Where { url: url.to_owned() })?;
        self.put("coordinator.toml", &text)
    }

    fn text(&self, name: &str) -> anyhow::Result<String> {
        let path = self.0.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path: &Path = &self.0.join(name);
        write_atomically(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }
}
