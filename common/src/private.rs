//! Folders and files that only their owner may use: keys, journals, leases and what lies beside them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// Others than the owner may use a folder or a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is open to other users of this machine (mode {mode:04o}), and holds secrets; run `chmod {wanted:o} {path}`",
    path = path.display()
)]
pub struct NotPrivate {
    /// The folder or file.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The permissions that it must have.
    pub wanted: u32,
}

/// A folder or a file belongs to another user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} belongs to user {owner}, and this program runs as user {user}; run it as user {owner}, or run \
     `chown -R {user} {path}` as root",
    path = path.display()
)]
pub struct NotOwned {
    /// The folder or file.
    pub path: PathBuf,
    /// The number of its owner.
    pub owner: u32,
    /// The number of this program's user.
    pub user: u32,
}

/// Checks that a folder or a file belongs to this program's user: what it writes there would otherwise not be
/// readable for its owner. One that does not exist passes.
///
/// # Errors
/// With the commands that correct it.
pub fn check_owner(path: &Path) -> Result<(), NotOwned> {
    let Ok(found) = path.metadata() else { return Ok(()) };
    owned(path, found.uid(), nix::unistd::geteuid().as_raw())
}

fn owned(path: &Path, owner: u32, user: u32) -> Result<(), NotOwned> {
    if owner == user {
        return Ok(());
    }
    Err(NotOwned { path: path.to_owned(), owner, user })
}

/// Makes a folder, and its parents where they are missing, with mode 0700.
///
/// # Errors
/// Whatever the file system gives.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Checks that nobody but its owner may use a folder or a file. One that does not exist passes.
///
/// # Errors
/// With the command that corrects it.
pub fn check_private(path: &Path) -> Result<(), NotPrivate> {
    let Ok(found) = path.metadata() else { return Ok(()) };
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let wanted = if found.is_dir() { 0o700 } else { 0o600 };
    Err(NotPrivate { path: path.to_owned(), mode, wanted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_others_may_use_is_named_with_the_command_that_corrects_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        create_private_folder(&state).unwrap();
        assert_eq!(check_private(&state), Ok(()));
        let key = state.join("key.pem");
        fs::write(&key, "secret").unwrap();
        for (path, mode, command) in [(&state, 0o750, "chmod 700"), (&key, 0o604, "chmod 600")] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let said = check_private(path).unwrap_err().to_string();
            assert!(said.contains(command) && said.contains(&format!("{mode:04o}")), "{said}");
        }
        assert_eq!(check_private(&state.join("missing")), Ok(()));
    }

    #[test]
    fn what_belongs_to_another_user_is_named_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check_owner(folder.path()), Ok(()));
        let said = owned(folder.path(), 1234, 5678).unwrap_err().to_string();
        assert!(said.contains("user 1234") && said.contains("chown -R 5678"), "{said}");
    }
}
