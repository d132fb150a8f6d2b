//! Names of files, and patterns of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most parts of a pattern that differ in the names of samples. A pattern has a few more.
const MOST_PARTS: usize = 5;

/// The name of a file before its ending, and the ending; none if they cannot stand in a pattern.
pub(super) fn parts(file: &Path) -> Option<(&str, &str)> {
    let found = (file.file_stem()?.to_str()?, file.extension()?.to_str()?);
    (is_plain(found.0) && is_plain(found.1)).then_some(found)
}

/// Whether a text can stand in a pattern, in which braces mean a part.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(['{', '}']) && !text.contains(char::is_control)
}

/// A path in a folder, for a pattern; none if the name of the folder cannot stand in one.
pub(super) fn inside(folder: &Path, rest: &str) -> Option<String> {
    let folder = folder.to_str().filter(|folder| is_plain(folder))?;
    Some(if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") })
}

/// The ending that most files have, the first one of several.
pub(super) fn usual_ending<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, ending) in files.into_iter().filter_map(|file| parts(file)) {
        *counts.entry(ending).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(ending, _)| ending)
}

/// A pattern of names.
pub(super) struct Named {
    /// What is equal in all names, and parts for what differs between `_`.
    pub(super) pattern: String,
    /// The part with most values.
    pub(super) finest: String,
}

/// The pattern of the names of samples, whose parts are called after `word`. A part of a pattern is as short as possible, so it
/// ends at a `_`. None if the names have no common form.
pub(super) fn pattern_of(names: &BTreeSet<&str>, word: &str) -> Option<Named> {
    let split: Vec<Vec<&str>> = names.iter().map(|name| name.split('_').collect()).collect();
    let first = split.first()?;
    let alike =
        |tokens: &Vec<&str>| tokens.len() == first.len() && tokens.iter().all(|token| !token.is_empty());
    if !split.iter().all(alike) || !names.iter().all(|name| is_plain(name)) {
        return None;
    }
    let values = |at: usize| split.iter().map(|tokens| tokens[at]).collect::<BTreeSet<_>>().len();
    let mut differ: Vec<usize> = (0..first.len()).filter(|at| values(*at) > 1).collect();
    if differ.is_empty() {
        differ.push(0);
    }
    if differ.len() > MOST_PARTS {
        return None;
    }
    let part =
        |number: usize| if differ.len() == 1 { word.to_owned() } else { format!("{word}{}", number + 1) };
    let token = |(at, token): (usize, &&str)| match differ.iter().position(|differs| *differs == at) {
        Some(number) => format!("{{{}}}", part(number)),
        None => (*token).to_owned(),
    };
    let pattern = first.iter().enumerate().map(token).collect::<Vec<_>>().join("_");
    let finest = (0..differ.len()).rev().max_by_key(|number| values(differ[*number]))?;
    Some(Named { pattern, finest: part(finest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_parts_for_what_differs() {
        for (names, pattern, finest) in [
            (&["a", "b"][..], "{scene}", "scene"),
            (&["a_1", "a_2"][..], "a_{scene}", "scene"),
            (&["a_1_x", "b_2_x", "b_3_x"][..], "{scene1}_{scene2}_x", "scene2"),
            (&["a_1"][..], "{scene}_1", "scene"),
        ] {
            let found = pattern_of(&names.iter().copied().collect(), "scene").unwrap();
            assert_eq!((found.pattern.as_str(), found.finest.as_str()), (pattern, finest));
        }
        for names in ["a a_1", "a_", "{a} b", "a_\u{7} b_c", "", "a_b_c_d_e_f 1_2_3_4_5_6"] {
            let split = names.split_terminator(' ').collect();
            assert!(pattern_of(&split, "scene").is_none(), "{names:?}");
        }
    }

    #[test]
    fn the_ending_of_most_files_is_the_usual_one() {
        let files = ["a.tif", "b.png", "c.tif", "d", "{e}.jpg"].map(PathBuf::from);
        assert_eq!(usual_ending(&files), Some("tif"));
        assert_eq!(usual_ending(&files[..2]), Some("png"), "the first one of two");
        assert_eq!(usual_ending(&[]), None);
    }
}
