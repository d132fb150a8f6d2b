//! Tables that break no word: where the terminal is too narrow for that, each row is a block of lines.

use std::fmt::{self, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::{Term, measure_text_width};
use eosfed_common::stdout::PIPED_COLUMNS;

/// Longest word that a column is kept wide enough for; longer ones, such as digests, may be broken.
const LONGEST: usize = 26;
/// Columns that a cell takes beside its text.
const PADDING: usize = 2;

/// A table with titles of its columns.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    pub(super) fn new(titles: &[&str]) -> Self {
        Self { titles: titles.iter().map(|title| (*title).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are titles.
    pub(crate) fn add_row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_header(&self.titles);
        table.add_rows(&self.rows);
        table
    }

    /// The width that each column needs for its longest word.
    fn needed(&self) -> Vec<usize> {
        let longest = |text: &String| {
            text.split_whitespace().map(measure_text_width).max().unwrap_or_default().min(LONGEST)
        };
        let column = |(at, title): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.chain([title]).map(longest).max().unwrap_or_default() + PADDING
        };
        self.titles.iter().enumerate().map(column).collect()
    }

    /// The table for a terminal of this width.
    fn within(&self, width: usize) -> String {
        let needed = self.needed();
        if needed.iter().sum::<usize>() > width {
            return self.blocks();
        }
        let mut table = self.table();
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for (column, least) in table.column_iter_mut().zip(needed) {
            let least = u16::try_from(least).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
        table.to_string()
    }

    /// Each row as lines, a title with its cell in each.
    fn blocks(&self) -> String {
        let wide = self.titles.iter().map(|title| measure_text_width(title)).max().unwrap_or_default();
        let mut text = String::new();
        for row in &self.rows {
            for (title, cell) in self.titles.iter().zip(row) {
                let _ = writeln!(text, "{title:wide$}  {}", cell.replace('\n', " "));
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terminal = Term::stdout();
        match terminal.size_checked().filter(|_| terminal.is_term()) {
            Some((_, columns)) => f.write_str(&self.within(columns.into())),
            None => f.write_str(&self.within(PIPED_COLUMNS.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(&["institution", "last seen", "data set"]);
        sheet.add_row(["university-of-the-coast", "3 min ago", "land cover of the coast and its islands"]);
        sheet.add_row(["west", "2 days ago", "crops"]);
        sheet
    }

    #[test]
    fn words_stay_whole_on_narrow_terminals() {
        for width in [60, 80, 200] {
            let text = sheet().within(width);
            assert!(text.contains("university-of-the-coast"), "{text}");
            assert!(text.lines().all(|line| measure_text_width(line) <= width), "{width}:\n{text}");
        }
        assert!(sheet().within(200).lines().any(|line| line.contains("coast and its islands")));
    }

    #[test]
    fn rows_are_blocks_where_words_would_be_broken() {
        let text = sheet().within(36);
        assert!(text.contains("institution  university-of-the-coast\nlast seen    3 min ago\n"), "{text}");
        assert!(text.contains("\n\ninstitution  west\n") && text.ends_with("data set     crops"), "{text}");
    }

    #[test]
    fn a_table_for_another_program_is_bounded_too() {
        let mut sheet = Sheet::new(&["institution", "says"]);
        sheet.add_row(["west".to_owned(), "a word ".repeat(60)]);
        // Standard output of a test is no terminal.
        let text = sheet.to_string();
        assert!(text.lines().all(|line| measure_text_width(line) <= usize::from(PIPED_COLUMNS)), "{text}");
        assert_eq!(text.matches("word").count(), 60, "{text}");
    }

    #[test]
    fn a_digest_may_be_broken() {
        let mut sheet = sheet();
        sheet.add_row(["east", "now", &"a".repeat(64)]);
        let text = sheet.within(80);
        assert!(text.lines().all(|line| measure_text_width(line) <= 80), "{text}");
        assert!(!text.contains("institution  east"), "{text}");
    }
}
