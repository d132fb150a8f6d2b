//! The identity in a certificate: a role and a name in one URI of the subject alternative names,
//! `urn:eosfed:ROLE:NAME`. The authority sets it; it is never taken from a signing request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use eosfed_common::ids::InstitutionName;

/// The role of a certificate's holder.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Runs the federation.
    Operator,
    /// Takes part with its own imagery.
    Institution,
    /// Uses releases.
    Reader,
}

impl Role {
    /// Its name in certificates and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A role and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The role of the holder.
    pub role: Role,
    /// The name of the holder. Operators and readers follow the same rule for names as institutions.
    pub name: InstitutionName,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:eosfed:{}:{}", self.role, self.name)
    }
}

/// The text or the certificate has no identity of this system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate carries no `urn:eosfed:ROLE:NAME` identity")]
pub struct NoIdentity;

impl FromStr for Identity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, NoIdentity> {
        let rest = text.strip_prefix("urn:eosfed:").ok_or(NoIdentity)?;
        let (role, name) = rest.split_once(':').ok_or(NoIdentity)?;
        let role = role.parse().map_err(|_| NoIdentity)?;
        Ok(Self { role, name: name.parse().map_err(|_| NoIdentity)? })
    }
}

impl Identity {
    /// Reads the identity of a DER certificate whose chain has been verified.
    ///
    /// # Errors
    /// If it carries none, or more than one.
    pub fn of_certificate(der: &[u8]) -> Result<Self, NoIdentity> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity)?;
        let names = certificate.subject_alternative_name().map_err(|_| NoIdentity)?.ok_or(NoIdentity)?;
        let mut found = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.parse::<Self>().ok(),
            _ => None,
        });
        match (found.next(), found.next()) {
            (Some(identity), None) => Ok(identity),
            _ => Err(NoIdentity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_parse_back_from_text() {
        let identity: Identity = "urn:eosfed:institution:west".parse().unwrap();
        assert_eq!(identity.role, Role::Institution);
        assert_eq!(identity.to_string().parse(), Ok(identity));
        for bad in ["", "urn:eosfed:root:west", "urn:eosfed:institution:We st", "urn:eosfed:institution"] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
        assert_eq!(Identity::of_certificate(b"not a certificate"), Err(NoIdentity));
    }
}
