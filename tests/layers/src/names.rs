//! Resolution of paths in a workspace to modules of crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::ReadError;
use crate::paths::RawPath;
use crate::tree::{Module, Tree, read};

/// Most `pub use` steps of a name; more is a cycle of names.
const MAX_EXPORTS: usize = 16;

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A module of the workspace.
    Module {
        /// The crate.
        package: String,
        /// The module's path; empty for the root.
        path: Vec<String>,
    },
    /// A crate outside the workspace, or `std`.
    Outside(Vec<String>),
}

/// One import: its position and its target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The crate that imports.
    pub package: String,
    /// The module that imports; empty for the root.
    pub module: Vec<String>,
    /// The file, from the workspace's folder.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The path as written.
    pub written: String,
    /// Its target.
    pub target: Target,
}

/// All crates of a workspace. A program beside a library is a crate of its own, named `PACKAGE (PROGRAM)`.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    crates: BTreeMap<String, Tree>,
    /// Names of crates outside that each crate's manifest lists.
    outside: BTreeMap<String, BTreeSet<String>>,
}

impl Workspace {
    /// Reads the members of the workspace in `root`.
    ///
    /// # Errors
    /// If a manifest or a source file cannot be read.
    pub fn read(root: &Path) -> Result<Self, ReadError> {
        let manifest = manifest(&root.join("Cargo.toml"))?;
        let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
        let members: Vec<&str> = members
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .collect();
        let mut workspace = Self { root: root.to_owned(), crates: BTreeMap::new(), outside: BTreeMap::new() };
        for member in members {
            workspace.add(&root.join(member))?;
        }
        Ok(workspace)
    }

    /// The names of all crates.
    pub fn crates(&self) -> impl Iterator<Item = &str> {
        self.crates.keys().map(String::as_str)
    }

    /// Whether a crate has a module.
    #[must_use]
    pub fn has(&self, package: &str, module: &[String]) -> bool {
        self.crates.get(package).is_some_and(|tree| tree.contains_key(module))
    }

    fn add(&mut self, folder: &Path) -> Result<(), ReadError> {
        let path = folder.join("Cargo.toml");
        let manifest = manifest(&path)?;
        let name =
            manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        let missing =
            || ReadError::Manifest { path: path.clone(), reason: "`package.name` is missing".to_owned() };
        let name = name.ok_or_else(missing)?;
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let outside: BTreeSet<String> = dependencies
            .into_iter()
            .flat_map(|table| table.keys())
            .map(|name| name.replace('-', "_"))
            .collect();
        let mut roots = Vec::new();
        let library = folder.join("src/lib.rs");
        if library.is_file() {
            roots.push((name.replace('-', "_"), library));
        }
        for program in programs(folder)? {
            let stem = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            roots.push((format!("{name} ({stem})"), program));
        }
        for (name, root) in roots {
            self.crates.insert(name.clone(), read(&root)?);
            self.outside.insert(name, outside.clone());
        }
        Ok(())
    }

    /// Every import of every crate.
    #[must_use]
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (package, tree) in &self.crates {
            for (path, module) in tree {
                for raw in &module.paths {
                    if let Some(target) = self.target(package, path, &raw.segments) {
                        imports.push(self.import(package, path, module, raw, target));
                    }
                }
                let passed_on = module.exports.values().chain(&module.glob_exports);
                for segments in passed_on {
                    let raw = RawPath { segments: segments.clone(), line: 1 };
                    // The root of a module may re-export its children.
                    match self.target(package, path, segments) {
                        Some(Target::Module { package: other, path: to })
                            if other == *package && to.starts_with(path) => {}
                        Some(target) => imports.push(self.import(package, path, module, &raw, target)),
                        None => {}
                    }
                }
            }
        }
        imports
    }

    fn import(
        &self,
        package: &str,
        path: &[String],
        module: &Module,
        raw: &RawPath,
        target: Target,
    ) -> Import {
        Import {
            package: package.to_owned(),
            module: path.to_vec(),
            file: module.file.strip_prefix(&self.root).unwrap_or(&module.file).to_owned(),
            line: raw.line,
            written: raw.segments.join("::"),
            target,
        }
    }

    /// The target of a path in `module` of `package`. Nothing for local names.
    fn target(&self, package: &str, module: &[String], segments: &[String]) -> Option<Target> {
        self.follow(package, module, segments, 0)
    }

    fn follow(&self, package: &str, module: &[String], segments: &[String], depth: usize) -> Option<Target> {
        let tree = self.crates.get(package)?;
        let first = segments.first()?.as_str();
        let rest = &segments[1..];
        match first {
            "crate" => self.descend(package, Vec::new(), rest, depth),
            "self" => self.descend(package, module.to_vec(), rest, depth),
            "super" => {
                let parent = module.split_last().map_or(&[][..], |(_, above)| above);
                match rest.first().map(String::as_str) {
                    Some("super") => self.follow(package, parent, rest, depth),
                    _ => self.descend(package, parent.to_vec(), rest, depth),
                }
            }
            name if tree.get(module).is_some_and(|module| module.children.contains(name)) => {
                self.descend(package, module.to_vec(), segments, depth)
            }
            name if self.crates.contains_key(name) => self.descend(name, Vec::new(), rest, depth),
            name => {
                let known = ["std", "core", "alloc"].contains(&name)
                    || self.outside.get(package).is_some_and(|names| names.contains(name));
                known.then(|| Target::Outside(segments.to_vec()))
            }
        }
    }

    /// Resolves these segments from a module of a crate, through re-exported names.
    fn descend(
        &self,
        package: &str,
        mut path: Vec<String>,
        segments: &[String],
        depth: usize,
    ) -> Option<Target> {
        let tree = self.crates.get(package)?;
        let mut rest = segments;
        while let Some((first, more)) = rest.split_first() {
            let module = tree.get(&path)?;
            if !module.children.contains(first) {
                if let Some(passed_on) = self.passed_on(package, &path, module, first, depth) {
                    return Some(passed_on);
                }
                break;
            }
            path.push(first.clone());
            rest = more;
        }
        Some(Target::Module { package: package.to_owned(), path })
    }

    fn passed_on(
        &self,
        package: &str,
        path: &[String],
        module: &Module,
        name: &str,
        depth: usize,
    ) -> Option<Target> {
        let segments = module.exports.get(name)?;
        if depth == MAX_EXPORTS {
            return None;
        }
        self.follow(package, path, segments, depth + 1)
    }
}

/// The root files of a package's programs.
fn programs(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut found: Vec<PathBuf> =
        [folder.join("src/main.rs")].into_iter().filter(|path| path.is_file()).collect();
    let bins = folder.join("src/bin");
    if bins.is_dir() {
        let io = |source| ReadError::Io { path: bins.clone(), source };
        for entry in std::fs::read_dir(&bins).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn manifest(path: &Path) -> Result<toml::Table, ReadError> {
    let reason =
        |error: toml::de::Error| ReadError::Manifest { path: path.to_owned(), reason: error.to_string() };
    crate::read(path)?.parse().map_err(reason)
}
