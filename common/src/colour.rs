//! Colours of classes on maps and in pictures, as a site gives them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Task;

/// A colour: red, green and blue. In files it is `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^#[0-9a-fA-F]{6}$"))]
pub struct Colour(pub [u8; 3]);

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut rgb = [0; 3];
        match text.strip_prefix('#').map(|digits| hex::decode_to_slice(digits, &mut rgb)) {
            Some(Ok(())) => Ok(Self(rgb)),
            Some(Err(_)) | None => Err(format!(
                "a colour must be `#` and six hexadecimal digits, as `#0072b2` for a blue, found `{}`",
                text.escape_debug()
            )),
        }
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

/// Colours of classes by their names. Classes without one get theirs from the meaning of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ClassColours(BTreeMap<String, Colour>);

impl ClassColours {
    /// Whether no class has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Red, green and blue of a class, if it has a colour.
    #[must_use]
    pub fn of(&self, class: &str) -> Option<[u8; 3]> {
        self.0.get(class).map(|colour| colour.0)
    }

    /// A name that is none of the classes.
    #[must_use]
    pub fn unknown(&self, classes: &[String]) -> Option<&str> {
        self.0.keys().find(|name| !classes.contains(name)).map(String::as_str)
    }

    /// The rules that they break for these classes of a task: what they must be, and what was found.
    #[must_use]
    pub fn broken(&self, task: Task, classes: &[String]) -> Vec<(String, String)> {
        let unknown = self.unknown(classes).map(|unknown| {
            (
                format!("about classes of `classes` ({})", classes.join(", ")),
                unknown.escape_debug().to_string(),
            )
        });
        let coloured = (task == Task::Regression && !self.is_empty())
            .then(|| ("absent for regression, whose maps have no classes".to_owned(), "a colour".to_owned()));
        unknown.into_iter().chain(coloured).collect()
    }

    /// What may be a mistake, as sentences about this key.
    #[must_use]
    pub fn warnings(&self, key: &str) -> Vec<String> {
        let alike = |(colour, classes): (Colour, Vec<&str>)| {
            format!(
                "`{key}`: {} have the same colour, `{colour}`, and cannot be told apart on maps",
                classes.join(", ")
            )
        };
        self.shared().into_iter().map(alike).collect()
    }

    /// Each colour that several classes have, with their names.
    fn shared(&self) -> Vec<(Colour, Vec<&str>)> {
        let mut classes = BTreeMap::<Colour, Vec<&str>>::new();
        for (name, colour) in &self.0 {
            classes.entry(*colour).or_default().push(name);
        }
        classes.into_iter().filter(|(_, names)| names.len() > 1).collect()
    }
}

impl FromIterator<(String, Colour)> for ClassColours {
    fn from_iter<I: IntoIterator<Item = (String, Colour)>>(colours: I) -> Self {
        Self(colours.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_six_digits_and_everything_else_is_refused_with_what_was_found() {
        let parse = |text: &str| Colour::try_from(text.to_owned());
        assert_eq!(parse("#0072B2"), Ok(Colour([0, 114, 178])));
        assert_eq!(parse("#0072b2").unwrap().to_string(), "#0072b2");
        for bad in ["", "#", "red", "0072b2", "#0072b", "#0072b22", "#0072bg", "##072b2", "#00é2b", "#\n"] {
            let said = parse(bad).unwrap_err();
            let found = format!("found `{}`", bad.escape_debug());
            assert!(said.ends_with(&found) && said.contains("`#0072b2`"), "{said}");
        }
    }

    #[test]
    fn classes_with_one_colour_and_names_that_are_no_classes_are_found() {
        let text = r##"{"a": "#010203", "b": "#040506", "c": "#010203"}"##;
        let colours: ClassColours = serde_json::from_str(text).unwrap();
        assert_eq!(colours.shared(), [(Colour([1, 2, 3]), vec!["a", "c"])]);
        assert_eq!((colours.of("b"), colours.of("d")), (Some([4, 5, 6]), None));
        let classes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(colours.unknown(&classes(&["c", "b", "a"])), None);
        assert_eq!(colours.unknown(&classes(&["a", "c"])), Some("b"));
        assert!(serde_json::from_str::<ClassColours>(r#"{"a": "red"}"#).is_err());
    }
}
