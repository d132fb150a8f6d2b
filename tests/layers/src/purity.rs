//! Pure modules: they, and all modules of the workspace that they import directly or indirectly, do not use
//! files, waiting, threads, the clock or randomness.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Violation;
use crate::layers::stale;
use crate::names::{Import, Target, Workspace};

/// A pure module, with its children.
#[derive(Debug, Clone, Copy)]
pub struct PureRule {
    /// The crate.
    pub package: &'static str,
    /// The module, such as `daemon::step`.
    pub module: &'static str,
    /// The crates of the workspace that it may import.
    pub may_import: &'static [&'static str],
}

/// What is used of crates outside the workspace.
#[derive(Debug, Clone, Copy)]
pub struct Outside {
    /// Crates that compute only.
    pub allowed: &'static [&'static str],
    /// Paths of those crates, and of `std`, that do more.
    pub forbidden: &'static [&'static str],
    /// Exceptions from the forbidden paths.
    pub harmless: &'static [&'static str],
}

impl Outside {
    fn allows(&self, path: &[String]) -> bool {
        let written = path.join("::");
        let within = |prefix: &&str| {
            written.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        path.first().is_some_and(|name| self.allowed.contains(&name.as_str()))
            && (!self.forbidden.iter().any(within) || self.harmless.iter().any(within))
    }
}

/// A module of a crate.
type Place = (String, Vec<String>);

/// Forbidden uses in pure modules and in the modules that they import directly or indirectly.
#[must_use]
pub fn impure(
    workspace: &Workspace,
    imports: &[Import],
    rules: &[PureRule],
    outside: &Outside,
) -> Vec<Violation> {
    let mut by_module: BTreeMap<Place, Vec<&Import>> = BTreeMap::new();
    for import in imports {
        by_module.entry((import.package.clone(), import.module.clone())).or_default().push(import);
    }
    rules.iter().flat_map(|rule| from_rule(workspace, &by_module, rule, outside)).collect()
}

fn from_rule(
    workspace: &Workspace,
    imports: &BTreeMap<Place, Vec<&Import>>,
    rule: &PureRule,
    outside: &Outside,
) -> Vec<Violation> {
    let root: Vec<String> = rule.module.split("::").map(str::to_owned).collect();
    if !workspace.has(rule.package, &root) {
        return vec![stale(&format!("`{}::{}`", rule.package, rule.module))];
    }
    let own = |(package, module): &Place| *package == rule.package && module.starts_with(&root);
    let mut waiting: VecDeque<Place> = imports.keys().filter(|place| own(place)).cloned().collect();
    let mut reached: BTreeMap<Place, Option<&Import>> =
        waiting.iter().map(|place| (place.clone(), None)).collect();
    let mut found = BTreeSet::new();
    while let Some(place) = waiting.pop_front() {
        for import in imports.get(&place).into_iter().flatten() {
            match &import.target {
                Target::Outside(path) if outside.allows(path) => {}
                Target::Outside(path) => {
                    found.insert(violation(rule, import, &path.join("::"), &reached, &place));
                }
                Target::Module { package, .. } if foreign(rule, &place, package) => {
                    found.insert(violation(rule, import, package, &reached, &place));
                }
                Target::Module { package, path } => {
                    let next = (package.clone(), path.clone());
                    if !reached.contains_key(&next) {
                        reached.insert(next.clone(), Some(import));
                        waiting.push_back(next);
                    }
                }
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a module of the rule's own crate imports a forbidden crate.
fn foreign(rule: &PureRule, (from, _): &Place, to: &str) -> bool {
    from == rule.package && to != rule.package && !rule.may_import.contains(&to)
}

/// Describes a forbidden use, with the imports that lead to it.
fn violation(
    rule: &PureRule,
    import: &Import,
    used: &str,
    reached: &BTreeMap<Place, Option<&Import>>,
    place: &Place,
) -> Violation {
    let mut lines = vec![crate::layers::place(import)];
    let mut at = place.clone();
    while let Some(Some(by)) = reached.get(&at) {
        lines.push(format!("{} leads there", crate::layers::place(by)));
        at = (by.package.clone(), by.module.clone());
    }
    let subject = format!("`{}::{}` must not come to use `{used}`", rule.package, rule.module);
    Violation { rule: "pure", subject, detail: lines.join("\n") }
}
