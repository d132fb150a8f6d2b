//! The protocol version, and the check that two programs have the same. Its message is the same on both sides
//! of a call.

use eosfed_proto::v1::ProtocolVersion;

use eosfed_common::refusal::{Reason, Refusal};

/// The protocol that this version speaks.
pub const PROTOCOL: ProtocolVersion = ProtocolVersion::ProtocolVersion2;
/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Longest version that is shown in a message, in characters.
const MAX_VERSION: usize = 40;

/// Checks the protocol and the version of the peer. `own` and `other` are the displayed names of the two
/// programs, such as `coordinator` and `client`.
///
/// # Errors
/// [`Reason::Incompatible`] with the program to update.
pub fn agree(own: &str, other: &str, protocol: i32, version: &str) -> Result<(), Refusal> {
    let ours = i32::from(PROTOCOL);
    if protocol == ours {
        return Ok(());
    }
    let version = shown(version);
    let (what, late) = match protocol {
        0 => ("no protocol".to_owned(), other),
        newer if newer > ours => (format!("protocol {newer}"), own),
        older => (format!("protocol {older}"), other),
    };
    let message = format!(
        "the {other} (version {version}) speaks {what}, this {own} (version {VERSION}) speaks protocol {ours}; \
         update the {late}"
    );
    Err(Refusal::new(Reason::Incompatible, message))
}

/// The version of the peer, escaped for display.
#[must_use]
pub fn shown(version: &str) -> String {
    if version.is_empty() {
        return "unknown".to_owned();
    }
    version.chars().take(MAX_VERSION).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_program_is_named() {
        let ours = i32::from(PROTOCOL);
        assert_eq!(agree("coordinator", "client", ours, "0.1.0"), Ok(()));
        assert_eq!(agree("coordinator", "client", ours, "another version"), Ok(()));
        for (protocol, version, behind) in [
            (0, "", "the client"),
            (ours + 1, "9.9.9", "the coordinator"),
            (-7, "0.0.1\n\u{1b}[31m", "the client"),
        ] {
            let refusal = agree("coordinator", "client", protocol, version).unwrap_err();
            assert_eq!(refusal.reason, Reason::Incompatible);
            assert!(refusal.message.ends_with(&format!("update {behind}")), "{refusal}");
            assert!(!refusal.message.contains(char::is_control), "{refusal:?}");
        }
    }
}
