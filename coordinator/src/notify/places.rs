//! How far each receiver is: a small file in the state folder. It is no record of the store: a copy of the
//! state folder goes on where its notifications were.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use eosfed_common::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::conditions::ConditionKey;
use super::settings::ReceiverName;

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// How far a receiver is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The first event of the ledger that it may not have been told of.
    pub(super) next: u64,
    /// The conditions that it was told of and that may still hold.
    #[serde(default)]
    pub(super) told: Vec<ConditionKey>,
}

/// How far all receivers are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Places {
    pub(super) receivers: BTreeMap<ReceiverName, Place>,
}

impl Places {
    /// Reads the file. One that cannot be read is said, and everybody is told from now on only.
    pub(super) fn read(path: &Path) -> Self {
        match try_read(path) {
            Ok(places) => places,
            Err(why) => {
                tracing::warn!(
                    file = %path.display(), why,
                    "cannot read how far the notifications are; what has happened before this start is not told"
                );
                Self::default()
            }
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        write_atomically(path, &serde_json::to_vec(self)?)
    }

    /// The place of a receiver in a ledger that ends at `end`. A new receiver is told of what happens from now
    /// on, and so is one of a longer ledger, from before a backup was restored.
    pub(super) fn of(&mut self, name: &ReceiverName, end: u64) -> Place {
        let place = self.receivers.remove(name).unwrap_or(Place { next: end, told: Vec::new() });
        if place.next > end {
            tracing::warn!(
                receiver = %name, next = place.next, end,
                "the ledger is shorter than it was when notifications were sent last; they go on from its end"
            );
        }
        Place { next: place.next.min(end), ..place }
    }
}

fn try_read(path: &Path) -> Result<Places, String> {
    let size = match path.metadata() {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Places::default()),
        Err(error) => return Err(error.to_string()),
    };
    if size > MAX_BYTES {
        return Err(format!("it has {size} bytes, at most {MAX_BYTES} are expected"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::event::NotifyEvent;

    #[test]
    fn a_place_is_read_back_and_never_lies_behind_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notifications.json");
        assert_eq!(Places::read(&path), Places::default());
        let name: ReceiverName = "ops".to_owned().try_into().unwrap();
        let told = vec![ConditionKey { event: NotifyEvent::DiskLow, about: "disk".to_owned() }];
        let place = Place { next: 7, told };
        let places = Places { receivers: [(name.clone(), place.clone())].into() };
        places.write(&path).unwrap();
        assert_eq!(Places::read(&path), places);
        assert_eq!(places.clone().of(&name, 9), place);
        assert_eq!(places.clone().of(&name, 3).next, 3, "a restored ledger");
        assert_eq!(Places::default().of(&name, 9).next, 9, "a new receiver");
        for damaged in ["", "{\"receivers\":{\"ops\":{}}}", "[]"] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(Places::read(&path), Places::default(), "{damaged}");
        }
    }
}
