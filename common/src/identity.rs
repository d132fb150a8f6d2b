//! Who calls the coordinator: a role and a name, written `urn:eosfed:ROLE:NAME`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::ids::InstitutionName;
use crate::ledger::Actor;

/// The role of a certificate's holder.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Takes part with its own imagery.
    Institution,
    /// Runs the federation.
    Operator,
    /// Uses releases.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name in certificates and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A role and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The role of the holder.
    pub role: Role,
    /// The name of the holder. Operators and readers follow the same rule for names as institutions.
    pub name: InstitutionName,
}

impl Identity {
    /// An institution of this name.
    #[must_use]
    pub const fn institution(name: InstitutionName) -> Self {
        Self { role: Role::Institution, name }
    }

    /// Role and name as people read them, such as `operator ada`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} `{}`", self.role, self.name)
    }
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

/// The caller as the ledger names it.
impl From<Identity> for Actor {
    fn from(Identity { role, name }: Identity) -> Self {
        match role {
            Role::Institution => Self::Institution(name),
            Role::Operator => Self::Operator(name),
            Role::Reader => Self::Reader(name),
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
    }

    #[test]
    fn the_ledger_names_callers_by_role_and_name() {
        for role in Role::ALL {
            let identity = Identity { role: *role, name: "ada".parse().unwrap() };
            assert_eq!(Actor::from(identity).to_string(), format!("{role}:ada"));
        }
    }
}
