//! Data sets as text: on a command line, and as a value in client.toml.

use std::path::{Path, PathBuf};

use super::{DataSets, NamedDataSet, several};

/// Between the path of a data set and that of its policy, on a command line.
const POLICY: &str = ";policy=";

impl DataSets {
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

#[cfg(test)]
mod tests {
    use super::super::tests::parsed;
    use super::*;

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
}
