//! What commands print besides their results.

use comfy_table::{CellAlignment, Table};
use eosfed_common::counted::counted;
use eosfed_common::stdout::print_warning;
use eosfed_common::{outln, printed};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    outln!("{}", printed::pretty(value)?);
    Ok(())
}

/// Says what may be wrong about a result, on standard error.
pub(super) fn warn_of(warnings: &[String]) {
    warnings.iter().for_each(|warning| print_warning(format_args!("{warning}")));
}

/// Names the files that were left out, on standard error.
pub(super) fn warn_of_skipped(skipped: &[String]) {
    if !skipped.is_empty() {
        let reasons: String = skipped.iter().map(|reason| format!("\n  {reason}")).collect();
        let (files, were) = (counted(skipped.len(), "file"), if skipped.len() == 1 { "was" } else { "were" });
        print_warning(format_args!("{files} cannot be read and {were} left out:{reasons}"));
    }
}

/// Aligns all columns of numbers to the right; the first column holds names.
pub(super) fn align_numbers(table: &mut Table) {
    for column in 1..table.column_count() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A progress bar such as `mapping ━━━━ 3/20 windows  5s`.
pub(super) fn progress_bar(verb: &str, unit: &str) -> anyhow::Result<ProgressBar> {
    let template = format!("{verb} {{wide_bar}} {{pos}}/{{len}} {unit}  {{msg}} {{eta}}");
    Ok(ProgressBar::no_length().with_style(ProgressStyle::with_template(&template)?))
}

/// Moves a progress bar.
pub(super) fn advance(bar: &ProgressBar, done: usize, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
}
