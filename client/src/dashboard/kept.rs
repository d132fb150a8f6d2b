//! Files that have left and are still here. What is given out are the very bytes of the digest in the log: the
//! file is hashed before its first byte goes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::PathBuf;

use eosfed_common::digest::Hasher;
use eosfed_common::ids::AssignmentId;

use crate::journal::{Journal as _, SiteJournal};
use crate::site::Site;
use crate::site_log::Sending;
use crate::state::{Outcome, State};

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 16;

/// Where the file of a record may be: in the hands of the daemon, or withheld after an upload was cut off.
fn places(site: &Site, assignment: &AssignmentId, sending: &Sending) -> Vec<PathBuf> {
    let mut places = vec![site.withheld(assignment)];
    for journal in SiteJournal::all(site) {
        if let Ok(State::Submitting { held, outcome: Outcome::Update(update) }) = journal.load()
            && held.assignment.id == *assignment
            && Some(update.weights.digest) == sending.weights
        {
            places.push(update.file);
        }
    }
    places
}

/// Whether a file of this size is where the file of a record would be.
pub(super) fn looks_kept(site: &Site, assignment: &AssignmentId, sending: &Sending) -> bool {
    let has_size =
        |path: &PathBuf| path.metadata().is_ok_and(|it| it.is_file() && Some(it.len()) == sending.bytes);
    places(site, assignment, sending).iter().any(has_size)
}

/// The file of a record, at its begin, with its number of bytes. Its digest is the one in the log.
pub(super) fn open(
    site: &Site,
    assignment: &AssignmentId,
    sending: &Sending,
) -> io::Result<Option<(File, u64)>> {
    for path in places(site, assignment, sending) {
        let Ok(mut file) = File::open(&path) else { continue };
        let size = file.metadata()?.len();
        if Some(size) != sending.bytes {
            continue;
        }
        let mut hasher = Hasher::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hasher.update(&chunk[..read]);
        }
        if Some(hasher.finish()) == sending.weights {
            file.rewind()?;
            return Ok(Some((file, size)));
        }
    }
    Ok(None)
}
