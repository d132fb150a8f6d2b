//! Identifiers, each with a type of its own, so that a job is never taken for a release.
//!
//! Every id is text that a person can read in a log and type into a command. Values are made by parsing only,
//! so they are always well formed.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::{Secret, exposed};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {what}: {rule}")]
pub struct InvalidId {
    /// The kind of id that was expected.
    pub what: &'static str,
    /// The rule that was broken.
    pub rule: &'static str,
    /// The value found, shortened and escaped.
    pub value: String,
}

fn invalid(what: &'static str, rule: &'static str, value: &str) -> InvalidId {
    InvalidId { what, rule, value: value.chars().take(80).flat_map(char::escape_default).collect() }
}

const NAME_RULE: &str = "use 1 to 40 lower-case letters, digits and inner hyphens, starting with a letter";

fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(invalid($what, $rule, text)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// A partner with private imagery: `west`, `univ-ghent`. Also the identity in its certificate.
    InstitutionName, "an institution name", NAME_RULE, is_name
);
text_id!(
    /// The name of a specialist in the registry: `west-rgb`.
    SpecialistName, "a specialist name", NAME_RULE, is_name
);
text_id!(
    /// The name of a data set of an institution: `coast`. Plans can ask for it.
    DataSetName, "a data set name", NAME_RULE, is_name
);
text_id!(
    /// A submitted job: `j-` and eight hexadecimal digits.
    JobId, "a job id", "use `j-` and eight lower-case hexadecimal digits",
    |text| text.strip_prefix("j-").is_some_and(|rest| is_lower_hex(rest, 8))
);
text_id!(
    /// The key that makes a call idempotent: 32 hexadecimal digits chosen by the caller.
    IdempotencyKey, "an idempotency key", "use 32 lower-case hexadecimal digits", |text| is_lower_hex(text, 32)
);

fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl JobId {
    /// Draws a new id.
    pub fn random(rng: &mut impl rand::Rng) -> Self {
        Self(format!("j-{:08x}", rng.random::<u32>()))
    }
}

/// The proof of holding a lease: 32 hexadecimal digits, known to the coordinator and one institution. It is
/// not printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct LeaseToken(#[serde(with = "exposed")] Secret);

impl LeaseToken {
    /// Draws a new token. The generator must be cryptographically secure, except in tests.
    pub fn random(rng: &mut impl rand::Rng) -> Self {
        Self(Secret::new(format!("{:032x}", rng.random::<u128>())))
    }

    /// The token as text, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for LeaseToken {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_lower_hex(text, 32) {
            return Ok(Self(Secret::new(text.to_owned())));
        }
        // It may be a mistyped token, so the value is not shown.
        let value = format!("[{} characters]", text.chars().count());
        Err(InvalidId { what: "a lease token", rule: "use 32 lower-case hexadecimal digits", value })
    }
}

impl TryFrom<String> for LeaseToken {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl IdempotencyKey {
    /// Draws a new key.
    pub fn random(rng: &mut impl rand::Rng) -> Self {
        Self(format!("{:032x}", rng.random::<u128>()))
    }
}

/// One institution's share of one attempt at one round: `j-0a1b2c3d.2.1.west`
/// (job, round from 0, attempt from 1, institution).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AssignmentId {
    /// The job.
    pub job: JobId,
    /// The round within the job, from 0.
    pub round: u32,
    /// The attempt at that round, from 1.
    pub attempt: u32,
    /// The institution.
    pub institution: InstitutionName,
}

impl fmt::Display for AssignmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.job, self.round, self.attempt, self.institution)
    }
}

impl FromStr for AssignmentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || invalid("an assignment id", "use JOB.ROUND.ATTEMPT.INSTITUTION", text);
        let mut parts = text.splitn(4, '.');
        let mut next = || parts.next().ok_or_else(bad);
        let job = next()?.parse().map_err(|_| bad())?;
        let round = next()?.parse().map_err(|_| bad())?;
        let attempt = next()?.parse().map_err(|_| bad())?;
        let institution = next()?.parse().map_err(|_| bad())?;
        Ok(Self { job, round, attempt, institution })
    }
}

impl TryFrom<String> for AssignmentId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<AssignmentId> for String {
    fn from(id: AssignmentId) -> String {
        id.to_string()
    }
}

/// One version of a specialist: `west-rgb@2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct SpecialistVersion {
    /// Its name.
    pub name: SpecialistName,
    /// Its version, from 1.
    pub version: u32,
}

impl fmt::Display for SpecialistVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for SpecialistVersion {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || invalid("a version of a specialist", "use NAME@VERSION, with a version from 1", text);
        let (name, number) = text.split_once('@').ok_or_else(bad)?;
        let name = name.parse().map_err(|_| bad())?;
        let version: u32 = number.parse().map_err(|_| bad())?;
        // `1` has one spelling: not `01`, not `+1`.
        if version == 0 || version.to_string() != number { Err(bad()) } else { Ok(Self { name, version }) }
    }
}

impl TryFrom<String> for SpecialistVersion {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<SpecialistVersion> for String {
    fn from(id: SpecialistVersion) -> String {
        id.to_string()
    }
}

/// The number of an ensemble release, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseNumber(pub u32);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn names_follow_the_rule() {
        for good in ["west", "a", "univ-ghent-2"] {
            assert_eq!(good.parse::<InstitutionName>().unwrap().as_str(), good);
        }
        for bad in ["", "West", "-west", "west-", "2west", "we st", "../west", &"a".repeat(41)] {
            let error = bad.parse::<InstitutionName>().unwrap_err();
            assert!(error.to_string().contains("lower-case letters"), "{error}");
        }
    }

    #[test]
    fn assignment_ids_parse_back_from_text() {
        let text = "j-0a1b2c3d.2.1.univ-ghent";
        assert_eq!(text.parse::<AssignmentId>().unwrap().to_string(), text);
        for bad in ["j-0a1b2c3d.2.west", "j-0a1b2c3d.x.1.west", "j-0A1b2c3d.2.1.west", ""] {
            assert!(bad.parse::<AssignmentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_of_specialists_have_one_spelling() {
        let text = "west-rgb@12";
        assert_eq!(text.parse::<SpecialistVersion>().unwrap().to_string(), text);
        for bad in [
            "",
            "west",
            "@1",
            "west@",
            "west@0",
            "west@01",
            "west@+1",
            "west@1@2",
            "West@1",
            "west@4294967296",
        ] {
            let error = bad.parse::<SpecialistVersion>().unwrap_err().to_string();
            assert!(error.contains("NAME@VERSION"), "{bad}: {error}");
        }
    }

    #[test]
    fn random_ids_are_well_formed_and_follow_the_seed() {
        let mut one = ChaCha8Rng::seed_from_u64(1);
        let mut same = ChaCha8Rng::seed_from_u64(1);
        let job = JobId::random(&mut one);
        assert_eq!(job, JobId::random(&mut same));
        assert_eq!(job.as_str().parse(), Ok(job));
        let token = LeaseToken::random(&mut one);
        assert_eq!(token.expose().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(token.expose()));
        let wrong = "0123456789".parse::<LeaseToken>().unwrap_err().to_string();
        assert!(!wrong.contains("0123"), "{wrong}");
    }

    #[test]
    fn hostile_text_is_shortened_and_escaped_in_errors() {
        let error = "\u{1b}[31m".repeat(1000).parse::<JobId>().unwrap_err();
        assert!(error.value.len() < 700 && !error.value.contains('\u{1b}'));
    }
}
