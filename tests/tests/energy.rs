//! Energy from the training program to the card: what it has reported, added up, with the emissions at each
//! site's intensity. What is not known is said to be so.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use eosfed_e2e::plans::rounds;
use eosfed_e2e::{Federation, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// An institution whose training program reports this energy.
fn reporting(federation: &Federation, name: &str, seed: u8, kwh: &str, source: &str) {
    let trainer = federation.path(&format!("{name}.sh"));
    let report = format!(r#""kwh":{kwh},"source":"{source}""#);
    let script = format!(
        "#!/bin/sh\n\"{STUB}\" \"$@\" | sed -u 's/\"kwh\":0.0,\"source\":\"unavailable\"/{report}/'\n"
    );
    fs::write(&trainer, script).unwrap();
    fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).unwrap();
    federation.stubbed(name, seed, trainer.to_str().unwrap());
}

fn intensity(federation: &Federation, name: &str, grams: u32) {
    let line = format!("carbon_intensity_g_per_kwh = {grams}");
    federation.set(name, "# carbon_intensity_g_per_kwh = 250", &line);
}

/// The energy of an institution in each training round.
fn spent<'a>(job: &'a Value, name: &str) -> Vec<&'a Value> {
    let rounds = job["history"].as_array().unwrap().iter();
    let energies = rounds.map(|round| &round["participants"][name]["energy"]);
    energies.filter(|energy| !energy.is_null()).collect()
}

#[test]
fn the_card_has_what_the_training_programs_have_reported() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    reporting(&federation, "east", 1, "0.5", "measured");
    reporting(&federation, "west", 2, "0.25", "partial");
    intensity(&federation, "east", 300);
    let west = federation.daemon("west");
    let _east = federation.daemon("east");

    let submitted = federation.submit(&rounds(2, 2, 2, "10m").text());
    let job = federation.wait(&submitted, "it finishes", |job| job["state"] == "finished");
    let job = federation.ask(&["job", "show", job["id"].as_str().unwrap()]);
    for energy in spent(&job, "east") {
        assert_eq!(*energy, serde_json::json!({ "kwh": 0.5, "source": "measured", "co2e_g": 150.0 }));
    }
    for energy in spent(&job, "west") {
        assert_eq!(*energy, serde_json::json!({ "kwh": 0.25, "source": "partial" }), "unknown, not 0");
    }
    assert_eq!((spent(&job, "east").len(), spent(&job, "west").len()), (2, 2), "{job:#}");
    let whole = serde_json::json!({ "kwh": 1.5, "source": "partial" });
    assert_eq!(job["energy"], whole, "a part of the emissions is not known");
    assert_eq!(federation.ask(&["specialist", "show", "shared"])["energy"], whole);
    let shown = succeed(&mut federation.eosfed(&["specialist", "show", "shared", "--output", "table"]));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("1.50 kWh (partial: the real figure is higher), CO2e unknown"), "{shown}");

    // With the intensity of both sites, the emissions are known: 2 rounds of 150 g and 25 g.
    assert!(west.terminate().success());
    intensity(&federation, "west", 100);
    let _west = federation.daemon("west");
    let submitted = federation.submit(&rounds(2, 2, 2, "10m").text());
    let job = federation.wait(&submitted, "it finishes", |job| job["state"] == "finished");
    assert_eq!(job["energy"]["co2e_g"], 350.0, "{job:#}");
    let card = federation.ask(&["specialist", "show", "shared"]);
    assert_eq!((&card["version"], &card["energy"]), (&2.into(), &job["energy"]));
    succeed(&mut federation.eosfed(&["release", "pull", "--to", federation.path("out").to_str().unwrap()]));
    let items = walk(&federation.path("out"));
    let item = items.iter().find(|text| text.contains("eosfed:energy_kwh")).unwrap();
    assert!(item.contains("\"eosfed:energy_co2e_g\": 350.0"), "{item}");
}

/// The JSON files in a folder and those below it.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.extension().is_some_and(|end| end == "json") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}
