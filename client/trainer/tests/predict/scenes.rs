//! Many scenes in one run, and a run that goes on.

use std::fs;

use eosfed_data::Reading;
use eosfed_trainer::ensemble::{PredictOptions, Scenes, predict_scenes};
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
        predict_scenes(options, found, Device::Cpu, &mut progress)
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
    assert_eq!((second.maps.len(), second.present), (1, vec![maps.join("c.tif")]));
    assert_eq!(fs::read(maps.join("c.tif")).unwrap(), bytes);
    // A scene that has changed is mapped again.
    image(&scenes.join("c.tif"), 64, 64);
    assert_eq!(run(&options).unwrap().0.maps[0].size, [64, 64]);

    let reading = Reading { scale: 2.0, ..options.reading.clone() };
    let other = PredictOptions { reading, ..options.clone() };
    let refusal = run(&other).unwrap_err().to_string();
    assert!(refusal.contains("\"scale\":1.0") && refusal.contains("\"scale\":2.0"), "{refusal}");
    let reading = Reading { valid: Some("nir < 2".to_owned()), ..options.reading.clone() };
    let refusal = run(&PredictOptions { reading, ..options }).unwrap_err().to_string();
    assert!(refusal.contains("\"valid\":\"nir < 2\""), "{refusal}");
}
