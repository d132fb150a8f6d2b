//! The paths in a piece of source: `use` declarations, and paths inside expressions, types, macros and
//! attributes. It works on tokens, so that paths inside macros are found.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as written in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPath {
    /// Its segments. The last is `*` if everything of a module is imported.
    pub(crate) segments: Vec<String>,
    /// The line on which it starts, from 1.
    pub(crate) line: usize,
}

/// All paths of at least two segments, and the single segments of `use` lists.
pub(crate) fn paths(stream: TokenStream) -> Vec<RawPath> {
    let mut found = Vec::new();
    scan(stream, &mut found);
    found
}

fn scan(stream: TokenStream, found: &mut Vec<RawPath>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => scan(group.stream(), found),
            TokenTree::Literal(literal) => found.extend(in_text(literal)),
            TokenTree::Ident(_) if separator(&tokens, at + 1) && !follows_separator(&tokens, at) => {
                at = path(&tokens, at, Vec::new(), found);
                continue;
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        at += 1;
    }
}

/// Whether `::` stands at `at`.
fn separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// Whether `::` stands before `at`, with something before it: then this is the middle of a path.
fn follows_separator(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3 && separator(tokens, at - 2) && !matches!(tokens[at - 3], TokenTree::Punct(_))
}

/// Reads the path that starts at `at` after `prefix`, and gives where it ends.
fn path(tokens: &[TokenTree], mut at: usize, prefix: Vec<String>, found: &mut Vec<RawPath>) -> usize {
    let line = tokens[at].span().start().line;
    let mut segments = prefix;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => segments.push(name.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".to_owned()),
            Some(TokenTree::Group(list)) if list.delimiter() == Delimiter::Brace => {
                tree(list.stream(), &segments, found);
                return at + 1;
            }
            // Generic arguments, as in `Vec::<u8>`: they are scanned on their own.
            _ => break,
        }
        at += 1;
        if !separator(tokens, at) {
            break;
        }
        at += 2;
    }
    found.push(RawPath { segments, line });
    at
}

/// Reads the list in the braces of a `use` declaration.
fn tree(stream: TokenStream, prefix: &[String], found: &mut Vec<RawPath>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        at = path(&tokens, at, prefix.to_vec(), found);
        // `as name` belongs to the entry before it.
        while at < tokens.len() && !matches!(&tokens[at], TokenTree::Punct(comma) if comma.as_char() == ',') {
            at += 1;
        }
        at += 1;
    }
}

/// A path in a text, as in `#[serde(with = "crate::duration")]`.
fn in_text(literal: &proc_macro2::Literal) -> Option<RawPath> {
    let text = literal.to_string();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    let segments: Vec<String> = text.split("::").map(str::to_owned).collect();
    let name = |segment: &String| {
        !segment.is_empty() && segment.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let line = literal.span().start().line;
    (segments.len() > 1 && segments.iter().all(name)).then_some(RawPath { segments, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        paths(text.parse().unwrap()).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn a_use_list_is_split_into_paths() {
        assert_eq!(
            found("pub use crate::{a::{self, B as _}, c::*, d};"),
            ["crate::a::self", "crate::a::B", "crate::c::*", "crate::d"]
        );
    }

    #[test]
    fn paths_in_expressions_types_macros_and_attributes_are_found() {
        let text = "#[serde(with = \"crate::duration\")] fn f(x: super::A<other::B>) -> C { \
                    println!(\"{}\", eosfed_common::d::e(self::g)); Vec::<crate::H>::new(); x.y }";
        assert_eq!(
            found(text),
            ["crate::duration", "super::A", "other::B", "eosfed_common::d::e", "self::g", "Vec", "crate::H"]
        );
    }

    #[test]
    fn the_line_of_a_path_is_found() {
        assert_eq!(paths("\n\nuse a::b;".parse().unwrap())[0].line, 3);
    }
}
