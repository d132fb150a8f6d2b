//! `[backup]` of `coordinator.toml`.

use std::path::PathBuf;

use age::x25519::Recipient;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// The table `[backup]` of `coordinator.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSettings {
    /// Where `eosfed-coordinator backup` without `--to` makes a folder for each backup, on another disk than
    /// the state folder.
    pub folder: Option<PathBuf>,
    /// Public age keys to which backups are encrypted; the private key of any one of them decrypts a backup.
    /// Without any, backups are not encrypted.
    #[serde(deserialize_with = "recipients")]
    #[schemars(with = "Vec<String>", extend("x-rule" = "public keys of age, `age1…`"))]
    pub recipients: Vec<Recipient>,
    /// How many whole backups are kept in `folder`, the newest of them.
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: u16,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self { folder: None, recipients: Vec::new(), keep: 14 }
    }
}

/// Reads a public key of age.
///
/// # Errors
/// With the text, if it is not one.
pub fn recipient(text: &str) -> Result<Recipient, String> {
    text.trim()
        .parse()
        .map_err(|error| format!("`{}` is not a public age key (age1…): {error}", text.escape_debug()))
}

fn recipients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Recipient>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| recipient(text).map_err(serde::de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_public_keys_only() {
        let read = |key: &str| toml::from_str::<BackupSettings>(&format!("recipients = [{key:?}]"));
        let key = age::x25519::Identity::generate();
        assert_eq!(read(&key.to_public().to_string()).unwrap().recipients, [key.to_public()]);
        for wrong in ["", "age1", "ssh-ed25519 AAAA"] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("not a public age key"), "{said}");
        }
    }
}
