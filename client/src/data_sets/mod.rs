//! The data sets of a site: `dataset` in client.toml is the path of one, or a list of several with names. Which of
//! them a job reads follows from its plan: the one that it names, or the only one that has its task, bands and classes.

mod argument;
mod choice;

use std::fmt;
use std::path::{Path, PathBuf};

use eosfed_common::data_statement::MAX_DATA_SETS;
use eosfed_common::ids::DataSetName;
use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

pub use choice::{Traits, choose};

/// Most data sets of a site.
pub const MOST: usize = MAX_DATA_SETS;
/// The name of the data set of a site that has one, by its path.
pub const DEFAULT: &str = "default";

/// One of the tables `[[dataset]]` of `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedDataSet {
    /// Its name, by which plans can ask for it (`participation.dataset`).
    pub name: DataSetName,
    /// `dataset.toml`, or its folder.
    pub path: PathBuf,
    /// A policy of its own: what it and policy.toml both allow counts. Default: policy.toml alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-rule" = "without `limits`, `hours` and `privacy`"))]
    pub policy: Option<PathBuf>,
}

/// The private imagery: `dataset.toml` or its folder; or several tables `[[dataset]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum DataSets {
    /// One, by its path.
    One(PathBuf),
    /// Several, with names.
    Several(Vec<NamedDataSet>),
}

impl<'de> Deserialize<'de> for DataSets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathOrTables)
    }
}

struct PathOrTables;

impl<'de> Visitor<'de> for PathOrTables {
    type Value = DataSets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of dataset.toml, or tables `[[dataset]]` with `name` and `path`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DataSets, E> {
        Ok(DataSets::One(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<DataSets, A::Error> {
        let all = Vec::<NamedDataSet>::deserialize(SeqAccessDeserializer::new(tables))?;
        several(all).map(DataSets::Several).map_err(A::Error::custom)
    }
}

impl DataSets {
    /// The names and paths, in order. One by its path alone has no name here.
    pub fn all(&self) -> impl Iterator<Item = (Option<&DataSetName>, &Path)> {
        let one = match self {
            Self::One(path) => Some((None, path.as_path())),
            Self::Several(_) => None,
        };
        one.into_iter().chain(self.several().iter().map(|one| (Some(&one.name), one.path.as_path())))
    }

    /// Those with names.
    #[must_use]
    pub fn several(&self) -> &[NamedDataSet] {
        match self {
            Self::One(_) => &[],
            Self::Several(all) => all,
        }
    }

    /// The path of the data set of this name; of the only one, for none.
    #[must_use]
    pub fn path(&self, name: Option<&DataSetName>) -> Option<&Path> {
        self.all().find(|(found, _)| *found == name).map(|(_, path)| path)
    }

    /// The data set that a plan asks for.
    ///
    /// # Errors
    /// A sentence with the names that there are.
    pub fn named(&self, wanted: &DataSetName) -> Result<Option<&DataSetName>, String> {
        let shown = |name: Option<&DataSetName>| name.map_or(DEFAULT, DataSetName::as_str).to_owned();
        if let Some((name, _)) = self.all().find(|(name, _)| shown(*name) == wanted.as_str()) {
            return Ok(name);
        }
        let names: Vec<String> = self.all().map(|(name, _)| shown(name)).collect();
        let are = if names.len() == 1 { "is" } else { "are" };
        Err(format!(
            "the plan asks for the data set `{wanted}` (`dataset` in `[participation]`), and there {are} {}",
            quoted(&names)
        ))
    }

    /// Whether there are several, with names.
    #[must_use]
    pub const fn are_named(&self) -> bool {
        matches!(self, Self::Several(_))
    }

    /// The policies of their own that data sets have, by name.
    pub fn policies(&self) -> impl Iterator<Item = (&DataSetName, &Path)> {
        self.several().iter().filter_map(|one| Some((&one.name, one.policy.as_deref()?)))
    }

    /// The same with other paths, of data sets and of policies.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn with_paths<E>(self, mut change: impl FnMut(&Path) -> Result<PathBuf, E>) -> Result<Self, E> {
        match self {
            Self::One(path) => change(&path).map(Self::One),
            Self::Several(all) => {
                let changed = all.into_iter().map(|NamedDataSet { name, path, policy }| {
                    let path = change(&path)?;
                    let policy = policy.map(|policy| change(&policy)).transpose()?;
                    Ok(NamedDataSet { name, path, policy })
                });
                changed.collect::<Result<_, E>>().map(Self::Several)
            }
        }
    }
}

/// Checks the number of data sets, and that each has a name of its own.
fn several(all: Vec<NamedDataSet>) -> Result<Vec<NamedDataSet>, String> {
    let found = all.len();
    if !(1..=MOST).contains(&found) {
        return Err(format!("1 to {MOST} tables `[[dataset]]`, found `{found}`"));
    }
    let twice =
        all.iter().enumerate().find(|(at, one)| all[..*at].iter().any(|other| other.name == one.name));
    match twice {
        Some((_, one)) => {
            Err(format!("each `[[dataset]]` has a `name` of its own, found `{}` twice", one.name))
        }
        None => Ok(all),
    }
}

impl From<PathBuf> for DataSets {
    fn from(path: PathBuf) -> Self {
        Self::One(path)
    }
}

impl From<&str> for DataSets {
    fn from(path: &str) -> Self {
        Self::One(path.into())
    }
}

/// As in logs and on screens: the path, or names with paths.
impl fmt::Display for DataSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, path)) in self.all().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match name {
                Some(name) => write!(f, "{comma}{name}: {}", path.display())?,
                None => write!(f, "{comma}{}", path.display())?,
            }
        }
        Ok(())
    }
}

/// The sentence about work for a data set that the settings no longer have.
#[must_use]
pub fn no_longer(name: Option<&DataSetName>) -> String {
    let name = name.map_or(DEFAULT, DataSetName::as_str);
    format!("the data set `{name}`, for which the work was accepted, is no longer in client.toml")
}

fn quoted(names: &[impl fmt::Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        dataset: DataSets,
    }

    pub(super) fn parsed(text: &str) -> Result<DataSets, String> {
        toml::from_str::<File>(text).map(|file| file.dataset).map_err(|error| error.to_string())
    }

    fn table(name: &str) -> String {
        format!("[[dataset]]\nname = \"{name}\"\npath = \"/srv/{name}\"\n")
    }

    pub(super) fn name(text: &str) -> DataSetName {
        text.parse().unwrap()
    }

    #[test]
    fn one_path_or_several_names() {
        let one = parsed("dataset = \"/srv/imagery\"").unwrap();
        assert_eq!(
            (&one, one.path(None)),
            (&DataSets::from("/srv/imagery"), Some(Path::new("/srv/imagery")))
        );
        assert_eq!(one.path(Some(&name(DEFAULT))), None);
        let two = parsed(&(table("coast") + &table("inland"))).unwrap();
        assert_eq!((two.path(None), two.path(Some(&name("inland")))), (None, Some(Path::new("/srv/inland"))));
        assert_eq!(two.to_string(), "coast: /srv/coast, inland: /srv/inland");
        let many: String = (0..33).map(|at| table(&format!("n{at}"))).collect();
        for (text, said) in [
            (table("coast") + &table("coast"), "found `coast` twice"),
            (table("Coast"), "is not a data set name"),
            (many, "1 to 32 tables `[[dataset]]`, found `33`"),
            ("dataset = []".to_owned(), "found `0`"),
            ("dataset = 3".to_owned(), "the path of dataset.toml, or tables"),
            (table("coast") + "paht = 1", "paht"),
            ("[[dataset]]\nname = \"coast\"".to_owned(), "missing field `path`"),
        ] {
            let error = parsed(&text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_plan_may_name_the_data_set() {
        let two = parsed(&(table("coast") + &table("inland"))).unwrap();
        assert_eq!(two.named(&name("inland")), Ok(Some(&name("inland"))));
        let error = two.named(&name("sea")).unwrap_err();
        assert!(error.contains("`sea`") && error.contains("there are `coast` and `inland`"), "{error}");
        let one = DataSets::from("/srv/imagery");
        assert_eq!(one.named(&name(DEFAULT)), Ok(None));
        assert!(one.named(&name("sea")).unwrap_err().contains("there is `default`"));
    }
}
