//! TOML of which the nesting is bounded before it is read.
//!
//! The library allows 80 tables in each other, each under a key of 80 parts, which is 6,400 levels. Reading and dropping
//! them takes a function call each, and more stack than a thread has, which ends the process.

use serde::de::{DeserializeOwned, Error as _};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Most tables and arrays in each other.
const MOST_DEPTH: usize = 16;
/// Most parts of a key, such as `a.b.c`.
const MOST_PARTS: usize = 8;

/// Reads a document.
///
/// # Errors
/// If it is no TOML, does not fit `T`, or is nested deeper than any document that is meant. The message has the line, or the
/// limits of nesting.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    if too_deep(text) {
        return Err(toml::de::Error::custom(format!(
            "tables and arrays may lie in each other {MOST_DEPTH} deep, and a key may have {MOST_PARTS} parts, found more"
        )));
    }
    toml::from_str(text)
}

/// Whether a document is nested too deep. A bracket that is closed by another kind stays open, so that no document with
/// errors is deeper for the library than here.
fn too_deep(text: &str) -> bool {
    let mut open = Vec::new();
    let mut parts = 1;
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => parts += 1,
            TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString | TokenKind::Whitespace => {}
            other => {
                parts = 1;
                match other {
                    TokenKind::LeftCurlyBracket => open.push(TokenKind::RightCurlyBracket),
                    TokenKind::LeftSquareBracket => open.push(TokenKind::RightSquareBracket),
                    _ => drop(open.pop_if(|closing| *closing == other)),
                }
            }
        }
        if open.len() > MOST_DEPTH || parts > MOST_PARTS {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn refused(text: &str) -> bool {
        from_str::<Table>(text).is_err_and(|error| error.to_string().contains("16 deep"))
    }

    /// A key of so many parts.
    fn key(parts: usize) -> String {
        vec!["a"; parts].join(".")
    }

    #[test]
    fn documents_are_read_as_deep_as_is_allowed_and_no_deeper() {
        let tables = |count| format!("a = {}1{}", "{ b = ".repeat(count), " }".repeat(count));
        let arrays = |count| format!("a = {}{}", "[".repeat(count), "]".repeat(count));
        for (depth, deeper) in [
            (tables(16), tables(17)),
            (arrays(16), arrays(17)),
            (format!("{} = 1", key(8)), format!("{} = 1", key(9))),
            (format!("[{}]", key(8)), format!("[{}]", key(9))),
            (format!("[[{}]]", key(8)), format!("[[{}]]", key(9))),
            (format!("x = {{ {} = 1 }}", key(8)), format!("x = {{ {} = 1 }}", key(9))),
        ] {
            assert!(from_str::<Table>(&depth).is_ok(), "{depth}");
            assert!(refused(&deeper), "{deeper}");
        }
        let many = format!(
            "[{0}]\n{0} = [{1}]\n",
            key(8),
            vec![format!("{{ {} = [[]], b = 1 }}", key(8)); 99].join(",")
        );
        assert!(from_str::<Table>(&many).is_ok(), "what lies side by side is not deep");
    }

    /// In a thread with little stack, in which the library alone does not come to an end.
    #[test]
    fn no_document_takes_the_stack_of_a_thread() {
        let nested = |parts: usize, tables: usize| {
            format!("{0} = {1}1", key(parts), format!("{{ {0} = ", key(parts)).repeat(tables))
        };
        let closed = |parts, tables| nested(parts, tables) + &"}".repeat(tables);
        let texts = [
            closed(80, 80),
            nested(80, 80),
            closed(8, 16),
            "[".repeat(60_000),
            "a = ".to_owned() + &"{a=[".repeat(15_000),
            // Brackets that are closed before they are opened.
            "a = { select\n[head]\n".repeat(3000),
            "a = [}".repeat(10_000),
        ];
        let read = move || texts.map(|text| from_str::<Table>(&text).map(|_| ()).is_ok());
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap();
        assert_eq!(thread.join().unwrap(), [false, false, true, false, false, false, false]);
    }

    #[test]
    fn other_errors_are_those_of_the_library() {
        for text in ["a = ", "a = 1\na = 2", "]", "a.b = 1\n[a]\nb = 2"] {
            let expected = toml::from_str::<Table>(text).unwrap_err().to_string();
            assert_eq!(from_str::<Table>(text).unwrap_err().to_string(), expected);
        }
        assert_eq!(
            from_str::<Table>("a = [1, { b.c = 2 }]").unwrap(),
            toml::from_str("a = [1, { b.c = 2 }]").unwrap()
        );
    }
}
