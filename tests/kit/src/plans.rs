//! Plans: the text of a valid one of each kind, and a few knobs.

use eosfed_common::plan::{JobKind, JobSpec};
use toml::{Table, Value};

/// West and east train a specialist each.
pub const ONE_SHOT: &str = include_str!("../plans/one-shot.toml");
/// Two institutions train a specialist together.
pub const ROUNDS: &str = include_str!("../plans/rounds.toml");
/// Two institutions train a head over the specialists of [`ONE_SHOT`].
pub const DOWNSTREAM: &str = include_str!("../plans/downstream.toml");
/// Institutions score the specialists of the newest release.
pub const EVALUATION: &str = include_str!("../plans/evaluation.toml");
/// Two institutions measure two bands.
pub const STATISTICS: &str = include_str!("../plans/statistics.toml");

/// The plan of this kind.
#[must_use]
pub const fn of(kind: JobKind) -> &'static str {
    match kind {
        JobKind::OneShot => ONE_SHOT,
        JobKind::Rounds => ROUNDS,
        JobKind::Downstream => DOWNSTREAM,
        JobKind::Evaluation => EVALUATION,
        JobKind::Statistics => STATISTICS,
    }
}

/// A plan that is changed before it is used.
#[derive(Debug, Clone)]
pub struct Plan(Table);

impl Plan {
    /// Begins with a plan's text, such as [`ROUNDS`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.parse().unwrap())
    }

    /// Sets a key, such as `participation.max`. Tables above it that are absent are made.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let (table, key) = self.place(key);
        table.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key to what this TOML says, such as `{ kind = "all" }`.
    #[must_use]
    pub fn set_toml(self, key: &str, value: &str) -> Self {
        self.set(key, value.parse::<Value>().unwrap())
    }

    /// Removes a key that the plan has.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        let (table, last) = self.place(key);
        assert!(table.remove(last).is_some(), "the plan has no `{key}`");
        self
    }

    /// Fewest and most institutions of a round.
    #[must_use]
    pub fn participants(self, min: usize, max: usize) -> Self {
        let count = |number: usize| i64::try_from(number).unwrap();
        self.set("participation.min", count(min)).set("participation.max", count(max))
    }

    /// How long a round lasts, such as `30m`.
    #[must_use]
    pub fn deadline(self, duration: &str) -> Self {
        self.set("participation.deadline", duration)
    }

    /// How many rounds, and the strategy as TOML, such as `{ name = "fed-avg" }`.
    #[must_use]
    pub fn rounds(self, count: u32, strategy: &str) -> Self {
        self.set("rounds.count", count).set_toml("rounds.strategy", strategy)
    }

    /// The specialists of a one-shot plan: name, institution, bands.
    #[must_use]
    pub fn specialists(self, all: &[(&str, &str, &[&str])]) -> Self {
        let one = |(name, institution, bands): &(&str, &str, &[&str])| {
            let mut table = specialist(name, bands);
            table.insert("institution".to_owned(), (*institution).into());
            Value::Table(table)
        };
        let all: Vec<Value> = all.iter().map(one).collect();
        self.set("specialist", all)
    }

    /// The specialist of a plan of rounds.
    #[must_use]
    pub fn shared(self, name: &str, bands: &[&str]) -> Self {
        self.set("specialist", vec![Value::Table(specialist(name, bands))])
    }

    /// A normalisation that changes nothing, of these bands.
    #[must_use]
    pub fn given(self, bands: &[&str]) -> Self {
        let one = |band: &&str| format!("{{ band = \"{band}\", mean = 0.0, std = 1.0 }}");
        let all: Vec<String> = bands.iter().map(one).collect();
        self.set_toml("normalisation", &format!("{{ from = \"given\", bands = [{}] }}", all.join(", ")))
    }

    /// The plan's text.
    ///
    /// # Panics
    /// If it is not a valid plan.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.unchecked();
        JobSpec::parse(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        text
    }

    /// The plan's text, valid or not.
    #[must_use]
    pub fn unchecked(&self) -> String {
        toml::to_string(&self.0).unwrap()
    }

    /// What the plan says.
    ///
    /// # Panics
    /// If it is not a valid plan.
    #[must_use]
    pub fn spec(&self) -> JobSpec {
        JobSpec::parse(&self.text()).unwrap()
    }

    /// The table that a key is in, and the key's name there.
    fn place<'a>(&mut self, key: &'a str) -> (&mut Table, &'a str) {
        let (tables, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
        let mut table = &mut self.0;
        for name in tables.into_iter().flat_map(|path| path.split('.')) {
            let entry = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().unwrap();
        }
        (table, last)
    }
}

fn specialist(name: &str, bands: &[&str]) -> Table {
    let bands: Vec<Value> = bands.iter().map(|band| Value::from(*band)).collect();
    Table::from_iter([("name".to_owned(), name.into()), ("bands".to_owned(), bands.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_valid_plan_of_its_own() {
        for kind in
            [JobKind::OneShot, JobKind::Rounds, JobKind::Downstream, JobKind::Evaluation, JobKind::Statistics]
        {
            assert_eq!(JobSpec::parse(of(kind)).unwrap().kind(), kind);
            assert_eq!(Plan::new(of(kind)).spec(), JobSpec::parse(of(kind)).unwrap());
        }
    }

    #[test]
    fn what_is_set_is_what_the_plan_says() {
        let plan = Plan::new(ROUNDS).participants(3, 4).deadline("2h").rounds(9, "{ name = \"median\" }");
        let plan = plan.without("participation.attempts").set("admission.norm_factor", 2.0);
        let JobSpec::Rounds(spec) = plan.shared("all", &["nir"]).spec() else { panic!("not rounds") };
        assert_eq!((spec.participation.min, spec.participation.max), (3, 4));
        assert_eq!(spec.participation.deadline.as_secs(), 7200);
        assert_eq!((spec.federated.rounds.count, spec.model().bands), (9, vec!["nir".to_owned()]));
    }

    #[test]
    #[should_panic(expected = "`participation.max`")]
    fn a_plan_that_is_not_valid_has_no_text() {
        let _ = Plan::new(ROUNDS).participants(3, 2).text();
    }
}
