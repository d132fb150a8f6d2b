//! Training learns, gives the same bytes for the same seed, resumes after a stop, and stays near its start
//! with FedProx.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::cell::Cell;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{events, metric, model, release, run, scene, specialist, task, weights};
use eosfed_common::card::{CARD_FILE, Card, InitialFile, WEIGHTS_FILE};
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::model::{Backbone, ModelSpec, Task, initial_weights, signature};
use eosfed_common::scoring::{ScoredPart, Scoring};
use eosfed_common::task::{InitialWeights, Keep, TrainTask, TrainerEvent};
use eosfed_common::weights::{WeightsFile, write};
use eosfed_data::{Dataset, Limits, Split, read_raster, write_geotiff};

const SPLIT: &str = "validation = 0.25\nseed = 1";

#[test]
fn segmentation_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let task = task(&data, &folder.path().join("out"), 12);
    let events = events(&task).unwrap();
    let miou = metric(&events, "miou");
    assert!(miou > 0.75, "{miou}; guessing gives about 0.33");
    let losses: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            TrainerEvent::Epoch { loss, .. } => Some(*loss),
            _ => None,
        })
        .collect();
    assert!(losses.len() == 12 && losses[11] < losses[0] / 2.0, "{losses:?}");
    WeightsFile::open(&task.output.join("weights.safetensors")).unwrap().check(&signature(&model())).unwrap();
}

// The next two tests run the program. Drop path draws from libtorch's random generator, of which a process
// has one, so only a process of its own gives the same bytes.

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let trained = |name: &str, seed| {
        let mut task = task(&data, &folder.path().join(name), 1);
        task.seed = seed;
        let (code, last, said) = program(&json(&task), folder.path());
        assert_eq!(code, Some(0), "{last} {said}");
        weights(&task)
    };
    let first = trained("a", 1);
    assert!(first == trained("b", 1), "the same seed gave other weights");
    assert!(first != trained("c", 2), "another seed gave the same weights");
}

#[test]
fn threads_that_share_a_batch_learn_what_one_learns_and_give_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let trained = |name: &str, threads| {
        let mut task = task(&data, &folder.path().join(name), 2);
        // With drop path, one thread takes all samples.
        task.training.drop_path = 0.0;
        task.threads = Some(threads);
        let (code, last, said) = program(&json(&task), folder.path());
        assert_eq!(code, Some(0), "{last} {said}");
        let history = fs::read(task.output.join("history.json")).unwrap();
        let history: serde_json::Value = serde_json::from_slice(&history).unwrap();
        (weights(&task), history[0]["loss"].as_f64().unwrap())
    };
    let (two, loss) = trained("two", 2);
    assert!(two == trained("again", 2).0, "the same threads gave other weights");
    let (one, alone) = trained("one", 1);
    assert!(one != two, "both were computed by one thread");
    assert!((loss - alone).abs() < 0.01 * alone, "{loss} {alone}");
}

#[test]
fn a_training_stopped_by_sigterm_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let whole = task(&data, &folder.path().join("whole"), 4);
    assert_eq!(program(&json(&whole), folder.path()).0, Some(0));
    // Two panels: the loss, and the scores of the validation part.
    assert_eq!(image::image_dimensions(whole.output.join("loss.png")).unwrap(), (960, 760));

    let parts = task(&data, &folder.path().join("parts"), 4);
    stop_after_an_epoch(&parts, folder.path());
    assert!(!parts.output.join("weights.safetensors").exists());
    let mut resumed = None;
    run(&parts, &mut |event| note_start(&event, &mut resumed), &|| true).unwrap_err();
    assert!(resumed > Some(0), "it would start from the beginning");
    assert_eq!(program(&json(&parts), folder.path()).0, Some(0));
    assert!(weights(&whole) == weights(&parts), "the stop has changed the weights");
}

fn note_start(event: &TrainerEvent, resumed: &mut Option<u64>) {
    if let TrainerEvent::Started { resumed_at, .. } = event {
        *resumed = Some(*resumed_at);
    }
}

/// Starts the program on a task and ends it with SIGTERM once an epoch is over.
fn stop_after_an_epoch(task: &TrainTask, folder: &Path) {
    let path = folder.join("task.json");
    fs::write(&path, json(task)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    let mut child = command.arg("train").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"event\":\"epoch\"")));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    drop(lines.by_ref().map_while(Result::ok).last());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_checkpoint_of_another_task_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let mut first = task(&data, &folder.path().join("out"), 2);
    let steps = Cell::new(0);
    let stop = || {
        steps.set(steps.get() + 1);
        steps.get() > 5
    };
    assert!(run(&first, &mut |_| {}, &stop).is_err());
    first.seed += 1;
    let after = events(&first).unwrap();
    assert!(matches!(after[0], TrainerEvent::Started { resumed_at: 0, .. }), "{:?}", after[0]);
}

#[test]
fn fedprox_keeps_weights_near_their_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let distance = |name: &str, mu| {
        let mut task = task(&data, &folder.path().join(name), 2);
        task.training.proximal_mu = mu;
        task.training.weight_decay = 0.0;
        events(&task).unwrap();
        let start = task.training_target.initial_weights(5);
        let file = WeightsFile::open(&task.output.join("weights.safetensors")).unwrap();
        let checked = file.check(&task.training_target.signature()).unwrap();
        let squares = start.iter().flat_map(|(name, values)| {
            checked.values(name).iter().zip(values).map(|(a, b)| f64::from(a - b).powi(2)).collect::<Vec<_>>()
        });
        squares.sum::<f64>().sqrt()
    };
    let free = distance("free", 0.0);
    let held = distance("held", 10.0);
    assert!(held < 0.8 * free, "without the term {free}, with it {held}");
}

/// What two epochs learn from tiles at random places depends on the seed only, also after a stop between them.
#[test]
fn tiles_at_random_places_give_the_same_bytes_and_resume_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let with = |name: &str| {
        let mut task = task(&data, &folder.path().join(name), 2);
        task.training.drop_path = 0.0;
        task
    };
    let trained = |task: &TrainTask| {
        events(task).unwrap();
        weights(task)
    };
    let grid = trained(&with("grid"));
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("tile = 32", "tile = 32\nwindows = \"random\"")).unwrap();
    let whole = trained(&with("whole"));
    assert!(whole != grid, "the tiles were those of the grid");
    assert!(whole == trained(&with("again")), "the same seed gave other weights");
    let stopped = with("stopped");
    let ended = Cell::new(false);
    let note = &mut |event| ended.set(ended.get() || matches!(event, TrainerEvent::Epoch { .. }));
    assert!(run(&stopped, note, &|| ended.get()).is_err());
    assert!(trained(&stopped) == whole, "a resumed training has seen other tiles");
}

fn json(task: &TrainTask) -> String {
    serde_json::to_string(task).unwrap()
}

/// Runs `eosfed-trainer train` on a task file: its exit code, its last event, and its standard error.
fn program(task: &str, folder: &Path) -> (Option<i32>, String, String) {
    program_for("train", task, folder)
}

fn program_for(command: &str, task: &str, folder: &Path) -> (Option<i32>, String, String) {
    let path = folder.join("task.json");
    fs::write(&path, task).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    let output = program.arg(command).arg(&path).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), lines.lines().last().unwrap_or_default().to_owned(), said)
}

#[test]
fn failures_have_a_reason_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let good = task(&data, &folder.path().join("out"), 1);

    let wrong = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer")).arg("trian").output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));

    // The daemon reads events. Without one it would take this for a crash and try again.
    for (command, text) in [("train", "{"), ("train", "{}"), ("evaluate", "{}")] {
        let (code, last, said) = program_for(command, text, folder.path());
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains("task.json"), "{said}");
        let event: TrainerEvent = serde_json::from_str(&last).unwrap();
        assert!(
            matches!(&event, TrainerEvent::Failed { reason } if reason.contains("task.json")),
            "{event:?}"
        );
    }

    let mut missing = good.clone();
    missing.dataset = folder.path().join("nowhere.toml");
    let mut bands = good.clone();
    specialist(&mut bands).bands = vec!["swir".to_owned()];
    let mut classes = good.clone();
    specialist(&mut classes).classes = vec!["a".to_owned(), "b".to_owned()];
    let mut batch = good.clone();
    batch.training.batch_size = 0;
    let mut schedule = good.clone();
    schedule.schedule = [0.5, 0.5];
    let mut base = good;
    base.initial = InitialWeights::File(folder.path().join("image.tif"));
    for (task, word) in [
        (missing, "nowhere.toml"),
        (bands, "swir"),
        (classes, "dark"),
        (batch, "batch_size"),
        (schedule, "schedule"),
        (base, "image.tif"),
    ] {
        let (code, last, said) = program(&json(&task), folder.path());
        assert_eq!(code, Some(1), "{last} {said}");
        let event: TrainerEvent = serde_json::from_str(&last).unwrap();
        assert!(
            matches!(&event, TrainerEvent::Failed { reason } if reason.contains(word)),
            "{word}: {event:?}"
        );
    }
}

#[test]
fn training_starts_from_timms_encoder_with_other_bands() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, "validation = 0.2");
    let mut task = task(&data, &folder.path().join("out"), 1);
    // A file like timm's: three channels, and a classifier that is ignored.
    let mut timm = specialist(&mut task).clone();
    timm.task = Task::Classification;
    timm.bands = ["red", "green", "blue"].map(str::to_owned).to_vec();
    let file = folder.path().join("timm.safetensors");
    write(&file, &signature(&timm), &initial_weights(&timm, 77)).unwrap();
    task.initial = InitialWeights::Pretrained { file: file.clone(), seed: 1 };
    task.training.learning_rate = 1e-12;
    let events_of = events(&task).unwrap();
    let from = |events: &[TrainerEvent]| match events.last() {
        Some(TrainerEvent::Finished { report, .. }) => report.initial.clone(),
        other => panic!("not finished: {other:?}"),
    };
    let digest = files::digest(&file).unwrap();
    assert_eq!(from(&events_of), Some(InitialFile { file: "timm.safetensors".to_owned(), digest }));
    let path = task.output.join(TrainTask::WEIGHTS);
    let found = WeightsFile::open(&path).unwrap();
    let found = found.check(&task.training_target.signature()).unwrap();
    let expected = initial_weights(&timm, 77);
    let last = "stages.3.blocks.1.mlp.fc2.weight";
    let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
    assert!(found.values(last).iter().zip(&expected[last]).all(|(a, b)| near(a, *b)));
    let stem = (found.values("stem.0.weight").iter().next().unwrap(), expected["stem.0.weight"][0] * 1.5);
    assert!(near(stem.0, stem.1), "{stem:?}");

    // A resumed training reports the file of its first start.
    let mut longer = TrainTask { output: folder.path().join("longer"), ..task.clone() };
    longer.training.epochs = 2;
    fs::create_dir_all(&longer.output).unwrap();
    let ended = Cell::new(false);
    let note = &mut |event| ended.set(ended.get() || matches!(event, TrainerEvent::Epoch { .. }));
    assert!(run(&longer, note, &|| ended.get()).is_err());
    write(&file, &signature(&timm), &initial_weights(&timm, 78)).unwrap();
    let resumed = events(&longer).unwrap();
    assert!(matches!(resumed[0], TrainerEvent::Started { resumed_at: 1.., .. }), "{:?}", resumed[0]);
    assert_eq!(from(&resumed).unwrap().digest, digest);

    timm.backbone = Backbone::Femto;
    write(&file, &signature(&timm), &initial_weights(&timm, 77)).unwrap();
    let error = events(&task).unwrap_err().to_string();
    assert!(error.contains("timm.safetensors") && error.contains("has shape"), "{error}");
}

/// The filters of the first convolution for each of the task's bands: a value of each.
fn filters(task: &TrainTask) -> Vec<f32> {
    let found = WeightsFile::open(&task.output.join(TrainTask::WEIGHTS)).unwrap();
    let found = found.check(&task.training_target.signature()).unwrap();
    let bands = task.training_target.signature().0["stem.0.weight"][1];
    found.values("stem.0.weight").iter().step_by(16).take(bands).collect()
}

#[test]
fn training_starts_from_a_specialist_whose_card_names_its_bands() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, "validation = 0.2");
    let mut task = task(&data, &folder.path().join("out"), 1);
    task.training.learning_rate = 1e-12;
    let own = specialist(&mut task).bands.clone();
    let mut other = specialist(&mut task).clone();
    other.bands.reverse();
    let file = folder.path().join(WEIGHTS_FILE);
    let weights = initial_weights(&other, 77);
    write(&file, &signature(&other), &weights).unwrap();
    let any = release(&folder.path().join("release")).join("only-red").join(CARD_FILE);
    let mut card: Card = serde_json::from_slice(&fs::read(any).unwrap()).unwrap();
    card.model = other;
    card.weights = files::digest(&file).unwrap();
    let beside = folder.path().join(CARD_FILE);
    fs::write(&beside, serde_json::to_vec(&card).unwrap()).unwrap();
    task.initial = InitialWeights::Pretrained { file: file.clone(), seed: 1 };
    let started = events(&task).unwrap().remove(0);
    assert!(
        matches!(&started, TrainerEvent::Started { warnings, .. } if warnings.iter().all(|said| !said.contains("start from"))),
        "{started:?}"
    );
    let mut expected: Vec<f32> =
        weights["stem.0.weight"].iter().copied().step_by(16).take(own.len()).collect();
    expected.reverse();
    let found = filters(&task);
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");

    // The same where the daemon names the specialist's network, whatever lies beside the file.
    let named = folder.path().join("base.safetensors");
    fs::copy(&file, &named).unwrap();
    let mut warm = TrainTask { output: folder.path().join("warm"), ..task.clone() };
    fs::create_dir(&warm.output).unwrap();
    warm.initial = InitialWeights::Specialist { file: named.clone(), model: card.model.clone(), seed: 1 };
    let ended = events(&warm).unwrap();
    assert!(matches!(ended.last(), Some(TrainerEvent::Finished { report, .. }) if report.initial.is_none()));
    assert_eq!(filters(&warm), found, "the same bytes");
    let other = ModelSpec { backbone: Backbone::Femto, ..card.model.clone() };
    warm.initial = InitialWeights::Specialist { file: named, model: other, seed: 1 };
    let error = events(&warm).unwrap_err().to_string();
    assert!(error.contains("must have the backbone `convnextv2_atto`, found `convnextv2_femto`"), "{error}");

    // A card of other weights says nothing about these.
    card.weights = Digest::of(b"other");
    fs::write(&beside, serde_json::to_vec(&card).unwrap()).unwrap();
    let error = events(&task).unwrap_err().to_string();
    assert!(error.contains("card.json") && error.contains("pull the release again"), "{error}");
}

/// What the scores of a finished task are of.
fn scored(task: &TrainTask) -> Scoring {
    match events(task).unwrap().pop() {
        Some(TrainerEvent::Finished { report, .. }) => *report.scoring.unwrap(),
        other => panic!("not finished: {other:?}"),
    }
}

#[test]
fn the_test_part_is_scored_at_the_end_and_nothing_is_chosen_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let both = scene(&folder.path().join("both"), 0, "validation = 0.3\ntest = 0.3\nseed = 1");
    let with = |schedule, name: &str| {
        let mut task = TrainTask { keep: Keep::Best, schedule, ..task(&both, &folder.path().join(name), 2) };
        // It draws from the process's generator, which other tests use too.
        task.training.drop_path = 0.0;
        task
    };
    let last = scored(&with([0.0, 1.0], "last"));
    let dataset = Dataset::open(&both, &Limits::default()).unwrap();
    assert_eq!((last.part, last.samples), (ScoredPart::Test, dataset.len(Split::Test) as u64));
    assert!(last.samples > 1 && last.chosen_on.contains_key("miou"));
    let interval = last.intervals["miou"];
    assert!(interval.low < interval.high, "{interval:?}");
    // Before the last round, the test part is not touched.
    let first = scored(&with([0.0, 0.5], "first"));
    assert_eq!((first.part, first.samples), (ScoredPart::Validation, dataset.len(Split::Validation) as u64));
    assert!(first.chosen_on.is_empty());

    // Other labels in the test part change its score, and neither the weights nor what chose them.
    let changed = folder.path().join("both/mask.tif");
    let mut mask = read_raster(&changed, &Limits::default()).unwrap();
    let tiles = dataset.chunks(Split::Test, &model().bands, 100).unwrap().next().unwrap().unwrap();
    for tile in &tiles {
        let (left, top) = tile.key.rsplit_once('@').unwrap().1.split_once(',').unwrap();
        let (left, top): (usize, usize) = (left.parse().unwrap(), top.parse().unwrap());
        for row in top..top + tile.height {
            mask.data[row * mask.width + left..][..tile.width].fill(0.0);
        }
    }
    let before = weights(&with([0.0, 1.0], "last"));
    write_geotiff(&changed, &mask).unwrap();
    let other = scored(&with([0.0, 1.0], "other"));
    assert_eq!((&other.chosen_on, weights(&with([0.0, 1.0], "other"))), (&last.chosen_on, before));
    assert_ne!(other.intervals, last.intervals);
}

#[test]
fn an_average_is_kept_and_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, SPLIT);
    let with = |name: &str, ema| {
        let mut task = task(&data, &folder.path().join(name), 2);
        task.training.drop_path = 0.0;
        task.training.ema = ema;
        task
    };
    let trained = |task: &TrainTask| {
        events(task).unwrap();
        weights(task)
    };
    let plain = trained(&with("plain", 0.0));
    let average = with("average", 0.9);
    let whole = trained(&average);
    assert!(whole != plain, "the average is not the last step");
    let stopped = with("stopped", 0.9);
    let ended = Cell::new(false);
    let note = &mut |event| ended.set(ended.get() || matches!(event, TrainerEvent::Epoch { .. }));
    assert!(run(&stopped, note, &|| ended.get()).is_err());
    assert!(trained(&stopped) == whole, "a resumed training has another average");
}
