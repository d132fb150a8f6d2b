//! The pages of the dashboard, as HTML made from the views of [`eosfed_common::view`]: the same documents
//! that `--output json` prints. Everything is pure: the present time is an argument, and nothing is read
//! or written.
//!
//! Text is escaped by `maud`. Text that people or institutions have written is isolated in `<bdi>`, so that
//! its direction ends with it. There are no inline styles and no inline scripts: a page works under
//! `default-src 'none'; script-src 'self'; style-src 'self'`.

pub mod assets;
mod chart;
mod format;
mod layout;
pub mod page;
mod parts;
mod words;

pub use layout::{NavEntry, Shell};
pub use maud::Markup;
