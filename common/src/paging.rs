//! How much of a list comes at once. The coordinator keeps to it, and `eosfed` asks for no more.

/// Entries of a page when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 50;
/// Most entries of a page.
pub const MAX_LIMIT: u32 = 500;
