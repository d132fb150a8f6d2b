//! The page of exit codes.

use std::fmt::Write as _;

use eosfed_common::exit::CODES;

use crate::page::Page;

const INTRODUCTION: &str = "\
# Exit codes

Programs end with a code of this table. The codes stay what they are between versions. The units in
`deploy/systemd` start a program again only where another try may do better.

| code | programs | meaning | another try may do better |
| --- | --- | --- | --- |
";

/// The page.
///
/// # Errors
/// None in practice.
pub(crate) fn page() -> anyhow::Result<Page> {
    let mut text = INTRODUCTION.to_owned();
    for code in CODES {
        let again = if code.try_again { "yes" } else { "no" };
        writeln!(text, "| {} | {} | {} | {again} |", code.code, code.programs, code.meaning)?;
    }
    Ok(Page { file: "exit-codes.md".to_owned(), text })
}
