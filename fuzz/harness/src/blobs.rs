//! Uploads in any order: what is there is exactly what was appended, in its order, and a blob is there
//! whole and under its own digest or not at all. A model of a few lines says what each call must give.

use std::collections::BTreeMap;
use std::time::Duration;

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_coordinator::storage::{BlobError, Blobs as _, FileBlobs, Presence, ready};

use crate::folder::fresh;
use crate::target::Seeds;

/// What blobs are about: known contents, so that digests can be right.
fn contents() -> [Vec<u8>; 4] {
    [b"one".to_vec(), (0..40).collect(), vec![], b"one more".to_vec()]
}

const OWNERS: [&str; 2] = ["east", "west"];
const MOST_CALLS: usize = 64;

/// Bytes, one after the other; zero when there are no more.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// Mostly small, sometimes at the ends of the range.
    fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=250 => u64::from(byte) % 48,
            251 => u64::MAX,
            252 => u64::MAX - 3,
            253 => 1 << 63,
            254 => u64::from(u32::MAX),
            255 => i64::MAX as u64,
        }
    }
}

/// What must be there.
#[derive(Default)]
struct Model {
    blobs: BTreeMap<Digest, Vec<u8>>,
    /// Of each owner the upload under way.
    uploads: BTreeMap<&'static str, (Digest, Vec<u8>)>,
}

impl Model {
    fn stands(&self, owner: &str, digest: Digest) -> Option<&Vec<u8>> {
        self.uploads.get(owner).filter(|(of, _)| *of == digest).map(|(_, bytes)| bytes)
    }

    fn stat(&self, owner: &str, digest: Digest) -> Presence {
        match self.blobs.get(&digest) {
            Some(bytes) => Presence::Complete(bytes.len() as u64),
            None => Presence::Partial(self.stands(owner, digest).map_or(0, Vec::len) as u64),
        }
    }

    fn append(
        &mut self,
        owner: &'static str,
        blob: BlobRef,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u64, &'static str> {
        if offset == 0 && self.stands(owner, blob.digest).is_none() {
            self.uploads.remove(owner);
        }
        let stands = self.stands(owner, blob.digest).map_or(0, Vec::len) as u64;
        if offset != stands {
            return Err("offset");
        }
        if stands + bytes.len() as u64 > blob.size {
            return Err("too long");
        }
        let upload = self.uploads.entry(owner).or_insert((blob.digest, Vec::new()));
        upload.1.extend_from_slice(bytes);
        Ok(upload.1.len() as u64)
    }

    fn finish(&mut self, owner: &'static str, blob: BlobRef) -> Result<(), &'static str> {
        let arrived = self.stands(owner, blob.digest).cloned();
        if arrived.as_ref().map_or(0, Vec::len) as u64 != blob.size {
            return Err("offset");
        }
        let bytes = arrived.ok_or("missing")?;
        self.uploads.remove(owner);
        if Digest::of(&bytes) != blob.digest {
            return Err("digest");
        }
        self.blobs.insert(blob.digest, bytes);
        Ok(())
    }
}

/// The error's kind, in the model's word.
fn kind(error: &BlobError) -> &'static str {
    match error {
        BlobError::Offset { .. } => "offset",
        BlobError::TooLong(_) => "too long",
        BlobError::Digest { .. } => "digest",
        BlobError::Missing(_) => "missing",
        BlobError::Full => "full",
        BlobError::Io { .. } => "io",
    }
}

fn word<T>(result: Result<T, BlobError>) -> Result<T, &'static str> {
    result.map_err(|error| kind(&error))
}

/// Calls, decoded from the bytes.
pub fn blobs(bytes: &[u8]) -> bool {
    let (folder, contents) = (fresh(), contents());
    let (mut tape, mut model) = (Tape(bytes), Model::default());
    let mut store = FileBlobs::open(folder.path()).unwrap();
    for _ in 0..MOST_CALLS {
        if tape.0.is_empty() {
            break;
        }
        call(&mut store, folder.path(), &mut model, &mut tape, &contents);
    }
    assert_eq!(listed(&store), model.blobs.keys().copied().collect::<Vec<_>>());
    for (digest, bytes) in &model.blobs {
        assert_eq!(&ready(store.read(*digest, 0, usize::MAX)).unwrap(), bytes);
        assert_eq!(files::digest(&store.local(*digest).unwrap()).unwrap(), *digest);
    }
    !model.blobs.is_empty()
}

fn listed(store: &FileBlobs) -> Vec<Digest> {
    let mut listed = ready(store.list()).unwrap();
    listed.sort_unstable();
    listed
}

fn call(
    store: &mut FileBlobs,
    root: &std::path::Path,
    model: &mut Model,
    tape: &mut Tape<'_>,
    contents: &[Vec<u8>],
) {
    let (what, owner, content) =
        (tape.below(10), OWNERS[tape.below(2)], &contents[tape.below(contents.len())]);
    let digest = Digest::of(content);
    // Mostly the right size.
    let size = match tape.byte() {
        0..=200 => content.len() as u64,
        _ => tape.number(),
    };
    let blob = BlobRef { digest, size };
    match what {
        0 => assert_eq!(ready(store.stat(owner, digest)).unwrap(), model.stat(owner, digest)),
        1 => {
            // The right bytes for where it stands, as far as there are some.
            let stands = model.stands(owner, digest).map_or(0, Vec::len).min(content.len());
            let end = (stands + tape.below(48)).min(content.len());
            append(store, model, owner, blob, stands as u64, &content[stands..end]);
        }
        2 => {
            let (offset, length) = (tape.number(), tape.below(48));
            append(store, model, owner, blob, offset, &vec![tape.byte(); length]);
        }
        3 | 4 => assert_eq!(word(ready(store.finish(owner, blob))), model.finish(owner, blob)),
        5 => {
            ready(store.remove(digest)).unwrap();
            model.blobs.remove(&digest);
        }
        6 => assert_eq!(listed(store), model.blobs.keys().copied().collect::<Vec<_>>()),
        7 => {
            let (offset, most) = (tape.number(), usize::try_from(tape.number()).unwrap_or(usize::MAX));
            let wanted = model.blobs.get(&digest).ok_or("missing").map(|bytes| {
                let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                rest[..rest.len().min(most)].to_vec()
            });
            assert_eq!(word(ready(store.read(digest, offset, most))), wanted);
        }
        // A restart loses nothing; what is still growing is not dropped.
        8 => {
            *store = FileBlobs::open(root).unwrap();
            ready(store.drop_stale_uploads(Duration::from_secs(3600))).unwrap();
        }
        _ => {
            let staged = store.stage().unwrap();
            std::fs::write(staged.path(), content).unwrap();
            assert_eq!(ready(store.ingest(staged)).unwrap(), BlobRef { digest, size: content.len() as u64 });
            model.blobs.insert(digest, content.clone());
        }
    }
}

fn append(
    store: &FileBlobs,
    model: &mut Model,
    owner: &'static str,
    blob: BlobRef,
    offset: u64,
    bytes: &[u8],
) {
    let found = word(ready(store.append(owner, blob, offset, bytes)));
    assert_eq!(found, model.append(owner, blob, offset, bytes), "at {offset}");
}

pub(crate) fn seeds() -> Seeds {
    // Call, owner, content, size, and what the call itself takes.
    let good = vec![
        vec![1, 0, 0, 0, 47, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 9, 6, 0, 0, 0],
        vec![1, 1, 1, 0, 20, 8, 0, 0, 0, 1, 1, 1, 0, 47, 3, 1, 1, 0, 5, 1, 1, 0, 1, 0, 0, 0, 47, 4, 0, 0, 0],
        vec![9, 0, 1, 0, 7, 0, 1, 0, 251, 255, 7, 0, 1, 0, 253, 9],
    ];
    let odd = vec![vec![2, 0, 0, 0, 0, 3, 7, 3, 0, 0, 0], (0..=255).collect()];
    Seeds { good, odd }
}
