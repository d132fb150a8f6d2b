//! Features for other programs, and what is said of data that are unlike the training.

use std::fs;
use std::path::Path;

use eosfed_common::model::BandRule;
use eosfed_common::weights::Signature;
use eosfed_data::Split;
use eosfed_trainer::ensemble::{EncoderChoice, ExportFormat, ExportOptions, export_features};
use tch::Device;

use crate::common::{fitted, options, release, scene};
use crate::scale::set_reference;
use crate::{head, metres};

/// Features of `folder/data` from the specialists of `folder/release`.
fn of_release(folder: &Path) -> ExportOptions {
    ExportOptions {
        release: Some(folder.join("release")),
        head: None,
        encoders: EncoderChoice::All,
        band_rule: BandRule::ByName,
        data: folder.join("data"),
        split: Split::Test,
        input_size: None,
        maps: false,
        format: ExportFormat::Safetensors,
        output: folder.join("features.safetensors"),
    }
}

#[test]
fn units_and_scale_are_compared_with_those_of_the_head() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = scene(&folder.path().join("data"), 0, "validation = 0.0\ntest = 0.3\nseed = 2");
    // Numbers that look like reflectance, at 30 m.
    let text = fs::read_to_string(&data).unwrap().replace("[layout]", "scale = 0.5\n[layout]");
    fs::write(&data, &text).unwrap();
    set_reference(&folder.path().join("data/image.tif"), metres(30.0));
    let head = folder.path().join("head");
    let mut options = options(&release, &data, "only-red", &head);
    options.training.epochs = 1;
    fitted(&options).unwrap();

    let path = head.join("head.json");
    let plain: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(plain["statistics"][0]["values"]["unit"], "reflectance", "{plain:#}");
    let export = |head_json: &serde_json::Value| {
        fs::write(&path, head_json.to_string()).unwrap();
        let options = ExportOptions { head: Some(head.clone()), ..of_release(folder.path()) };
        export_features(&options, Device::Cpu, &mut |_, _| ()).map(|report| report.warnings.join("\n"))
    };
    let of_head = |notes: &str| notes.lines().filter(|line| line.contains("the head `")).count();
    assert_eq!(of_head(&export(&plain).unwrap()), 0);
    // A head that learned numbers of the same size in another unit, and at another distance.
    let mut other = plain.clone();
    other["statistics"][0]["values"]["unit"] = "eight-bit".into();
    other["imagery"]["ground_sampling_distance"] = 10.0.into();
    let notes = export(&other).unwrap();
    assert_eq!(of_head(&notes), 2, "{notes}");
    for words in [
        "red must be in 8-bit numbers, as in its training, and look like reflectance",
        "30.0 m here and had 10.0 m there",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    // Heads of rounds say what institutions did not tell.
    let mut rounds = plain.clone();
    rounds["statistics_from"] = serde_json::json!({ "told": 2, "institutions": 3 });
    let notes = export(&rounds).unwrap();
    assert!(notes.contains("are those of 2 of the 3 institutions"), "{notes}");
    rounds.as_object_mut().unwrap().remove("statistics");
    rounds["statistics_from"]["told"] = 0.into();
    rounds["imagery"]["ground_sampling_distance"] = serde_json::Value::Null;
    let notes = export(&rounds).unwrap();
    for words in
        ["none of the 3 institutions of its last round told them", "scale of the training is unknown for"]
    {
        let said = notes.lines().any(|line| line.contains(words) && line.contains("the head `"));
        assert!(said, "{words}: {notes}");
    }
    rounds["statistics_from"]["told"] = 4.into();
    assert!(export(&rounds).unwrap_err().to_string().contains("found `4` of `3`"));
    fs::remove_file(folder.path().join("features.safetensors")).unwrap();
    fs::write(&data, text.replace("scale = 0.5", "scale = 0.5\nstrict = true")).unwrap();
    let refused = export(&other).unwrap_err().to_string();
    assert!(refused.contains("strict = true") && refused.contains("8-bit numbers"), "{refused}");
    assert!(!folder.path().join("features.safetensors").exists());
}

#[test]
fn features_are_written_for_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let head = head(folder.path());
    let export = |options: &dyn Fn(ExportOptions) -> ExportOptions| {
        export_features(&options(of_release(folder.path())), Device::Cpu, &mut |_, _| ()).unwrap()
    };
    let report = export(&|options| options);
    let count = report.keys.len();
    assert_eq!(report.encoders, ["only-nir", "only-red"]);
    assert_eq!(report.tensors[0], ("pooled".to_owned(), vec![count, 640]));
    assert_eq!(report.tensors[1], ("label".to_owned(), vec![count, 32, 32]));
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("features.json")).unwrap()).unwrap();
    assert_eq!(json["keys"].as_array().unwrap().len(), count);

    let numpy = folder.path().join("numpy");
    let fused = export(&|options| ExportOptions {
        head: Some(head.clone()),
        maps: true,
        format: ExportFormat::Numpy,
        output: numpy.clone(),
        ..options
    });
    assert_eq!(fused.tensors[2], ("map.0".to_owned(), vec![count, 40, 8, 8]));
    let bytes = fs::read(numpy.join("map_0.npy")).unwrap();
    assert_eq!((&bytes[..6], bytes.len() % 64), (&b"\x93NUMPY"[..], count * 40 * 64 * 4 % 64));
    let map = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!((map.shape(), map.order()), (&[count as u64, 40, 8, 8][..], npyz::Order::C));
    let values = map.into_vec::<f32>().unwrap();
    assert!(values.len() == count * 40 * 64 && values.iter().all(|value| value.is_finite()));
    let labels = fs::read(numpy.join("label.npy")).unwrap();
    let labels = npyz::NpyFile::new(&labels[..]).unwrap().into_vec::<i64>().unwrap();
    assert!(labels.len() == count * 32 * 32 && labels.iter().all(|class| [0, 1].contains(class)));

    // The file holds what the header says: the pooled features are the means of the last map.
    let both = export(&|options| ExportOptions { maps: true, ..options });
    let shapes = both.tensors.into_iter().filter(|(name, _)| name != "label").collect();
    let path = folder.path().join("features.safetensors");
    let found = read_floats(&path, &Signature(shapes));
    let mean = found["map.3"][..1].iter().sum::<f32>();
    assert!((found["pooled"][0] - mean).abs() < 1e-6, "one position: {} {mean}", found["pooled"][0]);
}

/// The float tensors of a file that also holds integers.
fn read_floats(path: &Path, wanted: &Signature) -> std::collections::BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let values = |name: &str| {
        let range = header[name]["data_offsets"].as_array().unwrap();
        let at = |index: usize| 8 + length + range[index].as_u64().unwrap() as usize;
        bytes[at(0)..at(1)].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    wanted.0.keys().map(|name| (name.clone(), values(name))).collect()
}
