//! The rules for imports between crates and between modules of a crate.

use std::collections::BTreeSet;

use crate::Violation;
use crate::names::{Import, Target, Workspace};

/// The crates of the workspace that a crate may import.
#[derive(Debug, Clone, Copy)]
pub struct CrateRule {
    /// The crate.
    pub name: &'static str,
    /// The allowed imports.
    pub may_import: &'static [&'static str],
}

/// The modules of its own crate that a top-level module may import.
#[derive(Debug, Clone, Copy)]
pub struct ModuleRule {
    /// The crate.
    pub package: &'static str,
    /// The module.
    pub module: &'static str,
    /// The allowed imports.
    pub may_import: &'static [&'static str],
}

/// A crate outside the workspace that a crate must not use.
#[derive(Debug, Clone, Copy)]
pub struct OutsideRule {
    /// The crate.
    pub package: &'static str,
    /// The forbidden crate.
    pub never: &'static str,
}

/// Uses of crates outside the workspace that a rule forbids.
#[must_use]
pub fn outside_rules(imports: &[Import], rules: &[OutsideRule]) -> Vec<Violation> {
    let mut found = Vec::new();
    for import in imports {
        let Target::Outside(path) = &import.target else { continue };
        let Some(name) = path.first() else { continue };
        if rules.iter().any(|rule| rule.package == import.package && rule.never == name) {
            let subject = format!("`{}` must not use `{name}`", import.package);
            found.push(Violation { rule: "crate", subject, detail: place(import) });
        }
    }
    found
}

/// Imports between crates that no rule allows, crates without a rule, and rules without a crate. A
/// program may import the library of its own package and what that may import.
#[must_use]
pub fn crate_rules(workspace: &Workspace, imports: &[Import], rules: &[CrateRule]) -> Vec<Violation> {
    let of = |name: &str| rules.iter().find(|rule| rule.name == library(name));
    let known: BTreeSet<String> = workspace.crates().map(library).collect();
    let mut found: Vec<Violation> = rules
        .iter()
        .filter(|rule| !known.contains(rule.name))
        .map(|rule| stale(&format!("crate `{}`", rule.name)))
        .collect();
    for name in workspace.crates().filter(|name| of(name).is_none()) {
        let detail = "  say in the rules which crates it may import".to_owned();
        found.push(Violation { rule: "crate", subject: format!("`{name}` has no rule"), detail });
    }
    for import in imports {
        let Target::Module { package, .. } = &import.target else { continue };
        let Some(rule) = of(&import.package) else { continue };
        if *package == import.package || package == rule.name || rule.may_import.contains(&package.as_str()) {
            continue;
        }
        let subject = format!("`{}` must not import `{package}`", import.package);
        found.push(Violation { rule: "crate", subject, detail: place(import) });
    }
    found
}

/// Imports between top-level modules that no rule allows, and rules without a module.
#[must_use]
pub fn module_rules(workspace: &Workspace, imports: &[Import], rules: &[ModuleRule]) -> Vec<Violation> {
    let mut found = Vec::new();
    for ModuleRule { package, module, may_import } in rules {
        for name in may_import.iter().chain([module]) {
            if !workspace.has(package, &[(*name).to_owned()]) {
                found.push(stale(&format!("`{package}::{name}`")));
            }
        }
        let own = imports.iter().filter(|import| import.package == *package);
        for import in own.filter(|import| import.module.first().is_some_and(|first| first == module)) {
            let Target::Module { package: to, path } = &import.target else { continue };
            let name = path.first().map_or("(root)", String::as_str);
            if to != package || name == *module || may_import.contains(&name) {
                continue;
            }
            let subject = format!("`{package}::{module}` must not import `{package}::{name}`");
            found.push(Violation { rule: "layer", subject, detail: place(import) });
        }
    }
    found
}

/// The library of the package that a crate belongs to.
fn library(name: &str) -> String {
    name.split(" (").next().unwrap_or(name).replace('-', "_")
}

pub(crate) fn stale(what: &str) -> Violation {
    let detail = "  there is no such thing any more; correct the rule".to_owned();
    Violation { rule: "layer", subject: format!("a rule names {what}"), detail }
}

pub(crate) fn place(import: &Import) -> String {
    format!("  {}:{} `{}`", import.file.display(), import.line, import.written)
}
