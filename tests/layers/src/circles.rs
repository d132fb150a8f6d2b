//! Import cycles between the modules of a crate, at every level: among the top-level modules, and among the
//! children of each module.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::Violation;
use crate::names::{Import, Target};

/// The imports between the children of one parent, with their positions.
type Edges<'a> = BTreeMap<(&'a str, &'a str), &'a Import>;

/// The circles that these imports make. The root of a crate is a sibling of its modules: a module that
/// imports from the root what the root makes of modules is a circle, and `pub use` is none.
#[must_use]
pub fn circles(imports: &[Import]) -> Vec<Violation> {
    let mut levels: BTreeMap<(&str, &[String]), Edges<'_>> = BTreeMap::new();
    for import in imports {
        let Target::Module { package, path } = &import.target else { continue };
        if *package != import.package {
            continue;
        }
        let shared = import.module.iter().zip(path).take_while(|(a, b)| a == b).count();
        let from = import.module.get(shared);
        let to = path.get(shared);
        // A module and its own children belong together, except in the root of a crate.
        let (from, to) = match (from, to) {
            (Some(from), Some(to)) => (from.as_str(), to.as_str()),
            (None, Some(to)) if shared == 0 => ("", to.as_str()),
            (Some(from), None) if shared == 0 => (from.as_str(), ""),
            _ => continue,
        };
        let level = (import.package.as_str(), &import.module[..shared]);
        levels.entry(level).or_default().entry((from, to)).or_insert(import);
    }
    levels.iter().flat_map(|((package, parent), edges)| at_level(package, parent, edges)).collect()
}

fn at_level(package: &str, parent: &[String], edges: &Edges<'_>) -> Vec<Violation> {
    let graph: DiGraphMap<&str, ()> = edges.keys().map(|(from, to)| (*from, *to, ())).collect();
    let groups = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    groups.map(|group| violation(package, parent, &group, edges)).collect()
}

fn violation(package: &str, parent: &[String], group: &[&str], edges: &Edges<'_>) -> Violation {
    let names: BTreeSet<&str> = group.iter().copied().collect();
    let shown = |name: &str| if name.is_empty() { "(root)".to_owned() } else { name.to_owned() };
    let place = [vec![package.to_owned()], parent.to_vec()].concat().join("::");
    let listed: Vec<String> = names.iter().map(|name| shown(name)).collect();
    let within = edges.iter().filter(|((from, to), _)| names.contains(from) && names.contains(to));
    let lines: Vec<String> = within
        .map(|((from, to), import)| {
            format!(
                "  {} imports {}: {}:{} `{}`",
                shown(from),
                shown(to),
                import.file.display(),
                import.line,
                import.written
            )
        })
        .collect();
    Violation { rule: "circle", subject: format!("{place}: {}", listed.join(", ")), detail: lines.join("\n") }
}
