//! Which versions of the contract two programs speak, and the sentence for people when they do not
//! understand each other: the same on both sides of a call.

use eosfed_proto::v1::ProtocolVersion;

use eosfed_common::refusal::{Reason, Refusal};

/// The protocol that this release speaks.
pub const PROTOCOL: ProtocolVersion = ProtocolVersion::ProtocolVersion2;
/// This release.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Longest name of a release that is repeated to people, in characters.
const MAX_RELEASE: usize = 40;

/// Checks the protocol that the other end has named, with the release that it says it is of. `own` and
/// `other` are what people call the two programs, such as `coordinator` and `client`.
///
/// # Errors
/// [`Reason::Incompatible`] with who has to install what.
pub fn agree(own: &str, other: &str, protocol: i32, release: &str) -> Result<(), Refusal> {
    let ours = i32::from(PROTOCOL);
    if protocol == ours {
        return Ok(());
    }
    let release = shown(release);
    let (what, late) = match protocol {
        0 => ("no protocol".to_owned(), other),
        newer if newer > ours => (format!("protocol {newer}"), own),
        older => (format!("protocol {older}"), other),
    };
    let message = format!(
        "the {other} (release {release}) speaks {what}, this {own} (release {RELEASE}) speaks protocol {ours}; \
         update the {late}"
    );
    Err(Refusal::new(Reason::Incompatible, message))
}

/// A release's name as the other end gives it, fit to be shown.
#[must_use]
pub fn shown(release: &str) -> String {
    if release.is_empty() {
        return "unknown".to_owned();
    }
    release.chars().take(MAX_RELEASE).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_that_is_behind_is_named() {
        let ours = i32::from(PROTOCOL);
        assert_eq!(agree("coordinator", "client", ours, "0.1.0"), Ok(()));
        assert_eq!(agree("coordinator", "client", ours, "another release"), Ok(()));
        for (protocol, release, behind) in [
            (0, "", "the client"),
            (ours + 1, "9.9.9", "the coordinator"),
            (-7, "0.0.1\n\u{1b}[31m", "the client"),
        ] {
            let refusal = agree("coordinator", "client", protocol, release).unwrap_err();
            assert_eq!(refusal.reason, Reason::Incompatible);
            assert!(refusal.message.ends_with(&format!("update {behind}")), "{refusal}");
            assert!(!refusal.message.contains(char::is_control), "{refusal:?}");
        }
    }
}
