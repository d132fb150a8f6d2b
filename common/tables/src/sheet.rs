//! Tables that break no word: where the terminal is too narrow for that, each row is a block of lines.

use std::fmt::{self, Write as _};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::measure_text_width;

use crate::wrap::wrapped;

/// Longest word that a column is kept wide enough for; longer ones, such as digests, may be broken.
const LONGEST: usize = 26;
/// Columns between the texts of two cells: a space that belongs to the left one, and one of the table.
const BETWEEN: usize = 2;
/// Columns of a line of a block at least, however long the titles are.
const NARROWEST: usize = 20;

/// A table with titles of its columns.
#[derive(Debug, Clone)]
pub struct Sheet {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A table without rows.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        Self { titles: titles.iter().map(|title| (*title).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are titles.
    pub fn add_row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_header(&self.titles);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        table
    }

    /// The width of the longest word of each column.
    fn needed(&self) -> Vec<usize> {
        let longest = |text: &String| {
            text.split_whitespace().map(measure_text_width).max().unwrap_or_default().min(LONGEST)
        };
        let column = |(at, title): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.chain([title]).map(longest).max().unwrap_or_default()
        };
        self.titles.iter().enumerate().map(column).collect()
    }

    /// The table for a terminal of this width.
    #[must_use]
    pub fn within(&self, width: usize) -> String {
        let needed = self.needed();
        // The last column has its space too.
        let between = (needed.len() * BETWEEN).saturating_sub(1);
        if needed.iter().sum::<usize>() + between > width {
            return self.blocks(width);
        }
        let mut table = self.table();
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for (column, least) in table.column_iter_mut().zip(needed) {
            // A constraint is of the text with its padding.
            let least = u16::try_from(least + 1).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
        table.to_string()
    }

    /// Each row as lines, a title with its cell in each.
    fn blocks(&self, width: usize) -> String {
        let wide = self.titles.iter().map(|title| measure_text_width(title)).max().unwrap_or_default();
        let mut text = String::new();
        for row in &self.rows {
            for (title, cell) in self.titles.iter().zip(row) {
                let room = width.saturating_sub(wide + BETWEEN).max(NARROWEST);
                let lines = wrapped(&cell.replace('\n', " "), room);
                for (title, line) in std::iter::once(title.as_str()).chain(std::iter::repeat("")).zip(lines) {
                    let _ = writeln!(text, "{title:wide$}  {line}");
                }
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(crate::columns()))
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::stdout::PIPED_COLUMNS;

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
    fn a_table_is_no_wider_than_its_terminal_and_a_table_as_long_as_words_fit() {
        // As of `eosfed job list`.
        let mut sheet = Sheet::new(&["job", "name", "kind", "state", "round", "submitted", "made"]);
        let job =
            ["j-0a1b2c3d", "land-cover", "one-shot", "completed", "1 of 1", "3 min ago", "2 specialists"];
        sheet.add_row(job);
        let least = "j-0a1b2c3dland-coverone-shotcompletedroundsubmittedspecialists".len() + 6 * 2 + 1;
        for width in least..100 {
            let text = sheet.within(width);
            assert!(text.lines().all(|line| measure_text_width(line) <= width), "{width}:\n{text}");
            assert!(
                job[..4].iter().all(|word| text.contains(word)) && text.contains("specialists"),
                "{text}"
            );
            assert!(text.contains('═'), "{width}: blocks\n{text}");
        }
        assert!(sheet.within(least - 1).contains("job        j-0a1b2c3d\n"), "{}", sheet.within(least - 1));
    }

    #[test]
    fn rows_are_blocks_where_words_would_be_broken() {
        let text = sheet().within(36);
        assert!(text.contains("institution  university-of-the-coast\nlast seen    3 min ago\n"), "{text}");
        assert!(
            text.contains("\ndata set     land cover of the coast\n             and its islands\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| measure_text_width(line) <= 36), "{text}");
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
        assert!(!text.contains("institution  east"), "no block: {text}");
    }
}
