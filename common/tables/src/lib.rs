//! Tables and text for people. No line is wider than the terminal, and words stay whole.

mod sheet;
mod wrap;

use console::Term;
use eosfed_common::stdout::PIPED_COLUMNS;

pub use sheet::Sheet;
pub use wrap::wrapped;

/// The columns of the terminal that standard output is; `None` if it is none or does not say.
#[must_use]
pub fn terminal_columns() -> Option<usize> {
    let terminal = Term::stdout();
    terminal.size_checked().filter(|_| terminal.is_term()).map(|(_, columns)| columns.into())
}

/// The columns of a line on standard output: those of the terminal, or the bound for other programs.
pub(crate) fn columns() -> usize {
    terminal_columns().unwrap_or_else(|| PIPED_COLUMNS.into())
}
