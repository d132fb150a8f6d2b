//! A page.

/// A page of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its file in `docs/reference`.
    pub file: String,
    /// Its Markdown.
    pub text: String,
}
