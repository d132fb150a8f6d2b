//! The contract of a backend for a record store: ordered trees of text keys and JSON values, written in one
//! transaction.

use std::fmt;

use strum::IntoEnumIterator as _;
use strum::{EnumIter, EnumString, IntoStaticStr};

use super::StoreError;

/// The kinds of records. Their names are those of the trees in a database and in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, EnumIter, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Tree {
    /// Institutions, by name.
    Institutions,
    /// Operators and readers, by role and name.
    People,
    /// The constant part of a job, by its id.
    Jobs,
    /// The changing part of a job, by its id.
    JobStates,
    /// Closed rounds, by job, round and attempt.
    Rounds,
    /// Training curves, by job, round, attempt and institution.
    Curves,
    /// Specialists, by name and version.
    Specialists,
    /// Releases, by number.
    Releases,
    /// Ablations of heads over releases, by release and name of the head.
    Ablations,
    /// The ledger, by sequence.
    Events,
    /// Records that did not read back, by tree and key.
    Quarantine,
    /// Documents that a migration has taken out of records, by digest, until the next start has made blobs
    /// of them.
    Documents,
}

impl Tree {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The names of all trees.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::iter().map(Self::name)
    }
}

/// One record to be written, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Its tree.
    pub tree: Tree,
    /// Its key there.
    pub key: String,
    /// The record's bytes; absent to remove it.
    pub value: Option<Vec<u8>>,
}

impl Write {
    pub(super) const fn put(tree: Tree, key: String, value: Vec<u8>) -> Self {
        Self { tree, key, value: Some(value) }
    }

    pub(super) const fn remove(tree: Tree, key: String) -> Self {
        Self { tree, key, value: None }
    }
}

/// A visitor of records: tree, key and bytes.
pub type Each<'a> = dyn FnMut(Tree, &str, &[u8]) -> Result<(), StoreError> + 'a;

/// A visitor of records: key and bytes. It returns whether to continue.
pub(super) type Visit<'a> = dyn FnMut(&str, &[u8]) -> Result<bool, StoreError> + 'a;

/// A backend.
pub trait Trees: fmt::Debug + Send + Sync + 'static {
    /// A record's bytes.
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the records with keys from `from` on, in order, as long as the visitor returns `true`.
    fn scan(&self, tree: Tree, from: &str, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The record with the last key.
    fn last(&self, tree: Tree) -> Result<Option<(String, Vec<u8>)>, StoreError>;

    /// Writes all records durably, or none.
    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// The schema from which the records were migrated by the first version with a ledger, if they were.
    fn migrated_from(&self) -> Result<Option<u32>, StoreError>;
}
