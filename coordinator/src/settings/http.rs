//! The table `http` of `coordinator.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use eosfed_common::loopback::LoopbackAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// The listener for monitoring and the dashboard: `/healthz`, `/readyz`, `/metrics` and pages, over HTTP. An
/// address that other machines can reach needs TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The address to listen on. Port 0 takes a free port.
    #[serde(default = "default_listen")]
    #[schemars(extend("x-rule" = "an address of the machine's loopback interface, or any with `http.tls`"))]
    pub listen: SocketAddr,
    /// TLS. Everything but `/healthz` then needs a certificate of an operator or a reader, or a session of the
    /// dashboard.
    #[serde(default)]
    pub tls: Option<HttpTlsSettings>,
}

/// The certificate of the listener. Without keys in this table it is the coordinator's own, for `names`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTlsSettings {
    /// Another certificate with the authorities between, PEM, such as one that browsers know. It is read at
    /// the start.
    #[serde(default)]
    #[schemars(extend("x-rule" = "an absolute path, beside `key`"))]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM. Nobody but its owner may read the file.
    #[serde(default)]
    #[schemars(extend("x-rule" = "an absolute path, beside `certificate`"))]
    pub key: Option<PathBuf>,
}

const fn default_listen() -> SocketAddr {
    LoopbackAddress::localhost(7444).get()
}

impl HttpSettings {
    /// Checks what the parser cannot.
    ///
    /// # Errors
    /// A sentence with the key, the rule and the value found.
    fn check(&self) -> Result<(), String> {
        let Some(HttpTlsSettings { certificate, key }) = &self.tls else {
            let checked = LoopbackAddress::try_from(self.listen);
            return checked
                .map(drop)
                .map_err(|error| format!("`http.listen`: {error}, or give it TLS with `[http.tls]`"));
        };
        if certificate.is_some() != key.is_some() {
            return Err(
                "`http.tls` has one of `certificate` and `key`; give both, or none for the coordinator's own"
                    .to_owned(),
            );
        }
        match [certificate, key].into_iter().flatten().find(|path| !path.is_absolute()) {
            Some(path) => {
                Err(format!("the paths of `http.tls` must be absolute, found `{}`", path.display()))
            }
            None => Ok(()),
        }
    }
}

/// Reads the table and checks it.
///
/// # Errors
/// If it is not valid.
pub(super) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HttpSettings>, D::Error> {
    let settings = HttpSettings::deserialize(deserializer)?;
    settings.check().map_err(serde::de::Error::custom)?;
    Ok(Some(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        #[serde(default, deserialize_with = "checked")]
        http: Option<HttpSettings>,
    }

    fn read(text: &str) -> Result<Option<HttpSettings>, String> {
        toml::from_str::<File>(text).map(|file| file.http).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_that_others_reach_needs_tls() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("[http]").unwrap().unwrap().listen, default_listen());
        for address in ["0.0.0.0:7444", "[::]:7444", "192.0.2.1:7444"] {
            let said = read(&format!("[http]\nlisten = \"{address}\"")).unwrap_err();
            assert!(
                said.contains("has no TLS") && said.contains(address) && said.contains("[http.tls]"),
                "{said}"
            );
            let with = read(&format!("[http]\nlisten = \"{address}\"\n[http.tls]")).unwrap().unwrap();
            assert_eq!(with.tls, Some(HttpTlsSettings { certificate: None, key: None }));
        }
    }

    #[test]
    fn a_certificate_has_its_key_and_both_have_absolute_paths() {
        let with = |keys: &str| read(&format!("[http.tls]\n{keys}"));
        assert!(with("certificate = \"/a.pem\"\nkey = \"/k.pem\"").is_ok());
        let said = with("certificate = \"/a.pem\"").unwrap_err();
        assert!(said.contains("one of `certificate` and `key`"), "{said}");
        let said = with("certificate = \"/a.pem\"\nkey = \"k.pem\"").unwrap_err();
        assert!(said.contains("must be absolute, found `k.pem`"), "{said}");
        assert!(with("password = \"x\"").is_err());
    }
}
