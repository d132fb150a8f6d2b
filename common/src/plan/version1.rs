//! Plans of version 1, which are refused with the lines to change.
//!
//! In version 1, `kind` and `mode` together gave the kind of a job. In version 2, `kind` alone does.

use std::fmt;

use toml::{Table, Value};

use super::JobKind;

/// Longest line that is shown in a message, in characters.
const MAX_SHOWN: usize = 120;

/// A line of a version-1 plan that is different in version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number, from 1, if the key has a line of its own.
    pub line: Option<usize>,
    /// The text in the plan.
    pub found: String,
    /// Its lines in version 2. Empty: the line is removed.
    pub becomes: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if self.becomes.is_empty() {
            return write!(f, "remove `{}`", self.found);
        }
        write!(f, "`{}` becomes `{}`", self.found, self.becomes.join("` and `"))
    }
}

/// The lines to change, if the document is a plan of version 1.
pub(super) fn changes(plan: &Table, text: &str) -> Option<Vec<Change>> {
    if plan.get("version").and_then(Value::as_integer) != Some(1) {
        return None;
    }
    let root = Place { table: plan, section: None, text };
    let word = |key: &str| plan.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = word("kind");
    let mut changes = Vec::new();
    changes.extend(root.change("version", |_| vec!["version = 2".to_owned()]));
    if kind == "specialist" {
        let kind = if word("mode") == "one-shot" { JobKind::OneShot } else { JobKind::Rounds };
        changes.extend(root.change("kind", |_| vec![format!("kind = \"{kind}\"")]));
    }
    changes.extend(root.change("mode", |_| Vec::new()));
    let gone: &[&str] = match kind {
        "evaluation" => &["seed", "licence", "release"],
        "downstream" => &["release"],
        _ => &[],
    };
    changes.extend(gone.iter().filter_map(|key| root.change(key, |_| Vec::new())));
    if let Some(Value::Table(table)) = plan.get("participation") {
        let place = Place { table, section: Some("participation"), text };
        changes.extend(place.change("attempts", |value| attempts(kind, value)));
    }
    Some(changes)
}

/// Version 1 had one setting for the attempts at a round and for lease expiries.
fn attempts(kind: &str, value: &Value) -> Vec<String> {
    let expiries = format!("lease_expiries = {value}");
    if kind == "evaluation" { vec![expiries] } else { vec![format!("attempts = {value}"), expiries] }
}

/// A table of the document.
struct Place<'a> {
    table: &'a Table,
    section: Option<&'a str>,
    text: &'a str,
}

impl Place<'_> {
    /// The change of a key, if the table has it.
    fn change(&self, key: &str, becomes: impl FnOnce(&Value) -> Vec<String>) -> Option<Change> {
        let value = self.table.get(key)?;
        let found = format!("{key} = {value}").chars().take(MAX_SHOWN).collect();
        Some(Change { line: self.line(key), found, becomes: becomes(value) })
    }

    /// The number of the line on which a key is set.
    fn line(&self, key: &str) -> Option<usize> {
        let mut section: Option<&str> = None;
        for (index, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                section = Some(header.split(']').next().unwrap_or_default().trim());
            }
            let is_key = line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
            if is_key && section == self.section {
                return Some(index + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{JobSpec, PlanError};

    const ROUNDS: &str = include_str!("../../fixtures/plan-1-rounds.toml");
    const DOWNSTREAM: &str = include_str!("../../fixtures/plan-1-downstream.toml");
    const EVALUATION: &str = include_str!("../../fixtures/plan-1-evaluation.toml");

    /// The error about a plan, and the plan with the lines changed.
    fn changed(text: &str) -> (String, String) {
        let error = JobSpec::parse(text).unwrap_err();
        let said = error.to_string();
        let PlanError::Version1(changes) = error else { panic!("{said}") };
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for change in changes {
            let line = &mut lines[change.line.unwrap() - 1];
            assert_eq!(line.trim(), change.found);
            *line = change.becomes.join("\n");
        }
        (said, lines.join("\n"))
    }

    #[test]
    fn a_plan_of_version_1_is_refused_with_the_lines_to_change() {
        let (said, rounds) = changed(ROUNDS);
        for line in [
            "line 1: `version = 1` becomes `version = 2`",
            "line 3: `kind = \"specialist\"` becomes `kind = \"rounds\"`",
            "line 4: remove `mode = \"rounds\"`",
            "line 16: `attempts = 5` becomes `attempts = 5` and `lease_expiries = 5`",
        ] {
            assert!(said.contains(line), "{line}\n{said}");
        }
        JobSpec::parse(&rounds).unwrap();
        let (said, _) = changed(&ROUNDS.replace("mode = \"rounds\"", "mode = \"one-shot\""));
        assert!(said.contains("becomes `kind = \"one-shot\"`"), "{said}");
    }

    #[test]
    fn the_changed_plan_is_one_of_version_2() {
        for text in [DOWNSTREAM, EVALUATION] {
            let (said, changed) = changed(text);
            assert!(!said.contains("`kind ="), "{said}");
            JobSpec::parse(&changed).unwrap_or_else(|error| panic!("{error}\n{changed}"));
        }
    }
}
