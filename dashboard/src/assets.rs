//! The files beside the pages: one style sheet and one script.

use std::sync::LazyLock;

use eosfed_common::digest::Digest;

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Its path below the root of the pages.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its contents.
    pub text: &'static str,
}

/// The style sheet.
pub static STYLE: Asset = Asset {
    path: "/assets/style.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};
/// The script that replaces what has changed. Pages work without it.
pub static SCRIPT: Asset = Asset {
    path: "/assets/live.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/live.js"),
};
/// The icon of a page.
pub static ICON: Asset =
    Asset { path: "/assets/icon.svg", media_type: "image/svg+xml", text: include_str!("assets/icon.svg") };

/// All files.
pub static ALL: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];

/// Differs whenever a file does, so that browsers keep no old one.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = ALL.iter().map(|asset| asset.text).collect();
    Digest::of(all.as_bytes()).to_string().chars().skip("sha256:".len()).take(12).collect()
});

impl Asset {
    /// The address that pages use, with the version of the files.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}?v={}", self.path, *VERSION)
    }
}
