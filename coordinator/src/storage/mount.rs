//! A small file system in memory that tests can fill.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A file system that is mounted until it is dropped.
pub(super) struct Mount(PathBuf);

impl Mount {
    /// Mounts a file system of this size over a folder. Nothing if mounting is not allowed.
    pub(super) fn tmpfs(path: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        if !mounted {
            let test = std::thread::current();
            println!("skipped: {}: mounting is not allowed here", test.name().unwrap_or_default());
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Fills the disk up to this number of free bytes.
    pub(super) fn fill(&self, leave: u64) {
        let mut file = fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![7; size];
            while self.free() >= leave + size as u64 && file.write_all(&block).is_ok() {}
        }
    }

    /// Frees the space again, and waits until it is free: a process that another test is starting has the
    /// file open until its `exec`.
    pub(super) fn free_up(&self) {
        let filled = fs::metadata(self.filler()).unwrap().len();
        let wanted = self.free() + filled / 2;
        fs::remove_file(self.filler()).unwrap();
        let started = Instant::now();
        while self.free() < wanted {
            assert!(started.elapsed() < Duration::from_secs(30), "the space is not free");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn free(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        stat.blocks_available() * stat.fragment_size()
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
