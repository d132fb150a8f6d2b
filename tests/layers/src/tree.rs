//! The modules of a crate, from its `mod` declarations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quote::ToTokens as _;
use syn::{Attribute, Item, UseTree, Visibility};

use crate::ReadError;
use crate::paths::{RawPath, paths};

/// A module.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its file.
    pub(crate) file: PathBuf,
    /// The paths in it, children excluded. Public imports are not among them.
    pub(crate) paths: Vec<RawPath>,
    /// Its child modules.
    pub(crate) children: BTreeSet<String>,
    /// Re-exported names and their targets: `pub use`.
    pub(crate) exports: BTreeMap<String, Vec<String>>,
    /// Modules whose names are all re-exported.
    pub(crate) glob_exports: Vec<Vec<String>>,
}

/// The modules of a crate by their path; the root has the empty one.
pub(crate) type Tree = BTreeMap<Vec<String>, Module>;

/// Reads a crate from its root file.
pub(crate) fn read(root: &Path) -> Result<Tree, ReadError> {
    let mut tree = Tree::new();
    let folder = root.parent().unwrap_or(root).to_owned();
    file(root, &folder, Vec::new(), &mut tree)?;
    Ok(tree)
}

/// Reads the file of module `path`; the files of its children lie in `folder`.
fn file(source: &Path, folder: &Path, path: Vec<String>, tree: &mut Tree) -> Result<(), ReadError> {
    let text = crate::read(source)?;
    let syntax = |error| ReadError::Syntax { path: source.to_owned(), source: error };
    let items = syn::parse_file(&text).map_err(syntax)?.items;
    module(source, folder, items, path, tree)
}

fn module(
    source: &Path,
    folder: &Path,
    items: Vec<Item>,
    path: Vec<String>,
    tree: &mut Tree,
) -> Result<(), ReadError> {
    let mut this = Module {
        file: source.to_owned(),
        paths: Vec::new(),
        children: BTreeSet::new(),
        exports: BTreeMap::new(),
        glob_exports: Vec::new(),
    };
    for item in items {
        if attributes(&item).iter().any(is_for_tests) {
            continue;
        }
        match item {
            Item::Mod(child) => {
                let name = child.ident.to_string();
                let below = [path.clone(), vec![name.clone()]].concat();
                this.children.insert(name.clone());
                match child.content {
                    Some((_, items)) => module(source, &folder.join(&name), items, below, tree)?,
                    None => declared(source, folder, &name, below, tree)?,
                }
            }
            Item::Use(import) if !matches!(import.vis, Visibility::Inherited) => {
                export(&import.tree, Vec::new(), &mut this);
            }
            other => this.paths.extend(paths(without_tests(other).into_token_stream())),
        }
    }
    tree.insert(path, this);
    Ok(())
}

/// Reads the file of a module that is declared without a body.
fn declared(
    source: &Path,
    folder: &Path,
    name: &str,
    path: Vec<String>,
    tree: &mut Tree,
) -> Result<(), ReadError> {
    let below = folder.join(name);
    for file_name in [folder.join(format!("{name}.rs")), below.join("mod.rs")] {
        if file_name.is_file() {
            return file(&file_name, &below, path, tree);
        }
    }
    Err(ReadError::Missing { path: source.to_owned(), module: name.to_owned() })
}

fn export(tree: &UseTree, prefix: Vec<String>, module: &mut Module) {
    let with = |name: &syn::Ident| [prefix.clone(), vec![name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => export(&path.tree, with(&path.ident), module),
        UseTree::Name(name) if name.ident == "self" => {
            let last = prefix.last().cloned().unwrap_or_default();
            module.exports.insert(last, prefix);
        }
        UseTree::Name(name) => drop(module.exports.insert(name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(rename) => {
            module.exports.insert(rename.rename.to_string(), with(&rename.ident));
        }
        UseTree::Glob(_) => module.glob_exports.push(prefix),
        UseTree::Group(group) => group.items.iter().for_each(|one| export(one, prefix.clone(), module)),
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

/// An item without the functions in it that are for tests only.
fn without_tests(mut item: Item) -> Item {
    if let Item::Impl(implementation) = &mut item {
        implementation.items.retain(|one| match one {
            syn::ImplItem::Fn(function) => !function.attrs.iter().any(is_for_tests),
            _ => true,
        });
    }
    item
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
