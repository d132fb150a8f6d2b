//! The embedded backend: sled 0.34, one transaction over all trees for each commit.
//!
//! sled keeps its first I/O error until it is opened again: after one full disk, nothing could be written
//! until a restart, even with free space. So a commit begins only if the disk has free space and blocks are
//! allocated after the end of the file. After a failure the database is opened again at once, or before the
//! next commit.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Db, Tree as SledTree};
use strum::IntoEnumIterator as _;

use super::StoreError;
use super::trees::{Tree, Trees, Visit, Write};

pub(super) const SCHEMA_KEY: &str = "schema";
/// Bytes that must be free before a commit: more than sled writes at once, which is a few segments of its log
/// and a snapshot of its page table.
pub const RESERVE: u64 = 32 << 20;

/// A sled database.
#[derive(Debug)]
pub struct SledTrees {
    path: PathBuf,
    reserve: u64,
    state: RwLock<State>,
}

#[derive(Debug)]
enum State {
    Open(Database),
    /// It has failed and could not be opened again. The interrupted write may be in it or not.
    Failed {
        why: StoreError,
        pending: Vec<Write>,
    },
}

/// Bytes that are allocated after the end of the database's file, more than a commit writes.
const AHEAD: u64 = 8 << 20;
/// The unit of a file's block count, stat(2).
const BLOCK: u64 = 512;

/// Most bytes of pages that sled keeps in memory; its own default is 1 GiB. The records of the present
/// state are in memory apart from it.
const CACHE: u64 = 16 << 20;

/// How long to wait for the lock, and the time between two tries.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Whether sled says that the database is locked; it has no kind of error for that.
fn is_lock(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Opens the database in the folder `path`, or makes it. Waits for a short time while it is locked: a process
/// that is being started has the lock file open until its `exec`.
pub(super) fn open(path: &Path) -> Result<Db, StoreError> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE);
    let started = Instant::now();
    loop {
        remove_unfinished_snapshots(path).map_err(|error| backend(&sled::Error::Io(error)))?;
        match config.open() {
            Err(sled::Error::Io(error)) if is_lock(&error) && started.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            opened => return opened.map_err(|error| backend(&error)),
        }
    }
}

/// Removes snapshots of the page table that a killed process has not finished. sled 0.34 takes such a file for
/// a snapshot, finds it damaged, and never opens the database again: it leaves out another ending than the one
/// that it writes. The last finished snapshot and the log have everything. Whoever has sled's lock may be
/// writing one, so nothing is removed then.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let Ok(file) = File::open(path.join("db")) else { return Ok(()) };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    for entry in path.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(file = %entry.path().display(), "an unfinished snapshot is removed");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) db: Db,
    trees: BTreeMap<Tree, SledTree>,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::of(open(path)?)
    }

    /// The trees of an open database. Missing trees are made.
    pub(super) fn of(db: Db) -> Result<Self, StoreError> {
        let named = |tree: Tree| Ok((tree, db.open_tree(tree.name()).map_err(|error| backend(&error))?));
        let trees = Tree::iter().map(named).collect::<Result<_, StoreError>>()?;
        Ok(Self { db, trees })
    }

    pub(super) fn tree(&self, tree: Tree) -> &SledTree {
        &self.trees[&tree]
    }

    /// Writes records, and entries of the database itself, in one transaction.
    pub(super) fn write(&self, writes: &[Write], own: &[(&str, String)]) -> Result<(), StoreError> {
        let trees: Vec<&SledTree> = self.trees.values().chain([&*self.db]).collect();
        let places: BTreeMap<Tree, usize> = self.trees.keys().copied().zip(0..).collect();
        let done = trees.as_slice().transaction(|trees| {
            for Write { tree, key, value } in writes {
                let Some(into) = places.get(tree).and_then(|place| trees.get(*place)) else { continue };
                match value {
                    Some(value) => drop(into.insert(key.as_bytes(), value.as_slice())?),
                    None => drop(into.remove(key.as_bytes())?),
                }
            }
            for (key, value) in own {
                if let Some(into) = trees.last() {
                    into.insert(key.as_bytes(), value.as_bytes())?;
                }
            }
            Ok::<_, ConflictableTransactionError<()>>(())
        });
        match done {
            Ok(()) => {}
            Err(TransactionError::Storage(error)) => return Err(backend(&error)),
            Err(TransactionError::Abort(())) => {
                return Err(StoreError::Backend("the transaction was aborted".to_owned()));
            }
        }
        self.db.flush().map_err(|error| backend(&error))?;
        Ok(())
    }

    /// Whether all writes are stored. A transaction is stored as a whole or not at all.
    fn holds(&self, writes: &[Write]) -> Result<bool, StoreError> {
        // The last of several writes of one record.
        let last: BTreeMap<_, _> =
            writes.iter().map(|write| ((write.tree, &write.key), write.value.as_deref())).collect();
        for ((tree, key), value) in last {
            if self.tree(tree).get(key).map_err(|error| backend(&error))?.as_deref() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl SledTrees {
    pub(super) fn new(path: &Path, reserve: u64, database: Database) -> Self {
        Self { path: path.to_owned(), reserve, state: RwLock::new(State::Open(database)) }
    }

    fn read<T>(&self, look: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let state: RwLockReadGuard<'_, State> = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(database) => look(database),
            State::Failed { why, .. } => Err(why.clone()),
        }
    }

    fn check_room(&self) -> Result<(), StoreError> {
        let free = statvfs(&self.path).map(|stat| stat.blocks_available() * stat.fragment_size());
        let free = free.map_err(|error| StoreError::Backend(format!("{}: {error}", self.path.display())))?;
        if free < self.reserve { Err(StoreError::Full) } else { Ok(()) }
    }
}

impl SledTrees {
    /// Allocates blocks of the disk after the end of the database's file. A commit then cannot fail on a full
    /// disk, whatever other programs write meanwhile. After such a failure, sled would read its partial write
    /// as damage when it is opened again.
    fn allocate_ahead(&self) -> Result<(), StoreError> {
        let path = self.path.join("db");
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Backend(format!("cannot reserve room for {}: {error}", path.display())),
        };
        let file = File::options().write(true).open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let length = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        if metadata.blocks() * BLOCK >= metadata.len() + AHEAD / 2 {
            return Ok(());
        }
        match fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, length, AHEAD as i64) {
            // Some file systems do not support this; they have only the reserve.
            Ok(()) | Err(Errno::EOPNOTSUPP) => Ok(()),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Trees for SledTrees {
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|database| {
            let found = database.tree(tree).get(key).map_err(|error| backend(&error))?;
            Ok(found.map(|bytes| bytes.to_vec()))
        })
    }

    fn scan(&self, tree: Tree, from: &str, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read(|database| {
            for entry in database.tree(tree).range(from..) {
                let (key, value) = entry.map_err(|error| backend(&error))?;
                if !visit(&String::from_utf8_lossy(&key), &value)? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn last(&self, tree: Tree) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        self.read(|database| {
            let found = database.tree(tree).last().map_err(|error| backend(&error))?;
            Ok(found.map(|(key, value)| (String::from_utf8_lossy(&key).into_owned(), value.to_vec())))
        })
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.check_room()?;
        self.allocate_ahead()?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let gone = State::Failed {
            why: StoreError::Backend("a write has panicked".to_owned()),
            pending: Vec::new(),
        };
        let before = std::mem::replace(&mut *state, gone);
        let (after, done) = match before {
            State::Open(database) => self.write_or_reopen(database, writes),
            State::Failed { why, pending } => match self.reopen(&pending) {
                Ok((database, false)) => self.write_or_reopen(database, writes),
                // The caller was told that the write had failed.
                Ok((_, true)) => {
                    (State::Failed { why: StoreError::Diverged, pending }, Err(StoreError::Diverged))
                }
                Err(error) => (State::Failed { why, pending }, Err(error)),
            },
        };
        *state = after;
        done
    }

    fn migrated_from(&self) -> Result<Option<u32>, StoreError> {
        self.read(|database| {
            let found = database.db.get(MIGRATED_KEY).map_err(|error| backend(&error))?;
            Ok(found.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()))
        })
    }
}

impl SledTrees {
    /// Writes. After a failure, the database is opened again to see whether the write is in it.
    fn write_or_reopen(&self, database: Database, writes: Vec<Write>) -> (State, Result<(), StoreError>) {
        let Err(error) = database.write(&writes, &[]) else { return (State::Open(database), Ok(())) };
        tracing::error!(%error, "the store has failed; it is opened again");
        drop(database);
        match self.reopen(&writes) {
            Ok((database, written)) => (State::Open(database), if written { Ok(()) } else { Err(error) }),
            Err(why) => {
                tracing::error!(%why, "the store cannot be opened again; the next change tries again");
                (State::Failed { why: why.clone(), pending: writes }, Err(error))
            }
        }
    }

    /// Opens the database again, and checks whether the interrupted write is in it.
    fn reopen(&self, pending: &[Write]) -> Result<(Database, bool), StoreError> {
        let database = Database::open(&self.path)?;
        let written = !pending.is_empty() && database.holds(pending)?;
        Ok((database, written))
    }
}

/// The key of the schema from which the store was migrated when the ledger began.
pub(super) const MIGRATED_KEY: &str = "migrated_from";

pub(super) fn backend(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            StoreError::Full
        }
        other => StoreError::Backend(other.to_string()),
    }
}
