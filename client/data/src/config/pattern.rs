//! Paths with named parts: `{scene}/{scene}_{band}.tif`.

use std::collections::BTreeMap;

/// The part that is a band.
pub(crate) const BAND: &str = "band";
/// The part that is a class.
pub(crate) const CLASS: &str = "class";
/// Most parts of a pattern.
const MOST_PARTS: usize = 8;

/// The values of named parts.
pub(crate) type Parts = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    Part(String),
}

/// A path with named parts. A part is one or more characters other than `/`; where it occurs again, it has the same
/// value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').ok_or("a pattern whose braces are closed")?;
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !plain {
                return Err("a pattern whose parts have names of letters, digits and `_`".to_owned());
            }
            if before.is_empty() && matches!(tokens.last(), Some(Token::Part(_))) {
                return Err("a pattern with text between its parts".to_owned());
            }
            if !before.is_empty() {
                tokens.push(Token::Text(before.to_owned()));
            }
            tokens.push(Token::Part(name.to_owned()));
            rest = tail;
        }
        if !rest.is_empty() {
            tokens.push(Token::Text(rest.to_owned()));
        }
        let pattern = Self(tokens);
        let parts = pattern.parts().count();
        let leaves = text.starts_with('/') || text.split('/').any(|folder| folder == "..");
        match parts {
            1..=MOST_PARTS if !leaves => Ok(pattern),
            1..=MOST_PARTS => Err("a pattern below `root`".to_owned()),
            _ => Err(format!("a pattern with 1 to {MOST_PARTS} parts in braces")),
        }
    }

    /// The names of its parts.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|token| match token {
            Token::Part(name) => Some(name.as_str()),
            Token::Text(_) => None,
        })
    }

    /// The values of its parts in a path, if it has this form. Earlier parts are as short as possible.
    pub(crate) fn matched(&self, path: &str) -> Option<Parts> {
        let mut parts = Parts::new();
        found(&self.0, path, &mut parts).then_some(parts)
    }

    /// The path with these parts; `None` if one is missing.
    pub(crate) fn filled(&self, parts: &Parts) -> Option<String> {
        let text = |token: &Token| match token {
            Token::Text(text) => Some(text.clone()),
            Token::Part(name) => parts.get(name).cloned(),
        };
        self.0.iter().map(text).collect()
    }
}

fn found(tokens: &[Token], path: &str, parts: &mut Parts) -> bool {
    match tokens {
        [] => path.is_empty(),
        [Token::Text(text), rest @ ..] => {
            path.strip_prefix(text.as_str()).is_some_and(|path| found(rest, path, parts))
        }
        [Token::Part(name), rest @ ..] => {
            if let Some(known) = parts.get(name) {
                return path
                    .strip_prefix(known.clone().as_str())
                    .is_some_and(|path| found(rest, path, parts));
            }
            let segment = path.find('/').unwrap_or(path.len());
            let ends = path[..segment].char_indices().map(|(at, c)| at + c.len_utf8());
            for end in ends.collect::<Vec<_>>() {
                parts.insert(name.clone(), path[..end].to_owned());
                if found(rest, &path[end..], parts) {
                    return true;
                }
                parts.remove(name);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
        let parts = Pattern::parse(pattern).unwrap().matched(path)?;
        Some(parts.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn parts_are_found_and_filled_in() {
        assert_eq!(matched("{scene}/{band}.tif", "a_b/B02.tif").unwrap(), ["band=B02", "scene=a_b"]);
        assert_eq!(matched("{p}/{p}_{band}.tif", "x_1/x_1_B02.tif").unwrap(), ["band=B02", "p=x_1"]);
        assert_eq!(
            matched("{tile}/{p}_{band}.tif", "t/x_1_B8A.tif").unwrap(),
            ["band=1_B8A", "p=x", "tile=t"]
        );
        assert_eq!(matched("s2/{e}", "s2/é").unwrap(), ["e=é"]);
        for (pattern, path) in
            [("{a}.tif", "x/y.tif"), ("{a}.tif", ".tif"), ("{a}/{a}.tif", "x/y.tif"), ("{a}.tif", "x.png")]
        {
            assert_eq!(matched(pattern, path), None, "{pattern} {path}");
        }
        let pattern = Pattern::parse("m/{p}.png").unwrap();
        assert_eq!(pattern.filled(&Parts::from([("p".to_owned(), "x".to_owned())])).unwrap(), "m/x.png");
        assert_eq!(pattern.filled(&Parts::new()), None);
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for text in
            ["a.tif", "{a", "{}", "{a}{b}.tif", "../{a}.tif", "/d/{a}.tif", "{a b}.tif", &"{a}/".repeat(9)]
        {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
