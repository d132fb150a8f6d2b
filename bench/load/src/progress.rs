//! Bars that say how far the measurement is.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A bar with this name; `template` is what stands after it.
pub(crate) fn bar(bars: &MultiProgress, what: &str, length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{what:<12} {{wide_bar}} {template}"));
    let bar = ProgressBar::new(length).with_style(style.expect("the template is well formed"));
    bars.add(bar)
}

/// How many of how many.
pub(crate) const COUNTED: &str = "{pos}/{len}";
/// The same in bytes, with their rate.
pub(crate) const IN_BYTES: &str = "{bytes}/{total_bytes}, {bytes_per_sec}";
