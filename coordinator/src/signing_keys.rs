//! The file with the coordinator's signing keys. It is one file, so that a crash leaves the keys of before or
//! those of after a rotation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::files::write_atomically;
use eosfed_common::private::check_private;
use eosfed_common::secret::{Secret, exposed};
use eosfed_common::service;
use eosfed_common::signing::{CoordinatorKey, CoordinatorKeys, SigningKey};
use serde::{Deserialize, Serialize};

use crate::settings::StateFolder;

/// The credential (`LoadCredential=`) that may hold the keys in the place of `signing.json`.
const CREDENTIAL: &str = "signing.json";

/// The contents of `signing.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The private key.
    #[serde(with = "exposed")]
    private: Secret,
    /// The public keys, oldest first; the last is that of `private`.
    keys: Vec<CoordinatorKey>,
}

/// Reads the keys.
///
/// # Errors
/// If there is no file, others may read it, or it is damaged.
pub fn read(path: &Path) -> anyhow::Result<CoordinatorKeys> {
    if !service::is_credential(path) {
        check_private(path)?;
    }
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's message could repeat a part of the key.
    let Ok(Kept { private, keys }) = serde_json::from_slice(&text) else { bail!(damaged(path)) };
    let key = SigningKey::from_file(private.expose()).with_context(|| damaged(path))?;
    CoordinatorKeys::restore(key, keys).with_context(|| damaged(path))
}

fn damaged(path: &Path) -> String {
    format!("{} is damaged; copy it from a backup", path.display())
}

/// Writes the keys, for their owner only.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, keys: &CoordinatorKeys) -> anyhow::Result<()> {
    let kept = Kept { private: keys.key().to_file().clone(), keys: keys.named().to_vec() };
    let text = serde_json::to_vec_pretty(&kept)?;
    write_atomically(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the keys of a state folder, or those that the service manager has given. Gives nothing where there
/// are none.
///
/// # Errors
/// As [`read`], and if there are both.
pub fn open(state: &StateFolder) -> anyhow::Result<Option<CoordinatorKeys>> {
    let path = state.signing();
    match (service::credential(CREDENTIAL), path.exists()) {
        (Some(_), true) => bail!(
            "the signing keys are given as the credential `{CREDENTIAL}`, and {} is there too; remove one of them",
            path.display()
        ),
        (Some(given), false) => read(&given).map(Some),
        (None, true) => read(&path).map(Some),
        (None, false) => Ok(None),
    }
}

/// Reads the keys, or makes the first one where there are none.
///
/// # Errors
/// As [`open`] and [`write()`].
pub fn read_or_make(state: &StateFolder) -> anyhow::Result<CoordinatorKeys> {
    if let Some(keys) = open(state)? {
        return Ok(keys);
    }
    let path = &state.signing();
    let keys = CoordinatorKeys::new(SigningKey::generate(&mut rand::rng()));
    write(path, &keys)?;
    Ok(keys)
}

/// Replaces the key of a coordinator that is not running, with one that the present key signs.
///
/// # Errors
/// If the coordinator runs, or as [`read`] and [`write()`].
pub fn rotate(state: &StateFolder) -> anyhow::Result<CoordinatorKeys> {
    let Some(_lock) = state.take_lock()? else {
        bail!("a coordinator runs on {}; stop it first", state.0.display());
    };
    let rotated = read(&state.signing())?.rotated(SigningKey::generate(&mut rand::rng()));
    write(&state.signing(), &rotated)?;
    Ok(rotated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_read_back_and_a_damaged_file_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder(folder.path().to_owned());
        let path = state.signing();
        let made = read_or_make(&state).unwrap();
        let rotated = made.rotated(SigningKey::from_seed([7; 32]));
        write(&path, &rotated).unwrap();
        let again = read_or_make(&state).unwrap();
        assert_eq!(again.named(), rotated.named());
        assert_eq!(again.key().public(), again.named()[1].key);
        let text = fs::read_to_string(&path).unwrap();
        let private = again.key().to_file().expose().trim().to_owned();
        for bad in
            [text.replace(&private[..30], "x"), text.replace("]", ""), text.replacen("0707", "0807", 1)]
        {
            assert_ne!(bad, text);
            write_atomically(&path, bad.as_bytes()).unwrap();
            let said = format!("{:#}", read(&path).unwrap_err());
            assert!(said.contains("signing.json is damaged") && !said.contains("0707"), "{said}");
        }
        write(&path, &rotated).unwrap();
        let lock = state.take_lock().unwrap();
        assert!(rotate(&state).unwrap_err().to_string().contains("stop it first"));
        drop(lock);
        let third = rotate(&state).unwrap();
        assert_eq!(third.named()[..2], rotated.named()[..]);
        assert_eq!((third.named().len(), third.key().public()), (3, read(&path).unwrap().key().public()));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
