//! A small file system in memory that tests can fill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::succeed;

/// A file system that is mounted until dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a file system of this size over a folder, for its owner only. Nothing if mounting is not allowed.
    pub fn tmpfs(path: &Path, size: &str) -> Option<Self> {
        let option = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }

    /// Changes its size.
    pub fn resize(&self, size: &str) {
        succeed(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The unmount is lazy, since a program that uses it may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
