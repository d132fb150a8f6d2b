//! The checks find planted cycles, forbidden imports and impure modules, in every way of writing them.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;

use eosfed_layers::{
    CrateRule, Import, ModuleRule, Outside, OutsideRule, PureRule, ReadError, Violation, Workspace, circles,
    crate_rules, impure, module_rules, outside_rules,
};

/// A crate: its name, its manifest's dependencies, and its files with their texts.
type Crate<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// A workspace of these crates.
fn planted(crates: &[Crate<'_>]) -> Result<(Workspace, Vec<Import>), ReadError> {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = crates.iter().map(|(name, ..)| format!("{name:?}")).collect();
    let members = format!("[workspace]\nmembers = [{}]\n", names.join(", "));
    fs::write(folder.path().join("Cargo.toml"), members).unwrap();
    for (name, dependencies, files) in crates {
        let root = folder.path().join(name);
        fs::create_dir_all(root.join("src")).unwrap();
        let manifest = format!("[package]\nname = {name:?}\n[dependencies]\n{dependencies}\n");
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        for (path, text) in *files {
            let path = root.join("src").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let workspace = Workspace::read(folder.path())?;
    let imports = workspace.imports();
    Ok((workspace, imports))
}

/// The circles of one crate with these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let (_, imports) = planted(&[("one", "", files)]).unwrap();
    subjects(&circles(&imports))
}

fn subjects(found: &[Violation]) -> Vec<String> {
    found.iter().map(|violation| violation.subject.clone()).collect()
}

const ROOT: (&str, &str) = ("lib.rs", "pub mod a;\npub mod b;\npub mod c;\n");

#[test]
fn a_circle_is_found_in_every_way_of_writing_imports() {
    let back = [
        "use crate::a::A;",
        "use super::a;",
        "use crate::{c::C, a::{self as other}};",
        "fn f() { crate::a::f() }",
        "fn f() { println!(\"{}\", crate::a::f()); }",
        "#[derive(Deserialize)] struct S { #[serde(with = \"crate::a\")] field: u8 }",
        "mod inner { use super::super::a::A; }",
        "pub use crate::a::A;",
    ];
    for text in back {
        let files =
            [ROOT, ("a.rs", "use crate::b::B; pub struct A;"), ("b.rs", text), ("c.rs", "pub struct C;")];
        assert_eq!(circles_of(&files), ["one: a, b"], "{text}");
    }
}

#[test]
fn the_lines_of_a_circle_are_named() {
    let files = [ROOT, ("a.rs", "\n\nuse crate::b;"), ("b.rs", "use crate::a;"), ("c.rs", "")];
    let (_, imports) = planted(&[("one", "", &files)]).unwrap();
    let found = circles(&imports).remove(0);
    assert!(found.detail.contains("a imports b: one/src/a.rs:3 `crate::b`"), "{found}");
    assert!(found.detail.contains("b imports a: one/src/b.rs:1 `crate::a`"), "{found}");
}

#[test]
fn imports_for_tests_make_no_circle() {
    let tests = "#[cfg(test)] use crate::a::A; #[cfg(test)] mod tests { use crate::a::A; }\
                 struct S; impl S { #[cfg(test)] fn f() { crate::a::f() } }";
    let files = [ROOT, ("a.rs", "use crate::b::B;"), ("b.rs", tests), ("c.rs", "")];
    assert_eq!(circles_of(&files), [""; 0]);
}

#[test]
fn longer_circles_and_those_among_children_are_found() {
    let long = [ROOT, ("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "use crate::a;")];
    assert_eq!(circles_of(&long), ["one: a, b, c"]);
    let children = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; pub use x::X;"),
        ("a/x.rs", "use super::y::Y; pub struct X;"),
        ("a/y.rs", "use crate::a::X; pub struct Y;"),
    ];
    assert_eq!(circles_of(&children), ["one::a: x, y"], "`crate::a::X` is passed on from `x`");
}

#[test]
fn the_root_belongs_to_a_circle_unless_it_only_re_exports() {
    let names =
        [("lib.rs", "mod a; mod b; pub use a::A;"), ("a.rs", "pub struct A;"), ("b.rs", "use crate::A;")];
    assert_eq!(circles_of(&names), [""; 0]);
    let uses = [("lib.rs", "mod a; pub struct R; fn f() { a::f() }"), ("a.rs", "use crate::R;")];
    assert_eq!(circles_of(&uses), ["one: (root), a"]);
}

#[test]
fn a_module_may_use_its_children_and_they_may_use_it() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a.rs", "mod x; use x::X; pub struct A;"),
        ("a/x.rs", "use super::A; pub struct X;"),
    ];
    assert_eq!(circles_of(&files), [""; 0]);
}

#[test]
fn forbidden_imports_between_crates_are_found() {
    let (workspace, imports) = planted(&[
        ("low", "", &[("lib.rs", "pub mod m;"), ("m.rs", "")]),
        ("mid-dle", "low = {}", &[("lib.rs", "use low::m;"), ("main.rs", "use mid_dle::x; use low::m;")]),
        ("high", "", &[("lib.rs", "fn f() { mid_dle::f() }")]),
        ("new", "", &[("lib.rs", "")]),
    ])
    .unwrap();
    let rules = [
        CrateRule { name: "low", may_import: &[] },
        CrateRule { name: "mid_dle", may_import: &["low"] },
        CrateRule { name: "high", may_import: &["low"] },
        CrateRule { name: "gone", may_import: &[] },
    ];
    assert_eq!(
        subjects(&crate_rules(&workspace, &imports, &rules)),
        ["a rule names crate `gone`", "`new` has no rule", "`high` must not import `mid_dle`"]
    );
}

#[test]
fn forbidden_imports_between_layers_are_found() {
    let files = [ROOT, ("a.rs", "use crate::b;"), ("b.rs", "use crate::c; use super::a;"), ("c.rs", "")];
    let (workspace, imports) = planted(&[("one", "", &files)]).unwrap();
    let rule = |module, may_import| ModuleRule { package: "one", module, may_import };
    let rules = [rule("a", &["b"]), rule("b", &["c"]), rule("c", &["gone"])];
    assert_eq!(
        subjects(&module_rules(&workspace, &imports, &rules)),
        ["`one::b` must not import `one::a`", "a rule names `one::gone`"]
    );
}

#[test]
fn forbidden_crates_outside_are_found() {
    let (_, imports) = planted(&[("one", "clap = {}", &[("lib.rs", "use clap::Parser;")])]).unwrap();
    let rules = [OutsideRule { package: "one", never: "clap" }];
    assert_eq!(subjects(&outside_rules(&imports, &rules)), ["`one` must not use `clap`"]);
}

const OUTSIDE: Outside =
    Outside { allowed: &["serde", "std"], forbidden: &["std::io", "std::fs"], harmless: &["std::io::Error"] };

/// The violations of the module `one::a` with this text.
fn impurities(text: &str) -> Vec<Violation> {
    let (workspace, imports) = planted(&[
        (
            "one",
            "serde = {}\ntokio = {}",
            &[ROOT, ("a.rs", text), ("b.rs", "use crate::c;"), ("c.rs", "use std::fs;")],
        ),
        ("two", "", &[("lib.rs", "")]),
        ("three", "", &[("lib.rs", "")]),
    ])
    .unwrap();
    let rules = [PureRule { package: "one", module: "a", may_import: &["three"] }];
    impure(&workspace, &imports, &rules, &OUTSIDE)
}

#[test]
fn pure_modules_do_not_reach_forbidden_uses() {
    for text in [
        "use serde::Serialize; use std::fmt; use std::io::Error;",
        "use three::x;",
        "fn f(x: Local::Type) {}",
    ] {
        assert_eq!(subjects(&impurities(text)), [""; 0], "{text}");
    }
    for (text, used) in [
        ("use std::fs;", "std::fs"),
        ("fn f() { std::io::stdin() }", "std::io::stdin"),
        ("use std::io::{Error, Read};", "std::io::Read"),
        ("async fn f() { tokio::time::sleep(x).await }", "tokio::time::sleep"),
        ("use two::x;", "two"),
        ("use crate::b;", "std::fs"),
    ] {
        assert_eq!(
            subjects(&impurities(text)),
            [format!("`one::a` must not come to use `{used}`")],
            "{text}"
        );
    }
    let way = impurities("use crate::b;").remove(0).detail;
    assert!(way.contains("c.rs:1") && way.contains("b.rs:1") && way.contains("a.rs:1"), "{way}");
}

#[test]
fn sources_that_cannot_be_read_are_an_error() {
    let missing = planted(&[("one", "", &[("lib.rs", "mod gone;")])]).unwrap_err().to_string();
    assert!(missing.contains("lib.rs") && missing.contains("`gone`"), "{missing}");
    let syntax = planted(&[("one", "", &[("lib.rs", "mod a {")])]).unwrap_err().to_string();
    assert!(syntax.contains("lib.rs"), "{syntax}");
}
