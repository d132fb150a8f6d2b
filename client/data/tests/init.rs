//! `data init` proposes descriptions that open.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;

use eosfed_data::{DataError, Dataset, Limits, Proposal, Raster, Split, propose, write_geotiff};

const SIDE: usize = 32;

fn write(path: &Path, bands: usize, value: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = vec![value; bands * SIDE * SIDE];
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands, data, reference: None }).unwrap();
}

fn mask(path: &Path, value: impl Fn(u32) -> u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let side = u32::try_from(SIDE).unwrap();
    image::GrayImage::from_fn(side, side, |x, _| image::Luma([value(x)])).save(path).unwrap();
}

/// The proposal, and the number of samples of the data set that it describes.
fn opened(folder: &Path) -> Result<(Proposal, usize), DataError> {
    let proposal = propose(folder, &Limits::default())?;
    std::fs::write(folder.join("dataset.toml"), &proposal.text).unwrap();
    let dataset = Dataset::open(folder, &Limits::default())?;
    Ok((proposal, Split::ALL.into_iter().map(|split| dataset.len(split)).sum()))
}

fn asked(proposal: &Proposal, word: &str) -> bool {
    proposal.questions.iter().any(|question| question.contains(word))
        && proposal.text.contains("# QUESTION: ")
}

#[test]
fn folders_are_guessed_to_be_classes() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..4 {
        write(&folder.path().join(format!("forest \"old\"/{at}.tif")), 13, 3000.0);
        write(&folder.path().join(format!("water/2020/{at}.tif")), 13, 10.0);
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 8, "{}", proposal.text);
    assert!(proposal.text.contains("sensor = \"sentinel2_l1c\"") && proposal.text.contains("deeper = true"));
    // The colours are those that classes have anyway.
    let coloured = proposal.text.replace("# class_colours", "class_colours");
    std::fs::write(folder.path().join("dataset.toml"), coloured).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    assert_eq!(dataset.config().class_colours.of("water"), Some([0, 114, 178]));
    assert!(dataset.config().class_colours.of("forest \"old\"").is_some(), "{}", proposal.text);
    assert!(asked(&proposal, "folders classes") && asked(&proposal, "factor"), "{:?}", proposal.questions);
}

#[test]
fn folders_of_equal_names_are_guessed_to_be_images_and_masks() {
    for (values, written) in [
        ([0, 255], "mask_values = [0, 255]"),
        ([0, 1], "classes = [\"class_0\", \"class_1\"]"),
        ([3, 7], "mask_values = [3, 7]"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for at in 0..6 {
            write(&folder.path().join(format!("s1/{at}.tif")), 2, 1.0);
            write(&folder.path().join(format!("s2/{at}.tif")), 2, 1.0);
            mask(&folder.path().join(format!("labels/{at}.png")), |x| values[usize::from(x > 9)]);
        }
        let (proposal, samples) = opened(folder.path()).unwrap();
        assert_eq!(samples, 6, "{}", proposal.text);
        assert!(
            proposal.text.contains(written) && asked(&proposal, "names of the classes"),
            "{}",
            proposal.text
        );
        assert!(
            proposal.text.contains("bands = [\"b1\", \"b2\", \"b3\", \"b4\"]")
                && asked(&proposal, "order of `images`")
        );
    }
}

#[test]
fn other_folders_are_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let none = propose(folder.path(), &Limits::default()).unwrap_err().to_string();
    assert!(none.contains("found none"), "{none}");
    write(&folder.path().join("scene.tif"), 3, 7.0);
    let error = opened(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`layout.masks`"), "{error}");
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(asked(&proposal, "where are the labels") && proposal.text.contains("images = [\"scene.tif\"]"));
    assert!(proposal.text.contains("tile = 256\n") && proposal.text.contains("# windows = \"random\""));
    assert!(proposal.text.contains("\n# halo = 32\n"));
}

/// A value that one of many masks holds: without it in `mask_values`, its pixels would lose their label.
#[test]
fn values_of_all_masks_are_listed_and_masks_that_cannot_be_read_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..40_u8 {
        write(&folder.path().join(format!("images/{at:02}.tif")), 1, 1.0);
        mask(&folder.path().join(format!("labels/{at:02}.png")), |x| if x < 3 { 7 } else { at / 2 + 2 });
    }
    let (proposal, _) = opened(folder.path()).unwrap();
    let values: Vec<u8> = (2..22).collect();
    assert!(proposal.text.contains(&format!("mask_values = {values:?}")), "{}", proposal.text);
    assert!(proposal.text.contains("# 40 masks hold the values") && !asked(&proposal, "looked at"));
    assert!(proposal.text.contains("# The files have 1 band.\n"), "{}", proposal.text);
    std::fs::write(folder.path().join("labels/03.png"), "no image").unwrap();
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(proposal.text.contains("# 39 masks hold") && asked(&proposal, "1 mask cannot be read"));
}
