//! A person at a terminal, line by line.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use eosfed_client::setup::{Question, Respondent, SetupError};
use eosfed_common::stdout::print;

/// Longest answer in bytes. A join token has about 1,500.
const MAX_ANSWER: u64 = 32 << 10;
/// Columns of text.
const WIDTH: usize = 74;

/// Asks on standard output and reads standard input. Lines need no terminal of a certain kind, so a screen
/// reader, a serial console and a pipe do as well.
pub(super) struct Terminal {
    echoed: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        Self { echoed: std::io::stdin().is_terminal() }
    }
}

impl Respondent for Terminal {
    fn answer(&mut self, question: &Question) -> Result<String, SetupError> {
        for line in wrapped(question.key.meaning()) {
            print(format_args!("\n{line}"));
        }
        for note in question.notes.iter().flat_map(|note| wrapped(note)) {
            print(format_args!("\n  {note}"));
        }
        let default = question.default.as_deref();
        let shown = default.map(|text| format!(" [{}]", if text.is_empty() { "none" } else { text }));
        print(format_args!("\n{}{}: ", question.key.prompt(), shown.unwrap_or_default()));
        let ended = |_| SetupError::Ended(question.key);
        std::io::stdout().flush().map_err(ended)?;
        let mut line = Vec::new();
        let read = std::io::stdin().lock().take(MAX_ANSWER).read_until(b'\n', &mut line).map_err(ended)?;
        if read == 0 {
            print(format_args!("\n"));
            return Err(SetupError::Ended(question.key));
        }
        if !self.echoed {
            print(format_args!("\n"));
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        Ok(if text.is_empty() { question.default.clone().unwrap_or_default() } else { text })
    }

    fn wrong(&mut self, _: &Question, reason: &str) -> Result<(), SetupError> {
        for line in wrapped(&format!("That cannot be used: {reason}")) {
            print(format_args!("\n{line}"));
        }
        print(format_args!("\n"));
        Ok(())
    }
}

/// Text in lines of at most [`WIDTH`] columns.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    eosfed_tables::wrapped(&words.join(" "), WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_several_lines_are_wrapped_as_one_text() {
        let text = "word\n  ".repeat(60);
        let lines = wrapped(&text);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(lines.join(" "), text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
