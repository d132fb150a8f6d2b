//! The text of a row: one column, or a path that is made of several.

use super::rows::Row;

/// What gives the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Template {
    /// A column, by position.
    Column(usize),
    /// Text and columns, joined.
    Joined(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// A column without its last parts between `_`, so many.
    Column(usize, usize),
}

impl Template {
    /// Reads the name of a column, or a text with names of columns in braces; `find` gives the position of a column.
    ///
    /// # Errors
    /// What `find` says, or a sentence about the text.
    pub(super) fn parse<E>(
        text: &str,
        find: impl Fn(&str) -> Result<usize, E>,
        wrong: impl Fn(String) -> E,
    ) -> Result<Self, E> {
        if !text.contains('{') {
            return find(text).map(Self::Column);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                return Err(wrong(format!("braces of a path must be closed, found `{text}`")));
            };
            pieces.push(Piece::Text(before.to_owned()));
            // A column may have a name that looks as if parts were to be left out.
            let whole = find(name).map(|at| Piece::Column(at, 0));
            let piece = whole.or_else(|error| match name.rsplit_once('-') {
                Some((name, count)) if count.parse::<usize>().is_ok() => {
                    find(name).map(|at| Piece::Column(at, count.parse().unwrap_or(0)))
                }
                _ => Err(error),
            })?;
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self::Joined(pieces))
    }

    /// The text of a row.
    ///
    /// # Errors
    /// If a part of a path is missing.
    pub(super) fn text(&self, row: &Row) -> Result<String, String> {
        match self {
            Self::Column(at) => Ok(row.text(*at)),
            Self::Joined(pieces) => pieces.iter().map(|piece| piece.text(row)).collect(),
        }
    }
}

impl Piece {
    fn text(&self, row: &Row) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Column(at, left_out) => {
                let text = row.text(*at);
                let parts: Vec<&str> = text.split('_').collect();
                if text.is_empty() || parts.len() <= *left_out {
                    return Err(format!(
                        "a column of a path must have more than {left_out} parts between `_`, found `{}`",
                        text.escape_debug()
                    ));
                }
                Ok(parts[..parts.len() - left_out].join("_"))
            }
        }
    }
}
