//! Many scenes in one run, and a run that goes on.

use std::cell::RefCell;
use std::fs;

use eosfed_data::Reading;
use eosfed_trainer::ensemble::{PredictOptions, SceneEnd, Scenes, predict_scenes};
use tch::Device;

use super::{head, image, whole};

#[test]
fn many_scenes_are_mapped_once_and_a_damaged_one_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let scenes = folder.path().join("scenes");
    fs::create_dir(&scenes).unwrap();
    image(&scenes.join("a.tif"), 64, 64);
    fs::write(scenes.join("b.tif"), "no image").unwrap();
    image(&scenes.join("c.tif"), 96, 64);
    fs::write(scenes.join("readme.txt"), "").unwrap();
    let maps = folder.path().join("maps");
    let options = PredictOptions {
        images: Vec::new(),
        output: maps.clone(),
        preview: None,
        ..whole(folder.path(), &head)
    };
    let run = |options: &PredictOptions| {
        let mut seen = Vec::new();
        let mut progress = |scene, done, total| seen.push((scene, done == total));
        let found = Scenes::find(&scenes).unwrap();
        predict_scenes(options, found, Device::Cpu, &mut progress, &mut |_| ())
            .map(|report| (report, seen.last().copied()))
    };
    let (first, last) = run(&options).unwrap();
    assert_eq!(last, Some((2, true)));
    assert_eq!(
        first.maps.iter().map(|map| &map.output).collect::<Vec<_>>(),
        [&maps.join("a.tif"), &maps.join("c.tif")]
    );
    assert_eq!(first.failed.len(), 1);
    assert!(first.failed[0].error.contains("b.tif"), "{}", first.failed[0].error);
    assert_eq!(first.unused, [scenes.join("readme.txt")]);
    let bytes = fs::read(maps.join("c.tif")).unwrap();

    // The map of the first scene is missing, as after an interruption.
    fs::remove_file(maps.join("a.tif")).unwrap();
    let (second, _) = run(&options).unwrap();
    let present: Vec<_> = second.present.iter().map(|map| map.output.clone()).collect();
    assert_eq!((second.maps.len(), present), (1, vec![maps.join("c.tif")]));
    assert_eq!(fs::read(maps.join("c.tif")).unwrap(), bytes);
    // A scene that has changed is mapped again.
    image(&scenes.join("c.tif"), 64, 64);
    assert_eq!(run(&options).unwrap().0.maps[0].size, [64, 64]);

    let reading = Reading { scale: 2.0, ..options.reading.clone() };
    let other = PredictOptions { reading, ..options.clone() };
    let refusal = run(&other).unwrap_err().to_string();
    assert!(refusal.contains("`scale` was `1.0` and is `2.0`"), "{refusal}");
    let reading = Reading { valid: Some("nir < 2".to_owned()), ..options.reading.clone() };
    let refusal = run(&PredictOptions { reading, ..options.clone() }).unwrap_err().to_string();
    assert!(refusal.contains("`valid` was not given and is `\"nir < 2\"`"), "{refusal}");
    // Maps of both would lie side by side, and only some are known to be like the training.
    let refusal = run(&PredictOptions { strict: true, ..options }).unwrap_err().to_string();
    assert!(refusal.contains("`strict` was `false` and is `true`"), "{refusal}");
}

#[test]
fn a_run_goes_on_where_missing_data_are_marked_by_nan() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    image(&folder.path().join("scene.tif"), 64, 64);
    fs::write(folder.path().join("list"), "scene.tif").unwrap();
    let mapped = |nodata: f64| {
        let options = PredictOptions {
            output: folder.path().join("maps"),
            preview: None,
            ..whole(folder.path(), &head)
        };
        let reading = Reading { nodata: Some(nodata), ..options.reading.clone() };
        let found = Scenes::find(&folder.path().join("list")).unwrap();
        predict_scenes(
            &PredictOptions { reading, ..options },
            found,
            Device::Cpu,
            &mut |_, _, _| (),
            &mut |_| (),
        )
        .map(|report| (report.maps.len(), report.present.len()))
        .map_err(|error| error.to_string())
    };
    assert_eq!((mapped(f64::NAN), mapped(f64::NAN)), (Ok((1, 0)), Ok((0, 1))));
    let refusal = mapped(0.0).unwrap_err();
    assert!(refusal.contains("`nodata` was `\"NaN\"` and is `0.0`"), "{refusal}");
}

#[test]
fn warnings_are_said_with_each_scene_and_again_when_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let scenes = folder.path().join("scenes");
    fs::create_dir(&scenes).unwrap();
    for name in ["a.tif", "b.tif", "c.tif"] {
        image(&scenes.join(name), 64, 64);
    }
    fs::write(scenes.join("b.tif"), "no image").unwrap();
    let run = || {
        let options = PredictOptions {
            output: folder.path().join("maps"),
            preview: None,
            ..whole(folder.path(), &head)
        };
        // A unit that differs from that of the training.
        let reading = Reading { scale: 1e4, ..options.reading.clone() };
        let options = PredictOptions { reading, ..options };
        let (told, begun) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut progress = |scene, _, _| begun.borrow_mut().push(scene);
        let mut ended = |end: SceneEnd<'_>| {
            let (kind, warnings) = match end {
                SceneEnd::Mapped(map) => ("mapped", map.warnings.clone()),
                SceneEnd::Present(map) => ("present", map.warnings.clone()),
                SceneEnd::Failed(failed) => ("failed", vec![failed.error.clone()]),
            };
            told.borrow_mut().push((kind, warnings, begun.borrow().last().copied()));
        };
        let found = Scenes::find(&scenes).unwrap();
        predict_scenes(&options, found, Device::Cpu, &mut progress, &mut ended).unwrap();
        told.into_inner()
    };
    let first = run();
    // Each is told before the next scene begins.
    let order: Vec<_> = first.iter().map(|(kind, _, begun)| (*kind, *begun)).collect();
    assert_eq!(order, [("mapped", Some(0)), ("failed", Some(0)), ("mapped", Some(2))]);
    assert!(first[0].1.join("\n").contains("`red` has a mean of "), "{:?}", first[0]);
    let second = run();
    let kinds: Vec<_> = second.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, ["present", "failed", "present"]);
    assert_eq!([&second[0].1, &second[2].1], [&first[0].1, &first[2].1]);
    fs::remove_file(folder.path().join("maps/predict.warnings.jsonl")).unwrap();
    assert!(run()[0].1[0].contains("is not known; remove it to have it made again"));
}
