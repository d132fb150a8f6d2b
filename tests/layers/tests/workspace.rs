//! The layer rule of this workspace. ARCHITECTURE.md describes it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::sync::LazyLock;

use eosfed_layers::{
    CrateRule, Import, ModuleRule, Outside, OutsideRule, PureRule, Violation, Workspace, circles,
    crate_rules, impure, module_rules, outside_rules,
};

const fn package(name: &'static str, may_import: &'static [&'static str]) -> CrateRule {
    CrateRule { name, may_import }
}

/// The allowed imports of each crate outside its tests. No crate imports a bench, a test or the fuzz
/// harness, and no program imports the test kit.
const CRATES: [CrateRule; 23] = [
    package("eosfed_proto", &[]),
    package("eosfed_common", &[]),
    package("eosfed_manual", &[]),
    package("eosfed_plot", &[]),
    package("eosfed_tables", &["eosfed_common"]),
    package("eosfed_transport", &["eosfed_common", "eosfed_proto"]),
    package(
        "eosfed_cli",
        &[
            "eosfed_common",
            "eosfed_manual",
            "eosfed_plot",
            "eosfed_proto",
            "eosfed_tables",
            "eosfed_transport",
        ],
    ),
    package("eosfed_aggregation", &["eosfed_common"]),
    package(
        "eosfed_coordinator",
        &[
            "eosfed_aggregation",
            "eosfed_common",
            "eosfed_dashboard",
            "eosfed_manual",
            "eosfed_proto",
            "eosfed_transport",
            "eosfed_web",
        ],
    ),
    package("eosfed_data", &["eosfed_common", "eosfed_plot"]),
    package(
        "eosfed_client",
        &[
            "eosfed_common",
            "eosfed_dashboard",
            "eosfed_data",
            "eosfed_manual",
            "eosfed_proto",
            "eosfed_tables",
            "eosfed_transport",
            "eosfed_web",
        ],
    ),
    package("eosfed_trainer", &["eosfed_common", "eosfed_data", "eosfed_manual", "eosfed_plot"]),
    package("eosfed_dashboard", &["eosfed_common"]),
    package("eosfed_web", &["eosfed_common", "eosfed_dashboard"]),
    package("eosfed_attacks", &["eosfed_aggregation", "eosfed_common", "eosfed_data"]),
    package(
        "eosfed_hostile",
        &["eosfed_common", "eosfed_coordinator", "eosfed_proto", "eosfed_testkit", "eosfed_transport"],
    ),
    package("eosfed_load", &["eosfed_common", "eosfed_proto", "eosfed_testkit", "eosfed_transport"]),
    package(
        "eosfed_fuzz_harness",
        &[
            "eosfed_cli",
            "eosfed_client",
            "eosfed_common",
            "eosfed_coordinator",
            "eosfed_data",
            "eosfed_proto",
            "eosfed_testkit",
            "eosfed_transport",
        ],
    ),
    // Its plans are text of the kit; its oracle and its stub trainer share nothing with the programs.
    package("eosfed_e2e", &["eosfed_testkit"]),
    package(
        "eosfed_simulation",
        &[
            "eosfed_aggregation",
            "eosfed_client",
            "eosfed_common",
            "eosfed_coordinator",
            "eosfed_testkit",
            "eosfed_transport",
        ],
    ),
    package("eosfed_layers", &[]),
    package("eosfed_testkit", &["eosfed_common"]),
    package(
        "eosfed_reference",
        &["eosfed_cli", "eosfed_client", "eosfed_common", "eosfed_coordinator", "eosfed_data"],
    ),
];

const fn layer(
    package: &'static str,
    module: &'static str,
    may_import: &'static [&'static str],
) -> ModuleRule {
    ModuleRule { package, module, may_import }
}

/// The allowed imports between the layers of a crate.
const MODULES: &[ModuleRule] = &[
    layer("eosfed_coordinator", "domain", &[]),
    layer("eosfed_coordinator", "storage", &["domain"]),
    layer("eosfed_coordinator", "engine", &["domain", "metrics", "storage"]),
    layer("eosfed_coordinator", "tls", &[]),
    layer("eosfed_coordinator", "disk", &[]),
    layer(
        "eosfed_coordinator",
        "grpc",
        &["disk", "domain", "engine", "metrics", "overview", "sessions", "storage", "tls", "traffic"],
    ),
    layer("eosfed_coordinator", "metrics", &[]),
    layer("eosfed_coordinator", "traces", &["domain", "engine"]),
    layer("eosfed_coordinator", "traffic", &[]),
    layer("eosfed_coordinator", "overview", &["backup", "disk", "domain", "engine", "traffic"]),
    layer("eosfed_coordinator", "notify", &["disk", "domain", "engine", "metrics", "traffic"]),
    layer("eosfed_coordinator", "sessions", &["domain"]),
    layer(
        "eosfed_coordinator",
        "http",
        &["disk", "domain", "engine", "metrics", "overview", "sessions", "storage", "tls", "traffic"],
    ),
    layer("eosfed_coordinator", "backup", &["domain", "settings", "storage"]),
    layer("eosfed_client", "privacy", &[]),
    layer("eosfed_client", "policy", &["privacy"]),
    layer("eosfed_client", "retry", &[]),
    layer("eosfed_client", "condition", &[]),
    layer("eosfed_client", "offload", &[]),
    layer("eosfed_client", "site", &["policy", "privacy"]),
    layer("eosfed_client", "site_log", &["policy"]),
    layer("eosfed_client", "spent", &["privacy", "site", "site_log"]),
    layer("eosfed_client", "budgets", &["policy", "site"]),
    layer(
        "eosfed_client",
        "report",
        &["budgets", "document", "journal", "policy", "privacy", "settings", "site", "state"],
    ),
    layer("eosfed_client", "jobs", &["document", "journal", "site", "site_log"]),
    layer(
        "eosfed_client",
        "dashboard",
        &[
            "budgets", "document", "journal", "policy", "report", "settings", "site", "site_log", "spent",
            "state",
        ],
    ),
    layer("eosfed_client", "state", &["condition", "privacy"]),
    layer("eosfed_client", "journal", &["settings", "site", "state"]),
    layer("eosfed_client", "outbound", &["state"]),
    layer("eosfed_client", "noised", &["outbound", "privacy"]),
    layer("eosfed_client", "egress", &["data_sets", "policy", "privacy", "settings", "site_log"]),
    layer("eosfed_client", "data_description", &["policy"]),
    layer("eosfed_client", "data_sets", &[]),
    layer("eosfed_client", "imagery", &["condition", "data_description", "data_sets", "offload"]),
    layer("eosfed_client", "coordinator", &["site"]),
    layer("eosfed_client", "sandbox", &[]),
    layer("eosfed_client", "setup", &["data_sets", "policy"]),
    layer("eosfed_client", "trainer", &["condition", "sandbox", "settings", "state"]),
    layer("eosfed_trainer", "net", &["device", "parameters"]),
    layer("eosfed_trainer", "train", &["device", "energy", "metrics", "net", "parameters"]),
    layer("eosfed_trainer", "ensemble", &["device", "energy", "metrics", "net", "parameters", "train"]),
    layer("eosfed_trainer", "parameters", &[]),
    layer("eosfed_trainer", "energy", &["device"]),
];

const fn pure(package: &'static str, module: &'static str) -> PureRule {
    PureRule { package, module, may_import: &["eosfed_common"] }
}

/// Pure modules.
const PURE: [PureRule; 11] = [
    pure("eosfed_coordinator", "domain"),
    pure("eosfed_client", "privacy"),
    pure("eosfed_client", "policy"),
    pure("eosfed_client", "retry"),
    pure("eosfed_client", "condition"),
    pure("eosfed_client", "state"),
    pure("eosfed_client", "daemon::step"),
    pure("eosfed_dashboard", "chart"),
    pure("eosfed_dashboard", "layout"),
    pure("eosfed_dashboard", "page"),
    pure("eosfed_dashboard", "parts"),
];

/// The crates outside of the workspace that a pure module may use.
const OUTSIDE: Outside = Outside {
    allowed: &[
        "alloc",
        "core",
        "hex",
        "jiff",
        // Templates.
        "maud",
        "rand",
        "rand_chacha",
        "rand_distr",
        // Signatures with keys that are arguments.
        "ring",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "std",
        "strum",
        "thiserror",
        "toml",
        "toml_parser",
        "zeroize",
    ],
    forbidden: &[
        "jiff::Timestamp::now",
        "jiff::Zoned::now",
        "jiff::tz",
        "rand::random",
        "rand::rng",
        "rand::rngs",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::os",
        "std::process",
        "std::sync",
        "std::thread",
        "std::time",
    ],
    harmless: &[
        "std::io::Error",
        "std::io::ErrorKind",
        "std::sync::Arc",
        "std::sync::LazyLock",
        "std::time::Duration",
    ],
};

/// Libraries without a command line.
const NEVER: [OutsideRule; 5] = [
    OutsideRule { package: "eosfed_client", never: "clap" },
    OutsideRule { package: "eosfed_client", never: "comfy_table" },
    OutsideRule { package: "eosfed_client", never: "eosfed_tables" },
    OutsideRule { package: "eosfed_client", never: "indicatif" },
    OutsideRule { package: "eosfed_trainer", never: "clap" },
];

/// The sources, read once for all tests.
static SOURCES: LazyLock<(Workspace, Vec<Import>)> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let workspace = Workspace::read(root).unwrap();
    let imports = workspace.imports();
    (workspace, imports)
});

/// Fails with every violation.
fn none(found: &[Violation]) {
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} broken rules\n\n{}\n", found.len(), found.join("\n\n"));
}

#[test]
fn all_sources_are_read() {
    let (workspace, imports) = &*SOURCES;
    assert!(workspace.crates().count() >= 20, "{:?}", workspace.crates().collect::<Vec<_>>());
    assert!(imports.len() > 4000, "only {} imports were found", imports.len());
}

#[test]
fn crates_import_only_allowed_crates() {
    let (workspace, imports) = &*SOURCES;
    none(&crate_rules(workspace, imports, &CRATES));
    none(&outside_rules(imports, &NEVER));
}

#[test]
fn layers_import_only_allowed_layers() {
    let (workspace, imports) = &*SOURCES;
    none(&module_rules(workspace, imports, MODULES));
}

#[test]
fn modules_that_decide_are_pure() {
    let (workspace, imports) = &*SOURCES;
    none(&impure(workspace, imports, &PURE, &OUTSIDE));
}

#[test]
fn modules_have_no_circular_imports() {
    none(&circles(&SOURCES.1));
}
