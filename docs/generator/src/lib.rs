//! The pages of `docs/reference`, made from the types that the programs read their files with and
//! from the table of reasons. A page lists every key with its type, default, rule and meaning, and
//! ends with an example that sets every key and that the program's own parser accepts.
//!
//! Beside the pages are the JSON Schemas of what `eosfed` prints.
//!
//! The pages are committed, so that they can be read without a build; a test compares them.

mod exit_codes;
mod imagery;
mod keys;
mod metrics;
mod page;
mod reasons;
mod render;
mod schemas;
mod sources;

use std::path::{Path, PathBuf};

pub use page::Page;

/// The folder `docs/reference` of this checkout.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("reference")
}

/// All pages.
///
/// # Errors
/// If a key has no description, an example lacks a key, or the program's parser refuses an example.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for source in sources::all() {
        pages.push(render::page(&source)?);
    }
    pages.push(reasons::page()?);
    pages.push(metrics::page()?);
    pages.push(exit_codes::page()?);
    pages.push(imagery::page()?);
    pages.extend(schemas::pages()?);
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_match_the_types() {
        for page in pages().unwrap() {
            let path = folder().join(page.file);
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == page.text, "{} is out of date; run `make reference`", path.display());
        }
    }
}
