//! A live view on standard output: redrawn in place on a terminal, lines of what has changed elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::{Term, truncate_str};

use crate::outln;
use crate::stdout::print;

/// The size that is assumed of a terminal that does not say.
const USUAL: (u16, u16) = (24, 80);

/// The place of a live view.
#[derive(Debug)]
pub struct Screen {
    terminal: Option<Term>,
    /// Lines of the view that is shown.
    shown: usize,
    columns: u16,
    said: BTreeMap<String, String>,
}

impl Screen {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let terminal = Some(Term::stdout()).filter(Term::is_term);
        Self { terminal, shown: 0, columns: 0, said: BTreeMap::new() }
    }

    /// The columns of the terminal; nothing if standard output is none.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        self.terminal.as_ref().map(|terminal| size(terminal).1.into())
    }

    /// Shows these lines in the place of the ones before. Lines that do not fit are left out, and said.
    pub fn draw(&mut self, lines: &[String]) {
        let Some(terminal) = &self.terminal else { return };
        let (rows, columns) = size(terminal);
        // A terminal that has become narrower or wider has moved the lines: their place is not known.
        let lost = self.shown > 0 && columns != self.columns;
        let start = if lost { "\x1b[2J\x1b[H".to_owned() } else { up(self.shown) };
        let (text, shown) = frame(lines, rows, columns);
        (self.shown, self.columns) = (shown, columns);
        print(format_args!("{start}{text}"));
    }

    /// Prints the lines that differ from the ones with the same key before; a key that is gone is forgotten.
    pub fn say(&mut self, lines: Vec<(String, String)>) {
        let lines: BTreeMap<_, _> = lines.into_iter().collect();
        for line in changed(&self.said, &lines) {
            outln!("{line}");
        }
        self.said = lines;
    }
}

fn size(terminal: &Term) -> (u16, u16) {
    terminal.size_checked().filter(|(rows, columns)| *rows > 1 && *columns > 1).unwrap_or(USUAL)
}

/// To the first column of the line so many lines above.
fn up(lines: usize) -> String {
    if lines == 0 { "\r".to_owned() } else { format!("\r\x1b[{lines}A") }
}

/// The lines that fit, each over what stood there, and how many they are. The last row stays free for the
/// cursor.
fn frame(lines: &[String], rows: u16, columns: u16) -> (String, usize) {
    let room = usize::from(rows - 1);
    let fits = lines.len() <= room;
    let kept = if fits { lines.len() } else { room - 1 };
    let mut text = String::new();
    let more =
        (!fits).then(|| format!("… and {} more lines; a higher window shows them", lines.len() - kept));
    for line in lines[..kept].iter().chain(&more) {
        let line = truncate_str(line, usize::from(columns), "…");
        let _ = writeln!(text, "{line}\x1b[K");
    }
    text.push_str("\x1b[J");
    (text, kept + usize::from(!fits))
}

fn changed<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a String> {
    now.iter().filter(|(key, line)| before.get(*key) != Some(line)).map(|(_, line)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("line {at}")).collect()
    }

    #[test]
    fn a_view_that_is_too_high_says_how_much_is_missing() {
        assert_eq!(frame(&lines(2), 24, 80), ("line 0\x1b[K\nline 1\x1b[K\n\x1b[J".to_owned(), 2));
        assert_eq!(frame(&lines(23), 24, 80).1, 23);
        let (text, shown) = frame(&lines(24), 24, 80);
        assert_eq!((shown, text.lines().count()), (23, 24));
        assert!(text.contains("line 21\x1b[K\n… and 2 more lines"), "{text}");
        assert_eq!(frame(&lines(5), 2, 80).1, 1);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let (text, _) = frame(&["é".repeat(100), "x".repeat(80)], 24, 80);
        assert!(text.starts_with(&format!("{}…\x1b[K\n{}\x1b[K", "é".repeat(79), "x".repeat(80))), "{text}");
    }

    #[test]
    fn only_what_has_changed_is_said() {
        let one = |key: &str, line: &str| (key.to_owned(), line.to_owned());
        let before = [one("east", "online"), one("west", "online")].into();
        let now = [one("east", "silent"), one("north", "online"), one("west", "online")].into();
        assert_eq!(changed(&before, &now).collect::<Vec<_>>(), ["silent", "online"]);
    }
}
