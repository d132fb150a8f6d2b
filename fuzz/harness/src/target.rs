//! What a target is, and what it starts from.

/// A kind of foreign bytes.
pub struct Target {
    /// Its name, for `cargo fuzz run`.
    pub name: &'static str,
    /// Reads bytes; says whether something in them was accepted. Panics at a finding.
    pub run: fn(&[u8]) -> bool,
    /// Valid inputs, made here and now, and some that nobody would write.
    pub seeds: fn() -> Seeds,
    /// Most memory that reading may take at any one time, in bytes.
    pub memory: usize,
    /// Most memory that may be asked for at once, in bytes.
    pub single: usize,
}

/// What mutations start from.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// Inputs that are accepted.
    pub good: Vec<Vec<u8>>,
    /// Inputs of kinds that changes would hardly find: lengths that lie, and what unfolds to much.
    pub odd: Vec<Vec<u8>>,
}

/// A kibibyte, in bytes.
pub(crate) const KIB: usize = 1 << 10;
/// A mebibyte, in bytes.
pub(crate) const MIB: usize = 1 << 20;
