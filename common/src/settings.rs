//! Configuration files: read as TOML, unknown keys refused, errors that name the file.
//!
//! Each program defines its own settings type; secrets do not belong in these files.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::toml_text;

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not valid. The message has line and key.
    #[error("{path}: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a TOML file into `T`, which should deny unknown fields.
///
/// # Errors
/// If the file cannot be read, is not TOML, or does not fit `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    toml_text::from_str(&text)
        .map_err(|error| SettingsError::Invalid { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        port: u16,
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        assert!(load::<Sample>(&path).unwrap_err().to_string().contains("c.toml"));
        std::fs::write(&path, "port = 1\nprot = 2\n").unwrap();
        let error = load::<Sample>(&path).unwrap_err().to_string();
        assert!(error.contains("c.toml") && error.contains("prot"), "{error}");
        std::fs::write(&path, "port = 1\n").unwrap();
        assert!(load::<Sample>(&path).is_ok());
    }
}
