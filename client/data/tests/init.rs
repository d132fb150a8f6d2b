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

/// Writes a raster whose pixels are all of this value, or one with fractions.
fn target(path: &Path, high: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = (0..SIDE * SIDE).map(|at| high * at as f32 / (SIDE * SIDE - 1) as f32).collect();
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None }).unwrap();
}

/// Codes of land cover beside the masks must not become what models see.
#[test]
fn maps_of_classes_do_not_become_images() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..4 {
        write(&folder.path().join(format!("s2/{at}.tif")), 3, 1.0);
        mask(&folder.path().join(format!("clc/{at}.png")), |x| if x < 9 { 111 } else { 112 });
        mask(&folder.path().join(format!("mask19/{at}.png")), |x| u8::from(x < 9));
        mask(&folder.path().join(format!("labels_old/{at}.png")), |x| u8::from(x < 9));
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 4, "{}", proposal.text);
    assert!(proposal.text.contains("images = [\"s2\"]"), "{}", proposal.text);
    let evidence = "4 of 4 files of `clc` were looked at and have one band with 2 different whole numbers from 111 to 112";
    assert!(asked(&proposal, evidence), "{:?}", proposal.questions);
    assert!(
        asked(&proposal, "does `mask19` hold the labels, and not `labels_old`"),
        "{:?}",
        proposal.questions
    );
    // Images that are measured have more values, and stay.
    for at in 0..4 {
        target(&folder.path().join(format!("clc/{at}.tif")), 900.0);
        std::fs::remove_file(folder.path().join(format!("clc/{at}.png"))).unwrap();
    }
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(proposal.text.contains("images = [\"clc\", \"s2\"]"), "{}", proposal.text);
}

#[test]
fn a_map_of_classes_without_a_name_that_says_so_is_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..4 {
        write(&folder.path().join(format!("s2/{at}.tif")), 3, 1.0);
        mask(&folder.path().join(format!("clc/{at}.png")), |x| if x < 9 { 111 } else { 112 });
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert!(proposal.text.contains("masks = \"clc\"") && samples == 4, "{}", proposal.text);
    assert!(asked(&proposal, "`clc` holds 2 different whole numbers"), "{:?}", proposal.questions);
    // Where all images look like maps, they stay, with a question.
    std::fs::rename(folder.path().join("clc"), folder.path().join("masks")).unwrap();
    std::fs::remove_dir_all(folder.path().join("s2")).unwrap();
    for at in 0..4 {
        mask(&folder.path().join(format!("binary/{at}.png")), |x| u8::from(x < 5));
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert!(proposal.text.contains("images = [\"binary\"]") && samples == 4, "{}", proposal.text);
    assert!(asked(&proposal, "are they images, and no labels?"), "{:?}", proposal.questions);
}

/// Folders of parts of a data set are no bands, and masks of colours are no quantities.
#[test]
fn folders_that_are_not_used_and_masks_of_colours_are_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["test", "train"] {
        for at in 0..3 {
            write(&folder.path().join(format!("{part}/images/{at}.tif")), 3, 1.0);
            write(&folder.path().join(format!("{part}/masks/{at}.tif")), 3, 1.0);
        }
    }
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(proposal.text.contains("images = [\"test/images\"]"), "{}", proposal.text);
    assert!(asked(&proposal, "6 files of 2 folders") && asked(&proposal, "`train/images`"));
    assert!(proposal.text.contains("task = \"segmentation\"") && asked(&proposal, "`test/masks` have 3"));
    assert!(asked(&proposal, "does `train/masks` hold the labels"), "{:?}", proposal.questions);
}

/// As BioMassters is published, and as it lies in many folders: names of targets with and without a last part.
#[test]
fn several_images_of_one_target_become_a_pattern() {
    for (end, name) in [("", "agbm"), ("_agbm", "agbm"), ("_agbm", "train_targets")] {
        let folder = tempfile::tempdir().unwrap();
        for sample in ["c1", "c2"] {
            target(&folder.path().join(format!("{name}/{sample}{end}.tif")), 312.5);
            for month in ["07", "08"] {
                write(&folder.path().join(format!("s1/{sample}_{month}.tif")), 2, -9999.0);
                write(&folder.path().join(format!("s2/{sample}_{month}.tif")), 3, 7.0);
            }
            write(&folder.path().join(format!("s2/{sample}_09.tif")), 3, 7.0);
        }
        let (proposal, samples) = opened(folder.path()).unwrap();
        assert_eq!(samples, 4, "{}", proposal.text);
        let class = if name == "agbm" { "agbm" } else { "target" };
        for part in [
            &format!("task = \"regression\"\nclasses = [\"{class}\"]"),
            "images = [\"s1/{sample}_{part}.tif\", \"s2/{sample}_{part}.tif\"]\n",
            &format!("masks = \"{name}/{{sample}}{end}.tif\"\n"),
            "group = \"sample\"",
            "\nnodata = -9999.0\n",
        ] {
            assert!(proposal.text.contains(part), "{part} {}", proposal.text);
        }
        for question in
            ["reach from 0 to 312.5", "`target_unit`", "It has 2 values: `07`, `08`", "does -9999 mark"]
        {
            assert!(asked(&proposal, question), "{question} {:?}", proposal.questions);
        }
    }
}

#[test]
fn images_that_some_samples_lack_and_other_endings_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for sample in ["a_1", "a_2"] {
        target(&folder.path().join(format!("targets/{sample}.tif")), -9999.0);
        for date in ["2020_07", "2020_08", "2021_01"] {
            write(&folder.path().join(format!("all/{sample}_S2_{date}.tif")), 3, 7.0);
            write(&folder.path().join(format!("all/{sample}_S1_{date}.tif")), 2, 7.0);
        }
        write(&folder.path().join(format!("dem/{sample}.tif")), 1, 7.5);
    }
    write(&folder.path().join("other/x.tif"), 1, 7.5);
    std::fs::remove_file(folder.path().join("all/a_1_S1_2020_07.tif")).unwrap();
    write(&folder.path().join("all/a_1_S2_2020_06.tiff"), 3, 7.0);
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 5, "{}", proposal.text);
    let images = "images = [\"all/a_{sample}_S1_{part}.tif\", \"all/a_{sample}_S2_{part}.tif\", \"dem/a_{sample}.tif\"]";
    assert!(proposal.text.contains(images), "{}", proposal.text);
    assert!(asked(&proposal, "1 file with another ending than most, as `all/a_1_S2_2020_06.tiff`"));
    assert!(asked(&proposal, "1 file of 1 folder") && asked(&proposal, "missing pixels of the target"));
    // A stack that is not whole is left out where more samples have the others.
    for file in ["all/a_1_S1_2020_08.tif", "all/a_2_S1_2020_08.tif", "all/a_1_S1_2021_01.tif", "dem/a_2.tif"]
    {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert!(
        proposal.text.contains("images = [\"all/a_{sample}_S2_{part}.tif\"]") && samples == 6,
        "{}",
        proposal.text
    );
    assert!(
        asked(&proposal, "S1_{part}.tif` is not in `images`, as 4 of 6 samples"),
        "{:?}",
        proposal.questions
    );
    assert!(asked(&proposal, "`dem/a_{sample}.tif` is not in `images`, as 3 of 6 samples"));
}

#[test]
fn masks_whose_names_end_with_a_word_become_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..3 {
        write(&folder.path().join(format!("images/{at}_sat.tif")), 3, 1.0);
        mask(&folder.path().join(format!("masks/{at}_mask.png")), |x| u8::from(x < 9));
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 3, "{}", proposal.text);
    assert!(proposal.text.contains("images = [\"images/{sample}_sat.tif\"]"), "{}", proposal.text);
    assert!(
        proposal.text.contains("masks = \"masks/{sample}_mask.png\"") && !proposal.text.contains("group =")
    );
}

/// A name must not leave its comment, nor be a pattern where it was none.
#[test]
fn names_of_files_cannot_change_the_proposal() {
    for name in ["la\"b]el\ntask = \"x\"", "{label}", "label'''"] {
        let folder = tempfile::tempdir().unwrap();
        for at in 0..3 {
            write(&folder.path().join(format!("a{{b}}\nc/{at}.tif")), 3, 1.0);
            mask(&folder.path().join(format!("{name}/{at}.png")), |x| u8::from(x < 9));
            mask(&folder.path().join(format!("{name}/{at}_\n{{x}}.png")), |x| u8::from(x < 9));
        }
        let (proposal, samples) = opened(folder.path()).unwrap();
        assert_eq!(samples, 3, "{}", proposal.text);
        assert!(proposal.text.contains("kind = \"pairs\""), "{}", proposal.text);
    }
}

#[test]
fn folders_that_cannot_be_classes_are_asked_about() {
    for (other, bands, word) in [("b", 4, "4 bands in `b`"), ("labels", 3, "`labels` is named like masks")] {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a/1.tif"), 3, 1.0);
        write(&folder.path().join(format!("{other}/2.tif")), bands, 1.0);
        let proposal = propose(folder.path(), &Limits::default()).unwrap();
        assert!(!proposal.text.contains("classification"), "{}", proposal.text);
        assert!(asked(&proposal, word), "{:?}", proposal.questions);
    }
    let folder = tempfile::tempdir().unwrap();
    for band in ["B02", "B03"] {
        write(&folder.path().join(format!("{band}/1.tif")), 1, 1.0);
    }
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(!proposal.text.contains("classification") && asked(&proposal, "named like bands (`B02`, `B03`)"));
    // A name that has a short word inside is one of a class.
    let folder = tempfile::tempdir().unwrap();
    for class in ["washington", "snow cover"] {
        write(&folder.path().join(format!("{class}/1.tif")), 3, 1.0);
    }
    assert_eq!(opened(folder.path()).unwrap().1, 2);
}
