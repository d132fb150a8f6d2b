//! Specialists and releases as STAC Items with the Machine Learning Model extension (MLM) 1.5, so that
//! catalogues of Earth observation can list them with their imagery.
//!
//! An Item is a file in the folder of a pulled release and refers to the files beside it. It has no geometry,
//! since the location of an institution's imagery is private, and STAC allows `null`. `deploy/check_stac.py`
//! validates Items with STAC's own schemas and MLM's own models.

use serde_json::{Value, json};

use eosfed_common::bands::known;
use eosfed_common::card::{CARD_FILE, Card, ReleaseManifest, WEIGHTS_FILE};
use eosfed_common::digest::Digest;
use eosfed_common::model::{Backbone, ModelSpec, Task, signature};

/// File name of an Item in the folder of a release or of a specialist.
pub const ITEM_FILE: &str = "stac-item.json";

const EXTENSIONS: [&str; 4] = [
    "https://stac-extensions.github.io/mlm/v1.5.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
];
/// Prefix of a multihash that is a SHA-256 of 32 bytes.
const SHA256: &str = "1220";

/// The Item of a specialist, for the folder that has its weights and card.
#[must_use]
pub fn specialist_item(card: &Card) -> Value {
    let model = &card.model;
    let mut properties = common(&card.reference().to_string(), &card.licence);
    let own = json!({
        "datetime": card.provenance.frozen_at.to_string(),
        "mlm:name": card.name,
        "mlm:architecture": architecture(model.backbone),
        "mlm:tasks": [task(model.task)],
        "mlm:total_parameters": signature(model).parameters(),
        "mlm:memory_size": card.weights_bytes,
        "mlm:input": [input(card)],
        "mlm:output": [output(card)],
        "eosfed:task": model.task,
        "eosfed:job": card.provenance.job,
        "eosfed:mode": card.provenance.mode,
        "eosfed:institutions": card.provenance.institutions,
        "eosfed:rounds": card.provenance.rounds,
        "eosfed:samples": card.provenance.samples,
        "eosfed:seed": card.provenance.seed,
        "eosfed:metrics": card.metrics,
        "eosfed:energy_kwh": card.energy.kwh,
        "eosfed:energy_source": card.energy.source,
    });
    extend(&mut properties, own);
    if let Some(metres) = card.imagery.ground_sampling_distance {
        // A core field of STAC's common metadata.
        extend(&mut properties, json!({ "gsd": metres }));
    }
    if let Some(scoring) = &card.scoring {
        extend(&mut properties, json!({ "eosfed:scoring": scoring }));
    }
    if let Some(grams) = card.energy.co2e_g {
        extend(&mut properties, json!({ "eosfed:energy_co2e_g": grams }));
    }
    if let Some(initial) = &card.provenance.initial {
        extend(&mut properties, json!({ "eosfed:initial_weights": initial }));
    }
    if let Some(parent) = &card.provenance.parent {
        extend(&mut properties, json!({ "eosfed:parent": parent }));
    }
    let assets = json!({
        "weights": weights(card, &format!("./{WEIGHTS_FILE}")),
        "card": { "href": format!("./{CARD_FILE}"), "type": "application/json", "roles": ["metadata"] },
    });
    item(&format!("eosfed-{}-{}", card.name, card.version), &properties, &assets)
}

/// The Item of a release, for the folder with its manifest: the frozen encoders of all its specialists, each
/// with its own input, and the concatenation of their maps.
#[must_use]
pub fn release_item(release: &ReleaseManifest) -> Value {
    let cards = &release.specialists;
    let mut licences: Vec<&str> = cards.iter().map(|card| card.licence.as_str()).collect();
    licences.sort_unstable();
    licences.dedup();
    let licence = if let [one] = licences[..] { one } else { "other" };
    let mut tasks: Vec<&str> = cards.iter().map(|card| task(card.model.task)).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let mut properties = common(&format!("EoS-Fed ensemble release {}", release.number), licence);
    let maps: Vec<Value> = (0..4)
        .map(|level| {
            let channels: usize = cards.iter().map(|card| card.model.backbone.shape().dims[level]).sum();
            json!({
                "name": format!("maps of stride {}", 4 << level),
                "tasks": tasks,
                "result": {
                    "shape": [-1, channels, -1, -1],
                    "dim_order": ["batch", "channel", "height", "width"],
                    "data_type": "float32",
                },
                "bands": [],
            })
        })
        .collect();
    let own = json!({
        "datetime": release.created_at.to_string(),
        "description": release.note,
        "mlm:name": format!("eosfed-release-{}", release.number),
        "mlm:architecture": "ensemble of frozen ConvNeXtV2 encoders (EoS-FM, arXiv 2511.21523)",
        "mlm:tasks": tasks,
        "mlm:total_parameters": cards.iter().map(|card| signature(&card.model).parameters()).sum::<usize>(),
        "mlm:memory_size": cards.iter().map(|card| card.weights_bytes).sum::<u64>(),
        "mlm:input": cards.iter().map(input).collect::<Vec<_>>(),
        "mlm:output": maps,
        "eosfed:specialists": cards.iter().map(|card| card.reference().to_string()).collect::<Vec<_>>(),
    });
    extend(&mut properties, own);
    let mut assets = json!({
        "manifest": { "href": format!("./{}", ReleaseManifest::FILE), "type": "application/json", "roles": ["metadata"] },
    });
    for card in cards {
        assets[card.name.as_str()] = weights(card, &format!("./{}/{WEIGHTS_FILE}", card.name));
    }
    item(&format!("eosfed-release-{}", release.number), &properties, &assets)
}

fn item(id: &str, properties: &Value, assets: &Value) -> Value {
    json!({
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": id,
        "geometry": null,
        "properties": properties,
        "links": [{ "rel": "self", "href": format!("./{ITEM_FILE}"), "type": "application/geo+json" }],
        "assets": assets,
    })
}

fn common(title: &str, licence: &str) -> Value {
    // An SPDX identifier, or STAC's word for all other licences.
    let spdx = !licence.is_empty()
        && licence != "unspecified"
        && licence.chars().all(|c| c.is_ascii_alphanumeric() || "-.+".contains(c));
    json!({
        "title": title,
        "license": if spdx { licence } else { "other" },
        "mlm:framework": "pytorch",
        "mlm:pretrained": true,
    })
}

fn extend(properties: &mut Value, more: Value) {
    if let (Value::Object(properties), Value::Object(more)) = (properties, more) {
        properties.extend(more);
    }
}

const fn architecture(backbone: Backbone) -> &'static str {
    match backbone {
        Backbone::Atto => "ConvNeXtV2-Atto",
        Backbone::Femto => "ConvNeXtV2-Femto",
        Backbone::Pico => "ConvNeXtV2-Pico",
        Backbone::Nano => "ConvNeXtV2-Nano",
        Backbone::Tiny => "ConvNeXtV2-Tiny",
        Backbone::Base => "ConvNeXtV2-Base",
    }
}

/// MLM's name of the task. MLM has none for several labels or for change; `eosfed:task` has the exact task.
const fn task(task: Task) -> &'static str {
    match task {
        Task::Classification | Task::Multilabel => "scene-classification",
        Task::Segmentation | Task::ChangeDetection => "semantic-segmentation",
        Task::Regression => "regression",
    }
}

fn input(card: &Card) -> Value {
    let ModelSpec { bands, task, .. } = &card.model;
    let side = card.input_size.map_or(-1, i64::from);
    let mut shape = vec![-1, bands.len() as i64, side, side];
    let mut order = vec!["batch", "bands", "height", "width"];
    if task.dates() > 1 {
        shape.insert(1, task.dates() as i64);
        order.insert(1, "time");
    }
    let scaling: Vec<Value> = card
        .normalisation
        .iter()
        .map(|entry| json!({ "type": "z-score", "mean": entry.mean, "stddev": entry.std }))
        .collect();
    let mut input = json!({
        "name": format!("{} by name, in the units of the training data", bands.join(", ")),
        "bands": bands,
        "input": { "shape": shape, "dim_order": order, "data_type": "float32" },
        "value_scaling": scaling,
        "pre_processing_function": null,
    });
    if card.input_size.is_some() {
        input["resize_type"] = json!("interpolation-linear");
    }
    input
}

fn output(card: &Card) -> Value {
    let ModelSpec { classes, task: kind, target, .. } = &card.model;
    let side = card.input_size.map_or(-1, |side| i64::from(side) / 4);
    let mut shape = vec![-1, classes.len() as i64];
    let mut order = vec!["batch", "class"];
    if kind.is_dense() {
        shape.extend([side, side]);
        order.extend(["height", "width"]);
    }
    if *kind == Task::Regression {
        order[1] = "channel";
    }
    let mut output = json!({
        "name": kind,
        "tasks": [task(*kind)],
        "result": { "shape": shape, "dim_order": order, "data_type": "float32" },
        "bands": [],
    });
    match target {
        Some(target) => {
            output["description"] = json!(format!(
                "{} = output * {} + {} {}",
                classes[0], target.scale, target.offset, target.unit
            ));
        }
        None if *kind != Task::Regression => {
            let class = |(value, name): (usize, &String)| json!({ "value": value, "name": name, "description": name });
            output["classification:classes"] = classes.iter().enumerate().map(class).collect();
        }
        None => {}
    }
    output
}

fn weights(card: &Card, href: &str) -> Value {
    json!({
        "href": href,
        "type": "application/vnd.safetensors",
        "title": format!("weights of {}", card.name),
        "roles": ["mlm:model", "mlm:weights", "data"],
        "mlm:artifact_type": "safetensors",
        "file:checksum": checksum(&card.weights),
        "file:size": card.weights_bytes,
        "bands": card.model.bands.iter().map(|band| band_object(band)).collect::<Vec<_>>(),
    })
}

/// The digest as a multihash, as the file extension requires.
fn checksum(digest: &Digest) -> String {
    format!("{SHA256}{}", digest.to_string().trim_start_matches("sha256:"))
}

fn band_object(name: &str) -> Value {
    let info = known(name).unwrap_or_default();
    let mut band = json!({ "name": name });
    if let Some(common) = info.common_name {
        band["eo:common_name"] = json!(common);
    }
    if let Some(um) = info.wavelength_um {
        band["eo:center_wavelength"] = json!(um);
    }
    if let Some(gsd) = info.gsd_m {
        band["gsd"] = json!(gsd);
    }
    band
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::card::{InitialFile, Parent, Provenance};
    use eosfed_common::clock::Timestamp;
    use eosfed_common::head::Imagery;
    use eosfed_common::ids::ReleaseNumber;
    use eosfed_testkit::{cards, releases};

    fn card(task: Task) -> Card {
        let classes: &[&str] = if task == Task::Regression { &["biomass"] } else { &["forest", "water"] };
        let initial = InitialFile { file: "atto.safetensors".to_owned(), digest: Digest::of(b"i") };
        let known = cards::card();
        Card {
            name: format!("north-{}", task.name().replace('_', "-")).parse().unwrap(),
            weights: Digest::of(b"weights"),
            weights_bytes: 7,
            normalisation: cards::normalisation(&["B04", "B08"], 0.1, 0.05),
            model: cards::model(task, &["B04", "B08"], classes),
            provenance: Provenance {
                frozen_at: Timestamp(1_764_000_000_000),
                initial: (task == Task::Multilabel).then_some(initial),
                parent: (task == Task::Segmentation).then(|| Parent {
                    name: "north".parse().unwrap(),
                    version: 3,
                    weights: Digest::of(b"p"),
                    release: ReleaseNumber(2),
                    adapted: vec!["B04 is taken from red: both are red".to_owned()],
                }),
                ..known.provenance
            },
            ..known
        }
    }

    fn release() -> ReleaseManifest {
        let specialists = Task::ALL.into_iter().map(card).collect();
        ReleaseManifest { specialists, ..releases::release() }
    }

    #[test]
    fn an_item_describes_inputs_and_outputs() {
        for (task, input, output) in [
            (Task::Classification, json!([-1, 2, 64, 64]), json!([-1, 2])),
            (Task::Multilabel, json!([-1, 2, 64, 64]), json!([-1, 2])),
            (Task::Segmentation, json!([-1, 2, 64, 64]), json!([-1, 2, 16, 16])),
            (Task::ChangeDetection, json!([-1, 2, 2, 64, 64]), json!([-1, 2, 16, 16])),
            (Task::Regression, json!([-1, 2, 64, 64]), json!([-1, 1, 16, 16])),
        ] {
            let item = specialist_item(&card(task));
            let properties = &item["properties"];
            assert_eq!(properties["mlm:input"][0]["input"]["shape"], input, "{task}");
            let order = properties["mlm:input"][0]["input"]["dim_order"].as_array().unwrap();
            assert_eq!(order.len(), input.as_array().unwrap().len());
            assert_eq!(properties["mlm:output"][0]["result"]["shape"], output, "{task}");
            let started = (task == Task::Multilabel).then_some("atto.safetensors");
            assert_eq!(properties["eosfed:initial_weights"]["file"].as_str(), started, "{task}");
            let version = (task == Task::Segmentation).then_some(3);
            assert_eq!(properties["eosfed:parent"]["version"].as_u64(), version, "{task}");
            assert_eq!(properties["mlm:input"][0]["value_scaling"][1]["stddev"], 0.05);
            let classes = &properties["mlm:output"][0]["classification:classes"];
            assert_eq!(classes.is_null(), task == Task::Regression);
        }
    }

    #[test]
    fn files_have_their_multihash_and_bands_their_wavelengths() {
        let item = specialist_item(&card(Task::Segmentation));
        let weights = &item["assets"]["weights"];
        let checksum = weights["file:checksum"].as_str().unwrap();
        assert_eq!((checksum.len(), &checksum[..4]), (68, "1220"));
        assert!(Digest::of(b"weights").to_string().ends_with(&checksum[4..]));
        assert_eq!(weights["bands"][1]["eo:common_name"], "nir");
        assert_eq!(weights["bands"][1]["eo:center_wavelength"], 0.842);
        assert_eq!(item["properties"]["datetime"], "2025-11-24T16:00:00Z");
        assert_eq!(item["properties"]["license"], "CC-BY-4.0");
        let odd = Card { licence: "ask us".to_owned(), ..card(Task::Segmentation) };
        assert_eq!(specialist_item(&odd)["properties"]["license"], "other");
    }

    #[test]
    fn the_imagery_of_a_specialist_is_told_and_a_card_without_it_stays_as_it_was() {
        let old = card(Task::Segmentation);
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("imagery"), "{text}");
        assert_eq!(serde_json::from_str::<Card>(&text).unwrap(), old);
        assert_eq!(specialist_item(&old)["properties"]["gsd"], Value::Null);
        let imagery = Imagery { tile: Some([64, 64]), ground_sampling_distance: Some(10.0) };
        let new = Card { imagery, ..old };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Card>(&text).unwrap(), new);
        assert_eq!(specialist_item(&new)["properties"]["gsd"], 10.0);
    }

    #[test]
    fn a_release_has_an_input_for_each_specialist_and_four_maps() {
        let item = release_item(&release());
        let properties = &item["properties"];
        assert_eq!(properties["mlm:input"].as_array().unwrap().len(), 5);
        assert_eq!(properties["mlm:output"][3]["result"]["shape"], json!([-1, 1600, -1, -1]));
        assert_eq!(item["assets"]["north-segmentation"]["href"], "./north-segmentation/weights.safetensors");
        assert_eq!(properties["mlm:memory_size"], 35);
    }

    /// `cargo test -p eosfed-cli stac_items -- --ignored` with STAC_ITEMS=DIR writes examples for
    /// `deploy/check_stac.py`.
    #[test]
    #[ignore = "writes files for a validator; see `make interop`"]
    fn stac_items_for_the_validator() {
        let folder = std::path::PathBuf::from(std::env::var_os("STAC_ITEMS").unwrap());
        for card in release().specialists {
            let item = serde_json::to_vec_pretty(&specialist_item(&card)).unwrap();
            std::fs::write(folder.join(format!("{}.json", card.name)), item).unwrap();
        }
        std::fs::write(
            folder.join("release.json"),
            serde_json::to_vec_pretty(&release_item(&release())).unwrap(),
        )
        .unwrap();
    }
}
