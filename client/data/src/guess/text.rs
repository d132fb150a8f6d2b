//! Names in TOML, in sentences and in comments.

use std::path::Path;

/// Most texts of a kind that are listed.
pub(super) const LISTED: usize = 20;

pub(super) fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path for a sentence or a comment, which a character such as a line end would leave.
pub(super) fn shown(path: &Path) -> String {
    cut(&path.to_string_lossy())
}

/// The same of a text.
pub(super) fn cut(text: &str) -> String {
    /// Most characters that are shown.
    const MOST: usize = 100;
    let start: String = text.chars().take(MOST).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{}{more}", start.escape_debug())
}

/// A few of several texts, for a sentence.
pub(super) fn few<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut texts = texts.into_iter();
    let some: Vec<String> =
        texts.by_ref().take(LISTED).map(|text| format!("`{}`", cut(text.as_ref()))).collect();
    let more = texts.count();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", some.join(", "))
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quoted(&text)).collect();
    format!("[{}]", quoted.join(", "))
}
