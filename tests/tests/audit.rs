//! The ledger for operators: list, export, verify, and damage.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;

use eosfed_e2e::{Federation, fail, succeed};
use serde_json::Value;

#[test]
fn an_operator_lists_exports_and_verifies_the_ledger() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    federation.invite("west", "1h");
    let file = federation.path("events.jsonl");
    let file = file.to_str().unwrap();

    let listed = succeed(&mut federation.eosfed(&["audit", "list", "--actor", "operator"]));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains("operator:ada") && listed.contains("institution_invited  west"), "{listed}");

    let exported = federation.ask(&["audit", "export", file]);
    assert_eq!((&exported["events"], &exported["whole"]), (&4.into(), &true.into()));
    let online = federation.ask(&["audit", "verify"]);
    let offline = federation.ask(&["audit", "verify", file]);
    assert_eq!(online, offline);
    let noted = online["newest"].as_str().unwrap().to_owned();

    // A word of an old event is changed: verification names the event.
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("\"west\"", "\"east\"", 1)).unwrap();
    let said = fail(&mut federation.eosfed(&["audit", "verify", file]), 1);
    assert!(said.contains("event 3 was changed"), "{said}");
    // The end is dropped: only the noted event reveals it.
    let kept: Vec<&str> = text.lines().take(3).collect();
    fs::write(file, format!("{}\n", kept.join("\n"))).unwrap();
    succeed(&mut federation.eosfed(&["audit", "verify", file]));
    let said = fail(&mut federation.eosfed(&["audit", "verify", file, "--noted", &noted]), 1);
    assert!(said.contains("event 3 was noted as"), "{said}");

    federation.invite("east", "1h");
    let events = federation.ask(&["audit", "verify", "--noted", &noted])["events"].clone();
    assert_eq!(events, 5);
    let newest: Value = federation.ask(&["audit", "list", "--limit", "1"]);
    assert_eq!(newest[0]["institution"], "east");
    let said = fail(&mut federation.eosfed(&["audit", "list", "--kind", "invited"]), 64);
    assert!(said.contains("institution_invited"), "{said}");
}
