//! The XML that GDAL reads and writes.

use roxmltree::{Document, ParsingOptions};

/// Most elements, and most attributes, of a text.
const MOST_NODES: u32 = 200_000;

/// Text inside of an XML element, in ASCII. Characters that XML does not have become a question mark.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            letter if letter.is_control() => out.push('?'),
            letter if letter.is_ascii() => out.push(letter),
            letter => out += &format!("&#{};", u32::from(letter)),
        }
    }
    out
}

/// Parses XML, with a limit of nodes and attributes and without entities.
///
/// # Errors
/// If it is none, or has too many of them.
pub(crate) fn parse_xml(text: &str) -> Result<Document<'_>, String> {
    // The library takes 72 bytes of memory for each of these characters before it looks at the first.
    for mark in ['<', '='] {
        let count = text.matches(mark).count();
        if count > MOST_NODES as usize {
            return Err(format!("`{mark}` {count} times, at most {MOST_NODES} are read"));
        }
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_take_much_memory_is_refused_before_it_is_parsed() {
        let repeated = |piece: &str| piece.repeat(MOST_NODES as usize + 1);
        for (text, mark) in [(repeated("<"), '<'), (format!("<a b=\"{}\"/>", repeated("=")), '=')] {
            let error = parse_xml(&text).unwrap_err();
            assert!(
                error.starts_with(&format!("`{mark}` 20000")) && error.ends_with("at most 200000 are read"),
                "{error}"
            );
        }
        assert!(parse_xml(&format!("<a b=\"{}\"/>", "=".repeat(1000))).is_ok());
    }

    #[test]
    fn text_is_one_ascii_text_inside_of_an_element() {
        assert_eq!(escaped("crops & <trees>\u{1} \"x\""), "crops &amp; &lt;trees&gt;? &quot;x&quot;");
        assert_eq!(escaped("forêt 森"), "for&#234;t &#26862;");
    }
}
