//! Training on tiles whose edges are seen and not judged.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::Path;

use common::{events, metric, model, scene, task, weights};
use eosfed_common::task::TrainTask;
use eosfed_data::{Dataset, Limits, Sample, Split, read_raster, write_geotiff};

/// A task without random layers on a scene whose tiles have a halo.
fn on_tiles_with_a_halo(data: &Path, output: &Path, epochs: u32) -> TrainTask {
    let mut task = task(data, output, epochs);
    task.training.drop_path = 0.0;
    task
}

/// Writes other labels and other values where tiles are judged.
fn disturb(folder: &Path, tiles: &[Sample]) {
    let [image_path, mask_path] = ["image.tif", "mask.tif"].map(|name| folder.join(name));
    let [mut image, mut mask] =
        [&image_path, &mask_path].map(|path| read_raster(path, &Limits::default()).unwrap());
    let plane = image.width * image.height;
    for tile in tiles {
        let (left, top) = tile.key.rsplit_once('@').unwrap().1.split_once(',').unwrap();
        let (left, top): (usize, usize) = (left.parse().unwrap(), top.parse().unwrap());
        let judged = tile.judged.clone().unwrap();
        for row in judged.rows {
            for column in judged.columns.clone() {
                let at = (top + row) * mask.width + left + column;
                mask.data[at] = 1.0 - mask.data[at];
                image.data[at] = 3.0 - image.data[at];
                image.data[plane + at] = 3.0 - image.data[plane + at];
            }
        }
    }
    write_geotiff(&image_path, &image).unwrap();
    write_geotiff(&mask_path, &mask).unwrap();
}

/// Tiles of 32 pixels that are judged in their middle 16 lie over each other, so that training tiles would show what
/// validation tiles judge.
#[test]
fn training_with_a_halo_learns_and_sees_nothing_of_what_validation_judges() {
    let folder = tempfile::tempdir().unwrap();
    let scene_folder = folder.path().join("data");
    let data = scene(&scene_folder, 0, "validation = 0.25\nseed = 1");
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("tile = 32", "tile = 32\nhalo = 8")).unwrap();
    let trained = |name: &str, epochs| {
        let task = on_tiles_with_a_halo(&data, &folder.path().join(name), epochs);
        let events = events(&task).unwrap();
        (weights(&task), metric(&events, "miou"))
    };
    let (_, miou) = trained("learned", 12);
    assert!(miou > 0.75, "{miou}; guessing gives about 0.33");

    let before = trained("before", 1);
    let dataset = Dataset::open(&data, &Limits::default()).unwrap();
    let tiles_of = |part| dataset.load(part, &model().bands).unwrap().samples;
    let validation = tiles_of(Split::Validation);
    assert!(validation.len() > 4, "{}", validation.len());
    disturb(&scene_folder, &validation);
    let after = trained("after", 1);
    assert!(before.0 == after.0, "pixels that validation judges have changed the weights");
    assert!(before.1 != after.1, "they have not changed its score");
    disturb(&scene_folder, &tiles_of(Split::Train)[..1]);
    assert!(trained("other", 1).0 != before.0, "pixels that training judges have changed nothing");
}
