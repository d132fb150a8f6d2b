//! Heads over a release: they are trained and scored, the same seed gives the same bytes, and a damaged
//! release is refused.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{fitted, options, release, scene};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::head::HeadFile;
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::model::{Composition, FeatureNorm, Fusion, Method, Selection};
use eosfed_common::weights::{self, Tensors, WeightsFile};
use eosfed_data::Split;
use eosfed_trainer::ensemble::{
    FitOptions, PruneOptions, ScoringData, TieBreaker, ablate, ablation_chart, prune, report, score,
};
use tch::Device;

#[test]
fn heads_are_trained_scored_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let heads: Vec<_> = ["all", "only-red", "random:7"]
        .iter()
        .map(|encoders| {
            let head = folder.path().join(encoders.replace(':', "-"));
            fitted(&options(&release, &data, encoders, &head)).unwrap();
            head
        })
        .collect();
    let rows: Vec<_> = heads
        .iter()
        .map(|head| score(head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap())
        .collect();
    assert_eq!(rows[0].encoders, ["only-nir", "only-red"]);
    assert!(rows.iter().all(|row| row.metrics["miou"] > 0.45), "{rows:?}");
    assert!(rows[0].head_parameters > rows[1].head_parameters);

    let results = folder.path().join("results");
    report(&rows, &data, &results).unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(results.join("results.json")).unwrap()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    let markdown = fs::read_to_string(results.join("results.md")).unwrap();
    assert!(markdown.contains("| only-red |") && markdown.contains("mIoU"), "{markdown}");
    assert_eq!(&fs::read(results.join("predictions.png")).unwrap()[1..4], b"PNG");

    // A head and its release can be moved together, and the file of a head names no folder of this machine.
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    fs::rename(&release, moved.join("release")).unwrap();
    fs::rename(&heads[1], moved.join("only-red")).unwrap();
    let written = fs::read_to_string(moved.join("only-red/head.json")).unwrap();
    assert!(!written.contains(folder.path().to_str().unwrap()), "{written}");
    let data = ScoringData::of(&data, Split::Test);
    assert_eq!(score(&moved.join("only-red"), None, data, Device::Cpu).unwrap().metrics, rows[1].metrics);
}

/// The pixel accuracy of a head fitted with these options.
fn scored(options: &FitOptions) -> f64 {
    fitted(options).unwrap();
    score(&options.output, None, ScoringData::of(&options.data, Split::Test), Device::Cpu).unwrap().metrics["accuracy"]
}

#[test]
fn every_way_of_composing_learns() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let norms =
        [FeatureNorm::Pixel, FeatureNorm::Layer, FeatureNorm::Batch, FeatureNorm::Batch, FeatureNorm::None];
    let selections = [
        Selection::TopK { k: 1, scale: false },
        Selection::Smooth { penalty: 0.1, scale: false },
        Selection::TopK { k: 2, scale: true },
        Selection::All,
        Selection::Smooth { penalty: 0.0, scale: true },
    ];
    let fusions = [
        Fusion::Concatenate,
        Fusion::Conv1x1 { multiple: 1 },
        Fusion::Mlp { multiple: 1 },
        Fusion::Sum,
        Fusion::Product,
    ];
    for (at, fusion) in fusions.into_iter().enumerate() {
        let composition =
            Composition { norm: norms[at], selection: selections[at], fusion, projection: at % 2 == 0 };
        let output = folder.path().join(format!("{at}"));
        let options = FitOptions { composition, ..options(&release, &data, "all", &output) };
        let accuracy = scored(&options);
        // A coin gives one half; the classes are told apart by either band alone.
        assert!(accuracy > 0.7, "{composition:?}: {accuracy}");
    }
}

#[test]
fn a_narrow_decoder_has_fewer_parameters_and_learns_too() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let wide = options(&release, &data, "only-red", &folder.path().join("wide"));
    let narrow = FitOptions {
        decoder_channels: 32.try_into().unwrap(),
        ..options(&release, &data, "only-red", &folder.path().join("narrow"))
    };
    let wide = fitted(&wide).unwrap();
    let report = fitted(&narrow).unwrap();
    assert!(report.parameters * 5 < wide.parameters, "{} of {}", report.parameters, wide.parameters);
    assert!(scored(&narrow) > 0.7);
    let head = fs::read_to_string(report.head.join(HeadFile::FILE)).unwrap();
    assert!(head.contains("\"decoder_channels\": 32"), "{head}");
    let head = fs::read_to_string(wide.head.join(HeadFile::FILE)).unwrap();
    assert!(
        !head.contains("decoder_channels"),
        "heads with the default are read by earlier versions: {head}"
    );
    let router = fitted(&FitOptions { method: Method::Router, ..narrow }).unwrap_err().to_string();
    assert!(router.contains("`decoder_channels`") && router.contains("found `32`"), "{router}");
}

#[test]
fn features_that_do_not_fit_in_memory_are_computed_in_each_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let composition = Composition { norm: FeatureNorm::Batch, ..Composition::default() };
    let options = FitOptions {
        cache: 0,
        composition,
        ..options(&release, &data, "only-red", &folder.path().join("head"))
    };
    assert!(scored(&options) > 0.7);
}

#[test]
fn outputs_of_specialists_are_averaged_or_routed() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    for method in [Method::MeanLogits, Method::Router] {
        let output = folder.path().join(format!("{method:?}"));
        let options = FitOptions { method, ..options(&release, &data, "all", &output) };
        fitted(&options).unwrap();
        let row = score(&output, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
        assert_eq!((row.weights, row.head_parameters), (None, if method == Method::Router { 10 } else { 0 }));
        let error = ablate(&output, None, ScoringData::of(&data, Split::Test), Device::Cpu, &mut |_, _| ())
            .unwrap_err();
        assert!(error.to_string().contains("fuses maps"), "{error}");
    }
    let other = fs::read_to_string(&data).unwrap().replace("\"dark\", \"light\"", "\"light\", \"dark\"");
    fs::write(&data, other).unwrap();
    let options = FitOptions {
        method: Method::MeanLogits,
        ..options(&release, &data, "all", &folder.path().join("x"))
    };
    let error = fitted(&options).unwrap_err().to_string();
    assert!(error.contains("only-nir") && error.contains("light, dark"), "{error}");
}

#[test]
fn leaving_out_the_encoder_that_a_head_uses_costs_most() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let composition =
        Composition { selection: Selection::TopK { k: 1, scale: false }, ..Composition::default() };
    let output = folder.path().join("head");
    fitted(&FitOptions { composition, ..options(&release, &data, "all", &output) }).unwrap();
    let report =
        ablate(&output, None, ScoringData::of(&data, Split::Test), Device::Cpu, &mut |_, _| ()).unwrap();
    let [first, second] = &report.ablations[..] else { panic!("{report:?}") };
    assert_eq!((first.weight, second.weight), (1.0, 0.0));
    assert!(first.change < -0.1 && second.change == 0.0, "{report:?}");
    let picture = folder.path().join("ablation.png");
    ablation_chart(&report, &picture).unwrap();
    let picture = image::open(&picture).unwrap().to_rgb8();
    let count = |colour: [u8; 3]| picture.pixels().filter(|pixel| pixel.0 == colour).count();
    assert!(count([0, 114, 178]) > 1000, "the one that helps is blue");
    assert_eq!(count([213, 94, 0]), 0, "none harms");
    let mut harmful = report;
    harmful.ablations[1].change = 0.1;
    let path = folder.path().join("harmful.png");
    ablation_chart(&harmful, &path).unwrap();
    let picture = image::open(&path).unwrap().to_rgb8();
    assert!(picture.pixels().filter(|pixel| pixel.0 == [213, 94, 0]).count() > 1000, "what harms is orange");
}

#[test]
fn pruning_keeps_the_selected_encoders_and_measures_the_cost() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let head = folder.path().join("head");
    let selection = Selection::Smooth { penalty: 0.1, scale: false };
    let composition = Composition { selection, ..Composition::default() };
    fitted(&FitOptions { composition, ..options(&release, &data, "all", &head) }).unwrap();
    let options = |top_k, head: &Path| PruneOptions {
        head: head.to_owned(),
        release: None,
        top_k,
        train: data.clone(),
        data: data.clone(),
        split: Split::Test,
        samples: None,
        output: folder.path().join("pruned"),
    };
    let report = prune(&options(1, &head), Device::Cpu, &|| false).unwrap();
    assert_eq!((report.before.encoders.len(), report.after.encoders.len()), (2, 1));
    assert!(report.after.bytes * 2 == report.before.bytes && report.after.score > 0.45, "{report:?}");
    assert!(report.after.encoders[0].starts_with("only-") && report.after.encoders[0].ends_with("@1"));
    let row =
        score(&folder.path().join("pruned"), None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    assert_eq!(row.metrics["miou"], report.after.score);
    assert!(folder.path().join("pruned/prune.json").exists());
    let all = prune(&options(3, &head), Device::Cpu, &|| false).unwrap_err().to_string();
    assert!(all.contains("between 1 and 2, found `3`"), "{all}");
    let plain = folder.path().join("plain");
    fitted(&common::options(&release, &data, "all", &plain)).unwrap();
    let unlearned = prune(&options(1, &plain), Device::Cpu, &|| false).unwrap_err().to_string();
    assert!(unlearned.contains("--select"), "{unlearned}");
}

/// Changes the weights of the head in a folder.
fn rewrite(head: &Path, change: impl FnOnce(&HeadFile, &mut Tensors)) {
    let file: HeadFile = serde_json::from_slice(&fs::read(head.join(HeadFile::FILE)).unwrap()).unwrap();
    let path = head.join(HeadFile::WEIGHTS);
    let opened = WeightsFile::open(&path).unwrap();
    let checked = opened.check(&file.signature()).unwrap();
    let names = file.signature().0.into_keys();
    let mut tensors: Tensors =
        names.map(|name| (name.clone(), checked.values(&name).iter().collect())).collect();
    change(&file, &mut tensors);
    weights::write(&path, &file.signature(), &tensors).unwrap();
}

/// Turns what a head takes from its first encoder around, so that it harms, and makes the weights of all equal.
fn first_harms(file: &HeadFile, tensors: &mut Tensors) {
    let dims = file.encoder_dims();
    for (level, own) in dims[0].iter().enumerate() {
        let all: usize = dims.iter().map(|dims| dims[level]).sum();
        let fuse = tensors.get_mut(&format!("fuse.{level}.weight")).unwrap();
        for row in fuse.chunks_mut(all) {
            row[..*own].iter_mut().for_each(|weight| *weight = -*weight);
        }
    }
    tensors.insert(HeadFile::SELECTION.to_owned(), vec![1.0, 0.999]);
}

#[test]
fn of_equal_weights_pruning_keeps_the_encoder_without_which_the_head_is_worst() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let test_only = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    let validated = scene(&folder.path().join("validated"), 0, "validation = 0.3\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let head = folder.path().join("head");
    let selection = Selection::Smooth { penalty: 0.0, scale: true };
    let composition =
        Composition { selection, fusion: Fusion::Conv1x1 { multiple: 1 }, ..Composition::default() };
    fitted(&FitOptions { composition, ..options(&release, &test_only, "all", &head) }).unwrap();
    rewrite(&head, first_harms);
    let ablation =
        ablate(&head, None, ScoringData::of(&test_only, Split::Test), Device::Cpu, &mut |_, _| ()).unwrap();
    let without = |name: &str| ablation.ablations.iter().find(|one| one.specialist == name).unwrap();
    assert!(without("only-nir").change > 0.0, "the head is better without it: {ablation:?}");
    let options = |train: &Path| PruneOptions {
        head: head.clone(),
        release: None,
        top_k: 1,
        train: train.to_owned(),
        data: test_only.clone(),
        split: Split::Test,
        samples: None,
        output: folder.path().join("pruned"),
    };
    let report = prune(&options(&test_only), Device::Cpu, &|| false).unwrap();
    assert_eq!(report.after.encoders, ["only-red@1"], "not the first, whose weight is a little larger");
    let tie = report.tie.unwrap();
    assert_eq!((tie.broken_by, tie.part.as_str(), tie.scored_again), (TieBreaker::Ablation, "test", true));
    assert_eq!(tie.samples, ablation.samples);
    let costs: Vec<_> =
        tie.encoders.iter().map(|one| (one.encoder.as_str(), one.cost.unwrap(), one.kept)).collect();
    let cost = |name: &str| 0.0 - without(name).change;
    assert_eq!(costs, [("only-nir@1", cost("only-nir"), false), ("only-red@1", cost("only-red"), true)]);
    let words = tie.words();
    assert!(words.contains("kept: only-red@1 (+") && words.contains("left out: only-nir@1 (-"), "{words}");
    assert!(words.contains("at most 1 % of the largest") && words.contains("a little too good"), "{words}");
    let json = fs::read_to_string(folder.path().join("pruned/prune.json")).unwrap();
    assert!(json.contains("\"broken_by\": \"ablation\""), "{json}");
    // With a validation part, nothing is chosen on the samples that are scored.
    let tie = prune(&options(&validated), Device::Cpu, &|| false).unwrap().tie.unwrap();
    assert_eq!((tie.part.as_str(), tie.scored_again), ("validation", false));
    assert!(!tie.words().contains("too good"));
    // An encoder that counts clearly less is not kept, whatever an ablation says.
    rewrite(&head, |_, tensors| drop(tensors.insert(HeadFile::SELECTION.to_owned(), vec![1.0, 0.9])));
    let report = prune(&options(&test_only), Device::Cpu, &|| false).unwrap();
    assert_eq!((report.after.encoders, report.tie), (vec!["only-nir@1".to_owned()], None));
    // Without a difference to measure, the larger weight decides, and that is said.
    rewrite(&head, |_, tensors| {
        tensors
            .iter_mut()
            .filter(|(name, _)| name.starts_with("fuse."))
            .for_each(|(_, values)| values.fill(0.0));
        tensors.insert(HeadFile::SELECTION.to_owned(), vec![0.999, 1.0]);
    });
    let report = prune(&options(&test_only), Device::Cpu, &|| false).unwrap();
    let tie = report.tie.unwrap();
    assert_eq!((&report.after.encoders[0][..], tie.broken_by), ("only-red@1", TieBreaker::Order));
    assert!(tie.words().contains("an ablation did not decide, so the larger weight did"), "{}", tie.words());
}

#[test]
fn a_head_gives_the_same_scores_when_its_release_grows() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    tch::set_num_threads(1);
    let manifest: ReleaseManifest =
        serde_json::from_slice(&fs::read(release.join(ReleaseManifest::FILE)).unwrap()).unwrap();
    let keep = |count: usize, number| {
        let mut part = manifest.clone();
        part.specialists.truncate(count);
        part.number = ReleaseNumber(number);
        fs::write(release.join(ReleaseManifest::FILE), serde_json::to_vec(&part).unwrap()).unwrap();
    };
    keep(1, 1);
    let output = folder.path().join("head");
    let before = scored(&options(&release, &data, "all", &output));
    keep(2, 2);
    let after = score(&output, Some(&release), ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    assert_eq!((after.metrics["accuracy"], after.encoders), (before, vec!["only-nir".to_owned()]));
    // And a release without what it needs is refused by name.
    keep(0, 3);
    let error = score(&output, Some(&release), ScoringData::of(&data, Split::Test), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the head needs `only-nir`"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_head() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0");
    tch::set_num_threads(1);
    let head = |name: &str| {
        let output = folder.path().join(name).join("head");
        fitted(&options(&release, &data, "only-nir", &output)).unwrap();
        let files = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().path());
        let weights = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
        weights.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let first = head("a");
    assert!(!first.is_empty() && first == head("b"));
}

#[test]
fn a_damaged_release_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0");
    let head = folder.path().join("head");
    let unknown = fitted(&options(&release, &data, "only-blue", &head)).unwrap_err().to_string();
    assert!(unknown.contains("only-blue") && unknown.contains("only-red"), "{unknown}");

    let weights = release.join("only-red/weights.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    let cut = fitted(&options(&release, &data, "all", &head)).unwrap_err().to_string();
    assert!(cut.contains("only-red"), "{cut}");
    fs::remove_file(release.join(ReleaseManifest::FILE)).unwrap();
    let gone = fitted(&options(&release, &data, "all", &head)).unwrap_err().to_string();
    assert!(gone.contains("release.json") && gone.contains("`eosfed release pull --to DIR`"), "{gone}");
}

#[test]
fn data_in_other_units_than_the_specialists_learned_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    let plain = fs::read_to_string(&data).unwrap();
    let head = folder.path().join("head");
    let mut options = options(&release, &data, "all", &head);
    options.training.epochs = 1;
    assert!(!fitted(&options).unwrap().warnings.iter().any(|said| said.contains("magnitude")));

    fs::write(&data, format!("scale = 1000.0\n{plain}")).unwrap();
    let report = fitted(&options).unwrap();
    for specialist in ["only-nir@1: ", "only-red@1: "] {
        let said = |warning: &String| warning.starts_with(specialist) && warning.contains("magnitude");
        assert!(report.warnings.iter().any(said), "{:?}", report.warnings);
    }
    let row = score(&head, None, ScoringData::of(&data, Split::Test), Device::Cpu).unwrap();
    assert_eq!(row.notes.len(), 2, "{:?}", row.notes);
    // Commands say it beside their result, and not in it.
    let commands = [
        &["fit", "--epochs", "1"][..],
        &["fit", "--epochs", "1", "--format", "json"],
        &["features"],
        &["features", "--format", "json"],
    ];
    for (at, arguments) in commands.into_iter().enumerate() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
        command.args(arguments).args(["--device", "cpu", "--threads", "1"]);
        command.arg("--release").arg(&release).arg("--data").arg(&data);
        let output = command.arg("--output").arg(folder.path().join(format!("out-{at}"))).output().unwrap();
        let [printed, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{arguments:?}: {said}");
        for specialist in ["only-nir@1: ", "only-red@1: "] {
            let warned = |line: &str| {
                line.starts_with(&format!("warning: {specialist}")) && line.contains("magnitude")
            };
            assert!(said.lines().any(warned), "{arguments:?}: {said}");
            assert!(!printed.contains(&format!("note: {specialist}")), "{arguments:?}: {printed}");
        }
        if arguments == ["features", "--format", "json"] {
            let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(report["encoders"], serde_json::json!(["only-nir", "only-red"]), "{report:#}");
        }
    }
}

#[test]
fn the_bands_that_encoders_would_get_are_printed_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    let explained = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
        command.args(["ensemble", "explain", "--format", "json", "--release"]).arg(&release);
        let output = command.arg("--data").arg(&data).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
        (output.status.code(), printed)
    };
    let (code, printed) = explained();
    let red = serde_json::json!({
        "name": "only-red", "needs": ["red"], "gets": [[["red"]]], "notes": [], "problem": null
    });
    let encoders = printed["encoders"].as_array().unwrap();
    assert!(code == Some(0) && encoders.contains(&red), "{printed:#}");

    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("\"red\"", "\"sar\"")).unwrap();
    let (code, printed) = explained();
    let red = &printed["encoders"].as_array().unwrap()[encoders.iter().position(|one| *one == red).unwrap()];
    assert!(code == Some(1) && red["gets"] == serde_json::json!([]), "{printed:#}");
    assert!(red["problem"].as_str().unwrap().contains("red"), "{printed:#}");
}
