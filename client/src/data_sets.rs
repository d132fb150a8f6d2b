//! The data sets of a site: `dataset` in client.toml is the path of one, or a list of several with names. Which of
//! them a job reads follows from its plan: the one that it names, or the only one that has its task, bands and classes.

use std::fmt;
use std::path::{Path, PathBuf};

use eosfed_common::assignment::Assignment;
use eosfed_common::data_statement::MAX_DATA_SETS;
use eosfed_common::ids::DataSetName;
use eosfed_common::model::Task;
use eosfed_data::DatasetConfig;
use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

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

    /// Several, each `NAME=PATH`; or one, by its path.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn of_arguments(given: &[String]) -> Result<Self, String> {
        if let [one] = given {
            return match named(one) {
                Some(one) => Ok(Self::Several(vec![one])),
                None => Ok(Self::One(one.into())),
            };
        }
        let all = given.iter().map(|text| {
            named(text)
                .ok_or_else(|| format!("each of several data sets is given as NAME=PATH, found `{text}`"))
        });
        several(all.collect::<Result<_, _>>()?).map(Self::Several)
    }

    /// As [`FromStr`](std::str::FromStr) reads it.
    #[must_use]
    pub fn as_argument(&self) -> String {
        if let Self::One(path) = self {
            return path.display().to_string();
        }
        let part = |NamedDataSet { name, path, policy }: &NamedDataSet| {
            let own = policy.as_deref().map(|own| format!("{POLICY}{}", own.display())).unwrap_or_default();
            format!("{name}={}{own}", path.display())
        };
        self.several().iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// The value of `dataset` in `client.toml`, on one line.
    #[must_use]
    pub fn as_toml(&self) -> String {
        let text = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
        if let Self::One(path) = self {
            return text(path);
        }
        let table = |NamedDataSet { name, path, policy }: &NamedDataSet| {
            let own = policy.as_deref().map(|own| format!(", policy = {}", text(own))).unwrap_or_default();
            format!("{{ name = \"{name}\", path = {}{own} }}", text(path))
        };
        let tables: Vec<String> = self.several().iter().map(table).collect();
        format!("[{}]", tables.join(", "))
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

/// One as its path, and several as `NAME=PATH` or `NAME=PATH;policy=FILE`, joined by `, `.
impl std::str::FromStr for DataSets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(", ").collect();
        match parts.iter().map(|part| named(part)).collect::<Option<Vec<_>>>() {
            Some(all) => several(all).map(Self::Several),
            None if text.is_empty() => Err("expected a path, found nothing".to_owned()),
            None => Ok(Self::One(text.into())),
        }
    }
}

/// Between the path of a data set and that of its policy, on a command line.
const POLICY: &str = ";policy=";

/// `NAME=PATH` or `NAME=PATH;policy=FILE`. A path with `=` in it is not taken apart: names have no `/`.
fn named(text: &str) -> Option<NamedDataSet> {
    let (name, rest) = text.split_once('=')?;
    let name = name.parse().ok()?;
    let (path, policy) = match rest.split_once(POLICY) {
        Some((path, policy)) => (path, Some(policy)),
        None => (rest, None),
    };
    let said = !path.is_empty() && policy != Some("");
    said.then(|| NamedDataSet { name, path: path.into(), policy: policy.map(PathBuf::from) })
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

/// What decides whether a data set can serve a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// What its labels are.
    pub task: Task,
    /// The names of its bands.
    pub bands: Vec<String>,
    /// The names of its classes.
    pub classes: Vec<String>,
}

impl Traits {
    /// Of a data set with this description.
    #[must_use]
    pub fn of(config: &DatasetConfig) -> Self {
        let DatasetConfig { task, bands, classes, .. } = config;
        Self { task: *task, bands: bands.clone(), classes: classes.clone() }
    }

    /// Whether some job could be for either.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let shared = self.bands.iter().any(|band| other.bands.contains(band));
        (self.task, &self.classes, true) == (other.task, &other.classes, shared)
    }

    /// What an assignment needs that it lacks, in words.
    fn lacks(&self, assignment: &Assignment) -> Vec<String> {
        let target = &assignment.training_target;
        let mut list = Vec::new();
        let missing: Vec<String> =
            target.bands().into_iter().filter(|band| !self.bands.contains(band)).collect();
        if !missing.is_empty() {
            list.push(format!("no band {}", missing.join(", ")));
        }
        // Bands that are only measured need no labels.
        if let Some(task) = target.task() {
            if task != self.task {
                list.push(format!("its task is {}", self.task));
            } else if target.classes() != self.classes {
                list.push("other classes".to_owned());
            }
        }
        list
    }
}

/// The only one of several data sets that has what an assignment needs.
///
/// # Errors
/// A sentence that tells why none fits, or which ones do.
pub fn choose<'a>(
    known: &'a [(DataSetName, Traits)],
    assignment: &Assignment,
) -> Result<&'a DataSetName, String> {
    let fitting: Vec<&DataSetName> = known
        .iter()
        .filter(|(_, traits)| traits.lacks(assignment).is_empty())
        .map(|(name, _)| name)
        .collect();
    match &fitting[..] {
        [name] => Ok(name),
        [] => {
            let why = known
                .iter()
                .map(|(name, traits)| format!("`{name}` ({})", traits.lacks(assignment).join(", ")));
            let why = why.collect::<Vec<_>>().join(", ");
            Err(format!("none of the {} data sets fits: {why}", known.len()))
        }
        several => Err(format!(
            "{} data sets fit, {}, and none is chosen by chance; the plan can name one (`dataset` in `[participation]`)",
            several.len(),
            quoted(several)
        )),
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
    use crate::testing::statistics;

    #[derive(Debug, Deserialize)]
    struct File {
        dataset: DataSets,
    }

    fn parsed(text: &str) -> Result<DataSets, String> {
        toml::from_str::<File>(text).map(|file| file.dataset).map_err(|error| error.to_string())
    }

    fn table(name: &str) -> String {
        format!("[[dataset]]\nname = \"{name}\"\npath = \"/srv/{name}\"\n")
    }

    fn name(text: &str) -> DataSetName {
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
    fn a_command_line_has_one_path_or_several_names_with_paths() {
        let of = |given: &[&str]| {
            DataSets::of_arguments(&given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["/srv/a=b"]).unwrap(), DataSets::from("/srv/a=b"), "a path");
        assert_eq!(of(&["coast=/srv/a"]).unwrap().to_string(), "coast: /srv/a");
        let two = of(&["coast=/srv/a", "inland=/srv/b"]).unwrap();
        assert_eq!(two.to_string(), "coast: /srv/a, inland: /srv/b");
        assert_eq!("coast=/srv/a, inland=/srv/b".parse(), Ok(two.clone()));
        assert_eq!("/srv/a, b".parse(), Ok(DataSets::from("/srv/a, b")), "a path with a comma");
        assert!("".parse::<DataSets>().is_err());
        let own = of(&["coast=/srv/a;policy=/etc/c.toml"]).unwrap();
        assert_eq!(own.policies().next().unwrap().1, Path::new("/etc/c.toml"));
        assert_eq!(own.as_argument().parse(), Ok(own));
        for (given, said) in [
            (&["coast=/srv/a", "/srv/b"][..], "NAME=PATH, found `/srv/b`"),
            (&["coast=/srv/a", "inland="], "found `inland=`"),
            (&["coast=/srv/a", "inland=/srv/b;policy="], "NAME=PATH, found"),
            (&["coast=/srv/a", "coast=/srv/b"], "found `coast` twice"),
        ] {
            let error = of(given).unwrap_err();
            assert!(error.contains(said), "{given:?}: {error}");
        }
        // What is written reads back, policies too.
        let DataSets::Several(mut all) = two else { panic!("two names") };
        all[0].policy = Some("/etc/\"coast\".toml".into());
        for sets in [DataSets::from("/srv/a"), DataSets::Several(all)] {
            assert_eq!(parsed(&format!("dataset = {}", sets.as_toml())).unwrap(), sets);
        }
    }

    fn known(list: &[(&str, Task, &[&str], &[&str])]) -> Vec<(DataSetName, Traits)> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let one = |(text, task, bands, classes): &(&str, Task, &[&str], &[&str])| {
            (name(text), Traits { task: *task, bands: words(bands), classes: words(classes) })
        };
        list.iter().map(one).collect()
    }

    /// Work for a classifier; see [`statistics`].
    fn work() -> (Assignment, Task, Vec<String>, Vec<String>) {
        let work = statistics();
        let target = &work.training_target;
        let (task, bands, classes) = (target.task().unwrap(), target.bands(), target.classes().to_vec());
        (work, task, bands, classes)
    }

    #[test]
    fn the_only_one_that_fits_is_chosen_and_none_of_several() {
        let (work, task, bands, classes) = work();
        let bands: Vec<&str> = bands.iter().map(String::as_str).chain(["more"]).collect();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let other_task = if task == Task::Segmentation { Task::Multilabel } else { Task::Segmentation };
        let fits = ("fits", task, &bands[..], &classes[..]);
        let without_band = ("a", task, &["more"][..], &classes[..]);
        let of_other_task = ("b", other_task, &bands[..], &classes[..]);
        let of_other_classes = ("c", task, &bands[..], &["x", "y"][..]);
        let all = known(&[without_band, of_other_task, fits, of_other_classes]);
        assert_eq!(choose(&all, &work), Ok(&name("fits")));
        let none = choose(&known(&[without_band, of_other_task, of_other_classes]), &work).unwrap_err();
        assert!(none.contains("none of the 3 data sets fits: `a` (no band "), "{none}");
        assert!(none.contains(&format!("`b` (its task is {other_task}), `c` (other classes)")), "{none}");
        let twice = known(&[fits, without_band, ("also", task, &bands[..], &classes[..])]);
        let several = choose(&twice, &work).unwrap_err();
        assert!(
            several.starts_with("2 data sets fit, `fits` and `also`, ") && several.contains("`dataset`"),
            "{several}"
        );
        // For bands that are only measured, labels do not matter.
        let measured = eosfed_testkit::assignments::bands(&["more"]);
        assert!(
            choose(&known(&[fits, of_other_task]), &measured).unwrap_err().starts_with("2 data sets fit")
        );
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
