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

/// Text whose characters GDAL has escaped, as they were. What is no known escape stays as it is.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out += &rest[..at];
        rest = &rest[at..];
        let known = rest.find(';').and_then(|end| Some((escape(&rest[1..end])?, end + 1)));
        let (letter, length) = known.unwrap_or(('&', 1));
        out.push(letter);
        rest = &rest[length..];
    }
    out + rest
}

/// The character of an escape without its `&` and `;`.
fn escape(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
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
    fn what_was_escaped_is_itself_again_and_all_else_is_kept() {
        for text in ["crops & <trees> \"x\"", "for\u{ea}t \u{68ee}", "", "&", "a;b"] {
            assert_eq!(unescaped(&escaped(text)), text);
        }
        assert_eq!(unescaped("&#x41;&#66;&apos;"), "AB'");
        for text in ["R&D", "a & b; c", "&nbsp;", "&#xzz;", "&#1114112;", "&;", "&#;"] {
            assert_eq!(unescaped(text), text);
        }
        assert_eq!(unescaped("&amp;lt;"), "&lt;");
    }

    #[test]
    fn text_is_one_ascii_text_inside_of_an_element() {
        assert_eq!(escaped("crops & <trees>\u{1} \"x\""), "crops &amp; &lt;trees&gt;? &quot;x&quot;");
        assert_eq!(escaped("forêt 森"), "for&#234;t &#26862;");
    }
}
