//! Text from outside that people may be shown: of a bounded length, and without characters that steer a
//! terminal, begin a line of a log, or show text in another order than it has.

use std::fmt;
use std::ops::RangeInclusive;

/// Longest name of a job, a release or a licence, in bytes.
pub const MAX_NAME: usize = 80;
/// Longest name of a band, a class or a unit, in bytes.
pub const MAX_WORD: usize = 64;
/// Most characters that are repeated of a text that is refused.
const MAX_SHOWN: usize = 80;

/// Such a text. Parsing or escaping is the only way in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Printable(String);

/// Why a text is not printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPrintable {
    /// It has too few or too many bytes.
    #[error("{least} to {most} bytes, found `{found}`")]
    Length {
        /// Fewest bytes.
        least: usize,
        /// Most bytes.
        most: usize,
        /// Its bytes.
        found: usize,
    },
    /// It has a character that people cannot be shown.
    #[error("without control characters and characters that are not seen, found `{0}`")]
    Character(String),
}

/// Whether a character can be shown in a line: it is no control character (C0, DEL, C1), separates no
/// lines, is not invisible, and does not change the direction of the text around it.
#[must_use]
pub const fn is_printable(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            | '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width characters and marks of direction; separators of lines; overrides of direction.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}'
    )
}

impl Printable {
    /// The text, if it has so many bytes and only characters that can be shown.
    ///
    /// # Errors
    /// The rule that it breaks, with what was found.
    pub fn parse(text: &str, length: RangeInclusive<usize>) -> Result<Self, NotPrintable> {
        if !length.contains(&text.len()) {
            let (least, most) = (*length.start(), *length.end());
            return Err(NotPrintable::Length { least, most, found: text.len() });
        }
        if text.chars().all(is_printable) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(MAX_SHOWN).collect();
        Err(NotPrintable::Character(Self::escaped(&shown, usize::MAX).0))
    }

    /// The text as one line of at most `most` bytes: characters that cannot be shown are written as their
    /// escape sequences, such as `\n` and `\u{1b}`. For sentences, whose line breaks are honest.
    #[must_use]
    pub fn escaped(text: &str, most: usize) -> Self {
        Self(escape(text, most, |_| false))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As [`Printable::escaped`], with the line breaks as they are: for what only one person is told.
#[must_use]
pub fn escape_but_lines(text: &str) -> String {
    escape(text, usize::MAX, |character| character == '\n')
}

fn escape(text: &str, most: usize, also: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        let before = escaped.len();
        match character {
            '\n' | '\r' | '\t' if !also(character) => escaped.extend(character.escape_default()),
            shown if is_printable(shown) || also(shown) => escaped.push(shown),
            hidden => escaped.extend(hidden.escape_unicode()),
        }
        if escaped.len() > most {
            escaped.truncate(before);
            break;
        }
    }
    escaped
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Printable> for String {
    fn from(text: Printable) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_or_a_reader_is_refused_and_shown_escaped() {
        for bad in [
            "a\nb",
            "a\rb",
            "\u{1b}[2J",
            "a\0",
            "\u{9b}31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{2066}x",
            "\u{feff}x",
            "a\u{2028}b",
            "x\u{e0041}",
        ] {
            let said = Printable::parse(bad, 0..=64).unwrap_err().to_string();
            assert!(said.contains('\\') && said.chars().all(is_printable), "{said}");
        }
        for good in ["", "forêt", "水", "NO₂ / mol m⁻²", "a b", "Straße \\n"] {
            assert_eq!(Printable::parse(good, 0..=64).unwrap().as_str(), good);
        }
    }

    #[test]
    fn lengths_are_in_bytes() {
        assert!(Printable::parse("", 1..=9).is_err());
        let said = Printable::parse("éé", 1..=3).unwrap_err().to_string();
        assert_eq!(said, "1 to 3 bytes, found `4`");
    }

    #[test]
    fn sentences_become_one_line() {
        let said = "epoch 1\n2026-01-01 INFO all is well\u{1b}[0m\t\u{202e}";
        let shown = "epoch 1\\n2026-01-01 INFO all is well\\u{1b}[0m\\t\\u{202e}";
        assert_eq!(Printable::escaped(said, 1000).as_str(), shown);
        assert_eq!(escape_but_lines("two\nlines\r\u{1b}"), "two\nlines\\r\\u{1b}");
        assert_eq!(Printable::escaped("éé\n", 3).as_str(), "é", "cut between characters and sequences");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded_and_can_be_shown(text: String, most in 0..200_usize) {
            let escaped = Printable::escaped(&text, most);
            prop_assert!(escaped.as_str().len() <= most && escaped.as_str().chars().all(is_printable));
            match Printable::parse(&text, 0..=most) {
                Ok(same) => prop_assert_eq!(same.as_str(), &text),
                Err(why) => prop_assert!(why.to_string().chars().all(is_printable)),
            }
            // What can be shown is not changed.
            if text.chars().all(is_printable) {
                let same = Printable::escaped(&text, usize::MAX);
                prop_assert_eq!(same.as_str(), &text);
            }
        }
    }
}
