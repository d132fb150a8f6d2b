//! Programs that read a data set in chunks leave out one damaged file among many, and name it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fitted, options, release};
use eosfed_common::model::BandRule;
use eosfed_data::{Raster, Split, write_geotiff};
use eosfed_trainer::ensemble::{
    EncoderChoice, ExportFormat, ExportOptions, ScoringData, export_features, score,
};
use tch::Device;

const FILES: usize = 120;

/// A data set of 120 small images of two classes, of which one is damaged: less than 1 %.
fn dataset(folder: &Path) -> PathBuf {
    for (class, name) in ["dark", "light"].iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for index in 0..FILES / 2 {
            let data = (0..2 * 32 * 32).map(|at| ((at * 31 + index) % 17 + 40 * class) as f32).collect();
            let raster = Raster { width: 32, height: 32, bands: 2, data, reference: None };
            write_geotiff(&folder.join(format!("{name}/{index:02}.tif")), &raster).unwrap();
        }
    }
    fs::write(folder.join("light/07.tif"), b"II*\0damaged").unwrap();
    let text = "task = \"classification\"\nbands = [\"red\", \"nir\"]\nclasses = [\"dark\", \"light\"]\n\
                [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
    let path = folder.join("dataset.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn features_and_scores_leave_a_damaged_file_out_and_name_it() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    let release = release(&folder.path().join("release"));
    let data = dataset(&folder.path().join("data"));
    let export = ExportOptions {
        release: Some(release.clone()),
        head: None,
        encoders: EncoderChoice::All,
        band_rule: BandRule::ByName,
        data: data.clone(),
        split: Split::Train,
        input_size: None,
        maps: false,
        format: ExportFormat::Safetensors,
        output: folder.path().join("features.safetensors"),
    };
    let mut last = (0, 0);
    let report = export_features(&export, Device::Cpu, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!((report.keys.len(), last), (FILES - 1, (FILES, FILES)));
    assert_eq!(report.tensors[0].1[0], FILES - 1);
    assert!(matches!(&report.skipped[..], [only] if only.contains("light/07.tif")), "{:?}", report.skipped);

    let mut options = options(&release, &data, "only-red", &folder.path().join("head"));
    options.training.epochs = 1;
    fitted(&options).unwrap();
    let row = score(&options.output, None, ScoringData::of(&data, Split::Train), Device::Cpu).unwrap();
    assert_eq!(row.samples, FILES - 1);
    assert!(matches!(&row.skipped[..], [only] if only.contains("light/07.tif")), "{:?}", row.skipped);
}
