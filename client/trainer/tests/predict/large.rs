//! Scenes with sides that no image which is read whole may have.

use eosfed_data::{GeoTiff, Limits};

use super::command::{predict, said};
use super::{head, image};

#[test]
fn a_scene_wider_than_an_image_that_is_read_whole_is_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    image(&folder.join("scene.tif"), 33_000, 64);
    let arguments = ["--image", "scene.tif", "--bands", "nir,red", "--output", "map.tif", "--format", "json"];
    let found = predict(folder, &arguments);
    assert!(found.status.success(), "{}", said(&found));
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&report["size"], &report["no_data"]),
        (&serde_json::json!([33_000, 64]), &50.into()),
        "{report:#}"
    );
    let pixels = report["classes"].as_array().unwrap().iter().map(|class| class[1].as_u64().unwrap());
    assert_eq!(pixels.sum::<u64>(), 33_000 * 64 - 50);
    let mut map = GeoTiff::open_labels(&folder.join("map.tif"), &Limits::of_scene()).unwrap();
    let end = map.window(33_000 - 64, 0, 65, 64).unwrap();
    assert!(
        end.iter().enumerate().all(|(at, class)| class.is_nan() == (at % 65 == 64)),
        "its last pixels have classes"
    );
}
