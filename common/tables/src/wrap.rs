//! Text in lines.

use console::measure_text_width;

/// A text as lines of at most so many columns, broken at spaces. A word that is longer than a line is cut.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut wide = 0;
    for word in text.split_inclusive(' ') {
        let needed = measure_text_width(word.trim_end_matches(' '));
        if wide > 0 && needed > 0 && wide + needed > columns {
            end(&mut lines, &mut line, &mut wide);
        }
        for one in word.chars() {
            let width = measure_text_width(one.encode_utf8(&mut [0; 4]));
            if wide > 0 && one != ' ' && wide + width > columns {
                end(&mut lines, &mut line, &mut wide);
            }
            line.push(one);
            wide += width;
        }
    }
    end(&mut lines, &mut line, &mut wide);
    lines
}

fn end(lines: &mut Vec<String>, line: &mut String, wide: &mut usize) {
    lines.push(line.trim_end_matches(' ').to_owned());
    line.clear();
    *wide = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_complete() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text, 78);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= 78), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim_end());
        assert_eq!(wrapped("", 78), [""]);
        assert_eq!(wrapped("12  2026-11-28  job", 16), ["12  2026-11-28", "job"], "columns stay apart");
    }

    #[test]
    fn a_word_that_is_longer_than_a_line_is_cut() {
        assert_eq!(wrapped(&format!("of {} end", "x".repeat(9)), 4), ["of", "xxxx", "xxxx", "x", "end"]);
        // These take two columns each.
        assert_eq!(wrapped("\u{6771}\u{4eac}\u{90fd}", 4), ["\u{6771}\u{4eac}", "\u{90fd}"]);
        assert_eq!(wrapped("ab", 0), ["a", "b"], "it ends");
    }
}
