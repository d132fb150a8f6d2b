//! The join token: one line of text that an operator gives to an institution. It has the coordinator's
//! address, the authority to trust and the one-time secret.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use eosfed_common::identity::Role;
use eosfed_common::ids::InstitutionName;
use eosfed_common::secret::{Secret, exposed};

const PREFIX: &str = "eosfed-join-v1.";
const MAX_BYTES: usize = 16 * 1024;

/// A join token. Its text is made with [`JoinToken::expose`] only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinToken {
    /// The institution that may join with it.
    pub institution: InstitutionName,
    /// As what.
    #[serde(default = "institution", skip_serializing_if = "is_institution")]
    pub role: Role,
    /// The coordinator's address, `https://HOST:PORT`.
    pub url: String,
    /// Certificate of the authority to trust, PEM.
    pub ca_pem: String,
    /// The one-time secret, 64 hexadecimal digits.
    #[serde(with = "exposed")]
    pub secret: Secret,
}

const fn institution() -> Role {
    Role::Institution
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_institution(role: &Role) -> bool {
    *role == Role::Institution
}

impl JoinToken {
    /// The token as text, for the person who gives it to the institution.
    #[must_use]
    pub fn expose(&self) -> String {
        let json = serde_json::to_vec(self).expect("a token is plain data");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

/// The text is not a join token. The error never shows the text, which may be a mistyped secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token: {0}; ask the operator for a new one with `eosfed institution invite`")]
pub struct InvalidJoinToken(&'static str);

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        // Mail programs and terminals fold long lines.
        let text: String = text.split_whitespace().collect();
        if text.len() > MAX_BYTES {
            return Err(InvalidJoinToken("it is too long"));
        }
        let encoded =
            text.strip_prefix(PREFIX).ok_or(InvalidJoinToken("it does not start with `eosfed-join-v1.`"))?;
        let json =
            URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidJoinToken("it is damaged or cut short"))?;
        serde_json::from_slice(&json).map_err(|_| InvalidJoinToken("its contents are damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_parse_back_from_text_and_hide_their_secret() {
        let token = JoinToken {
            institution: "west".parse().unwrap(),
            role: Role::Institution,
            url: "https://127.0.0.1:7443".to_owned(),
            ca_pem: "-----BEGIN CERTIFICATE-----".to_owned(),
            secret: Secret::new("5ec7".repeat(16)),
        };
        assert_eq!(format!(" {}\n", token.expose()).parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("5ec7"));
        let text = token.expose();
        let folded: Vec<_> = text.as_bytes().chunks(20).map(|part| str::from_utf8(part).unwrap()).collect();
        assert_eq!(folded.join("\r\n  ").parse(), Ok(token));
        for bad in ["", "hello", PREFIX, &text[..text.len() - 5], &text.replace('W', "!")] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }
}
