//! A scale and an offset of single bands: what they do to values, what is refused, and what is said where they are missing.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use eosfed_data::{
    DataError, Dataset, Limits, Origin, Raster, Rule, SampleCache, SampleSource, Split, summarise,
    write_geotiff,
};

const SIDE: usize = 16;
const BANDS: [&str; 3] = ["B04", "B08", "VV"];

/// Reflectance in ten-thousandths and radar in dB, of one sample.
fn value(band: usize, at: usize, sample: usize) -> f32 {
    let part = ((at * 7919 + band * 104_729 + sample * 31) % 1009) as f32 / 1009.0;
    [400.0 + 2000.0 * part, 900.0 + 3000.0 * part, -16.0 + 6.0 * part][band]
}

/// Files of so many bands for twelve samples.
fn write(folder: &Path, name: &str, bands: usize, value: impl Fn(usize, usize, usize) -> f32) {
    fs::create_dir_all(folder.join(name)).unwrap();
    for sample in 0..12 {
        let pixels = (0..bands).flat_map(|band| (0..SIDE * SIDE).map(move |at| (band, at)));
        let data = pixels.map(|(band, at)| value(band, at, sample)).collect();
        let raster = Raster { width: SIDE, height: SIDE, bands, data, reference: None };
        write_geotiff(&folder.join(format!("{name}/{sample}.tif")), &raster).unwrap();
    }
}

/// Optical and radar files of twelve samples, with further lines in the description.
fn dataset(folder: &Path, lines: &str) -> Result<Dataset, DataError> {
    // Files that are written again would count as others.
    if !folder.join("masks").exists() {
        write(folder, "s2", 2, value);
        write(folder, "s1", 1, |_, at, sample| value(2, at, sample));
        write(folder, "masks", 1, |_, at, _| (at % 2) as f32);
    }
    let text = format!(
        "task = \"segmentation\"\nbands = [\"B04\", \"B08\", \"VV\"]\nclasses = [\"a\", \"b\"]\n{lines}\n[layout]\n\
         kind = \"pairs\"\nimages = [\"s2\", \"s1\"]\nmasks = \"masks\"\n[split]\nvalidation = 0.25\n"
    );
    fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default())
}

const OWN: &str = "scale = 0.0001\noffset = -0.01\nband_scaling = { VV = { scale = 1.0, offset = 0.0 } }";

#[test]
fn a_band_has_its_own_scale_and_offset_in_any_choice_of_bands() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), OWN).unwrap();
    let wanted = |band: &str, at: usize, sample: usize| {
        let position = BANDS.iter().position(|known| *known == band).unwrap();
        let stored = value(position, at, sample);
        if band == "VV" { stored } else { stored * 0.0001 + -0.01 }
    };
    for choice in [&BANDS[..], &["VV", "B04"], &["VV"], &["B08"]] {
        let names: Vec<String> = choice.iter().map(|band| (*band).to_owned()).collect();
        let loaded = dataset.load(Split::Train, &names).unwrap();
        for sample in &loaded.samples {
            let number: usize = sample.key.trim_end_matches(".tif").parse().unwrap();
            for (plane, band) in choice.iter().enumerate() {
                for at in [0, 5, SIDE * SIDE - 1] {
                    let found = sample.image[plane * SIDE * SIDE + at];
                    assert_eq!(found, wanted(band, at, number), "{band} of {choice:?} in {}", sample.key);
                }
            }
        }
    }
    // What is not given for the band is that of all.
    drop(dataset);
    let lines = OWN.replace("{ scale = 1.0, offset = 0.0 }", "{ scale = 1.0 }");
    let other = self::dataset(folder.path(), &lines).unwrap();
    let loaded = other.load(Split::Train, &["VV".to_owned()]).unwrap();
    let number: usize = loaded.samples[0].key.trim_end_matches(".tif").parse().unwrap();
    assert_eq!(loaded.samples[0].image[3], value(2, 3, number) + -0.01);
}

#[test]
fn what_is_known_of_decoded_samples_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = SampleCache { folder: folder.path().join("cache"), bytes: 1 << 30 };
    let bands: Vec<String> = BANDS.iter().map(|band| (*band).to_owned()).collect();
    let open = |lines: &str| {
        let dataset = dataset(folder.path(), lines).unwrap();
        let source = SampleSource::open(Arc::new(dataset), Split::Train, &bands, Some(&cache)).unwrap();
        (source.origin(), source.facts().statistics[2].mean)
    };
    let (origin, own) = open(OWN);
    assert!(origin == Origin::NewCache && (-16.0..-10.0).contains(&own), "{origin:?} {own}");
    let (origin, common) = open("scale = 0.0001");
    assert!(origin == Origin::NewCache && (-0.002..0.0).contains(&common), "{origin:?} {common}");
}

#[test]
fn mistakes_are_named_with_the_band() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, part) in [
        (
            "band_scaling = { VH = { scale = 1.0 } }",
            "`band_scaling` must be about a band of `bands`, found `VH`",
        ),
        (
            "band_scaling = { VV = { scale = 0.0 } }",
            "`band_scaling.scale` must be a number other than 0, found `VV: 0`",
        ),
        ("band_scaling = { VV = { scale = nan } }", "found `VV: NaN`"),
        (
            "band_scaling = { VV = { offset = inf } }",
            "`band_scaling.offset` must be a finite number, found `VV: inf`",
        ),
        ("band_scaling = { VV = { scale = \"1\" } }", "expected f64"),
        ("band_scaling = { VV = { scal = 1.0 } }", "unknown field `scal`"),
        ("band_scaling = { VV = 1.0 }", "expected struct"),
    ] {
        let said = dataset(folder.path(), lines).err().unwrap().to_string();
        assert!(said.contains(part) && said.contains("dataset.toml"), "{lines}: {said}");
    }
}

#[test]
fn one_scale_for_light_and_radar_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let summary = |lines: &str| summarise(&dataset(folder.path(), lines).unwrap());
    let found = summary("scale = 0.0001").unwrap();
    let said = |part: &str| found.warnings.iter().any(|warning| warning.contains(part));
    assert!(
        said("band `VV` must be backscatter in dB, and the files have it so, with a mean of -1"),
        "{found:#?}"
    );
    assert!(said("band_scaling = { VV = { scale = 1, offset = 0 } }"), "{found:#?}");
    let own = summary(OWN).unwrap();
    let of_scale = |rule: Rule| matches!(rule, Rule::Scale | Rule::RadarUnit | Rule::Unit);
    assert!(
        !own.band_check.unwrap().findings.iter().any(|finding| of_scale(finding.rule)),
        "{:?}",
        own.warnings
    );
    let refused = summary("scale = 0.0001\nstrict = true").unwrap_err().to_string();
    assert!(refused.contains("band_scaling"), "{refused}");
}
