//! Digests of uploads, computed while their bytes arrive, so that a finished upload is not read again for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use eosfed_common::digest::{Digest, Hasher};

/// The upload of each owner. Owners are institutions, so there are few. A restart begins anew: what had arrived before is
/// then read from its file.
#[derive(Debug, Default)]
pub(super) struct Received(Mutex<HashMap<String, Arc<Mutex<Upload>>>>);

impl Received {
    /// The upload of `owner`. Its lock is held while bytes are written and hashed, and while the upload becomes a blob:
    /// two connections of one owner could otherwise write different bytes to one place, and the file would not have the
    /// digest that was computed.
    pub(super) fn of(&self, owner: &str) -> Arc<Mutex<Upload>> {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(uploads.entry(owner.to_owned()).or_default())
    }
}

/// How far an upload is hashed.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// The announced digest, while every byte of the file was hashed.
    announced: Option<Digest>,
    bytes: u64,
    hasher: Hasher,
}

impl Upload {
    /// Hashes bytes that were written at `offset`. Those of an upload that began before the last restart, or after a
    /// write that has failed halfway, are left out, and so is what follows.
    pub(super) fn written(&mut self, announced: Digest, offset: u64, bytes: &[u8]) {
        if offset == 0 {
            *self = Self { announced: Some(announced), ..Self::default() };
        }
        if self.announced == Some(announced) && self.bytes == offset {
            self.hasher.update(bytes);
            self.bytes += bytes.len() as u64;
        } else {
            self.announced = None;
        }
    }

    /// The digest of a file of `size` bytes, if every byte of it was hashed. The next upload begins anew.
    pub(super) fn finish(&mut self, announced: Digest, size: u64) -> Option<Digest> {
        let Self { announced: hashed, bytes, hasher } = std::mem::take(self);
        (hashed == Some(announced) && bytes == size).then(|| hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_hashed_from_its_first_to_its_last_byte_has_a_digest() {
        let digest = Digest::of(b"abcdef");
        let after = |pieces: &[(u64, &[u8])]| {
            let mut upload = Upload::default();
            pieces.iter().for_each(|(offset, bytes)| upload.written(digest, *offset, bytes));
            upload.finish(digest, 6)
        };
        assert_eq!(after(&[(0, b"abc"), (3, b"def")]), Some(digest));
        assert_eq!(after(&[(0, b"xyz"), (0, b"abc"), (3, b"def")]), Some(digest), "begun again");
        assert_eq!(after(&[(0, b"abc"), (3, b"xyz")]), Some(Digest::of(b"abcxyz")));
        assert_eq!(after(&[(3, b"def")]), None, "begun before a restart");
        assert_eq!(after(&[(0, b"abc"), (4, b"ef")]), None, "a write has failed after one byte");
        assert_eq!(after(&[(0, b"ab"), (3, b"def"), (2, b"cdef")]), None, "no way back");
        assert_eq!(after(&[(0, b"abc")]), None, "bytes are missing");
        let mut upload = Upload::default();
        upload.written(Digest::of(b"other"), 0, b"abcdef");
        assert_eq!(upload.finish(digest, 6), None, "announced with another digest");
    }
}
