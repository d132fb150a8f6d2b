//! The colours of a site's `dataset.toml` are those of the maps of a researcher.

use std::fs;
use std::path::Path;

use eosfed_data::{Limits, read_raster};
use eosfed_trainer::ensemble::{PredictOptions, predict_scene};
use tch::Device;

use crate::common::{fitted, options, release, scene};
use crate::{image, whole};

/// The colours of the first two classes in the palette of a map (tag 320: 256 reds, greens and blues of 16 bits).
fn palette(map: &Path) -> [[u8; 3]; 2] {
    let bytes = fs::read(map).unwrap();
    let at = bytes.windows(8).position(|entry| entry == [0x40, 1, 3, 0, 0, 3, 0, 0]).unwrap();
    let start = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    // Both bytes of a channel are equal.
    let channel = |class: usize, channel: usize| bytes[start + 2 * (256 * channel + class)];
    [0, 1].map(|class| [0, 1, 2].map(|at| channel(class, at)))
}

#[test]
fn colours_go_from_the_data_set_with_the_head_to_the_map() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    // The first class would have the first colour of the palette, and it is given to the second.
    let colours = "class_colours = { light = \"#d55e00\" }\n[layout]";
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("[layout]", colours)).unwrap();
    let head = folder.path().join("head");
    let mut options = options(&release, &data, "only-red", &head);
    options.training.epochs = 1;
    fitted(&options).unwrap();
    let path = head.join("head.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(json["class_colours"], serde_json::json!({ "light": "#d55e00" }));

    image(&folder.path().join("scene.tif"), 96, 64);
    let options = whole(folder.path(), &head);
    let mapped = |options: &PredictOptions| predict_scene(options, Device::Cpu, &mut |_, _| ());
    mapped(&options).unwrap();
    let [dark, light] = palette(&options.output);
    assert_eq!(light, [213, 94, 0]);
    assert!(dark != light && dark != [0; 3], "{dark:?}");
    let names = fs::read_to_string(folder.path().join("map.tif.aux.xml")).unwrap();
    assert!(names.contains("<F>213</F><F>94</F><F>0</F></Row>"), "{names}");
    let preview = read_raster(&folder.path().join("map.png"), &Limits::default()).unwrap();
    let size = preview.width * preview.height;
    let has = |colour: [u8; 3], rows: std::ops::Range<usize>| {
        let channels = |at: usize| [0, 1, 2].map(|channel| preview.data[channel * size + at] as u8);
        (rows.start * preview.width..rows.end * preview.width).any(|at| channels(at) == colour)
    };
    // In the map of 64 rows, four times as large after a margin of 10, and in its legend below.
    for colour in [dark, light] {
        assert!(has(colour, 10..266) && has(colour, 270..preview.height), "{colour:?}");
    }

    // A head from outside is checked.
    for (colours, words) in [
        (
            serde_json::json!({ "drk": "#d55e00" }),
            "`class_colours` must be of classes of the head, found `drk`",
        ),
        (
            serde_json::json!({ "dark": "orange" }),
            "six hexadecimal digits, as `#0072b2` for a blue, found `orange`",
        ),
    ] {
        json["class_colours"] = colours;
        fs::write(&path, json.to_string()).unwrap();
        let error = mapped(&options).unwrap_err().to_string();
        assert!(error.contains("head.json") && error.contains(words), "{error}");
    }
}
