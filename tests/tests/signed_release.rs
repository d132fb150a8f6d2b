//! A pulled release is verified without a coordinator, and each planted fault is named.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::{Path, PathBuf};

use eosfed_e2e::plans::rounds;
use eosfed_e2e::{Federation, fail, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// A copy of the pulled release.
fn copy(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.join("shared")).unwrap();
    for file in ["release.json", "shared/card.json", "shared/weights.safetensors"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    to
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn a_release_is_verified_without_a_coordinator_and_the_first_fault_is_named() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
    }
    let _daemons = ["east", "west"].map(|name| federation.daemon(name));
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    let pulled = federation.path("release");
    succeed(&mut federation.eosfed(&["release", "pull", "--to", pulled.to_str().unwrap()]));
    let export = federation.path("events.jsonl");
    let export = export.to_str().unwrap();
    succeed(&mut federation.eosfed(&["audit", "export", export]));
    coordinator.terminate();

    // From now on there is no coordinator.
    let verify = |folder: &Path| federation.eosfed(&["release", "verify", folder.to_str().unwrap()]);
    let said = String::from_utf8(succeed(&mut verify(&pulled)).stdout).unwrap();
    assert!(said.contains("as they were released") && said.contains("signed by   ed25519:"), "{said}");
    let specialist = pulled.join("shared");
    succeed(&mut federation.eosfed(&["specialist", "verify", specialist.to_str().unwrap()]));

    type Fault = fn(&Path);
    let faults: [(&str, Fault); 7] = [
        ("weights.safetensors: its digest must be sha256:", |folder| {
            let path = folder.join("shared/weights.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("weights.safetensors: it must have", |folder| {
            let path = folder.join("shared/weights.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("card.json: it is not the card that the release lists", |folder| {
            edit(&folder.join("shared/card.json"), |card| card["licence"] = "mine".into());
        }),
        ("release 1: the signature", |folder| {
            edit(&folder.join("release.json"), |release| release["note"] = "better".into());
        }),
        ("release 1: the signature", |folder| {
            edit(&folder.join("release.json"), |release| release["ledger"]["sequence"] = 1.into());
        }),
        ("release 1: the signature", |folder| {
            edit(&folder.join("release.json"), |release| {
                release["specialists"][0]["updates"][0]["statement"]["weights_bytes"] = 1.into();
            });
        }),
        ("release 1 is not signed", |folder| {
            edit(&folder.join("release.json"), |release| {
                release.as_object_mut().unwrap().remove("signature");
            });
        }),
    ];
    for (number, (words, fault)) in faults.into_iter().enumerate() {
        let folder = copy(&pulled, federation.path(&format!("faulty-{number}")));
        succeed(&mut verify(&folder));
        fault(&folder);
        let said = fail(&mut verify(&folder), 1);
        assert!(said.contains(words), "{words}: {said}");
    }
    let other = format!("ed25519:{}", "3".repeat(64));
    let said = fail(verify(&pulled).args(["--key", &other]), 1);
    assert!(said.contains("it is signed with the key"), "{said}");

    // Everybody has seen the same history until the release.
    let folder = pulled.to_str().unwrap();
    succeed(&mut federation.eosfed(&["audit", "verify", export, "--release", folder]));
    let text = fs::read_to_string(export).unwrap();
    let short: Vec<_> = text.lines().take(4).collect();
    fs::write(export, short.join("\n") + "\n").unwrap();
    succeed(&mut federation.eosfed(&["audit", "verify", export]));
    fail(&mut federation.eosfed(&["audit", "verify", export, "--release", folder]), 1);
}
