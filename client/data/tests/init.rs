//! `data init` proposes descriptions that open.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::Path;
use std::sync::Arc;

use eosfed_data::{DataError, Dataset, Limits, Proposal, Raster, Split, propose, write_geotiff};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

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

/// Two bands of three scenes, by the name of the file of the first one.
fn band_files(root: &Path, file: &str, bands: [&str; 2]) {
    for scene in ["S2A_1", "S2A_2", "S2B_1"] {
        for band in bands {
            let file = file.replace("S2A_1", scene).replace("BAND", band);
            write(&root.join(file), 1, 3000.0);
        }
    }
}

#[test]
fn one_file_a_band_becomes_a_pattern() {
    for (file, label, pattern, masks) in [
        (
            "T32/S2A_1/S2A_1_BAND.tif",
            "labels/S2A_1.png",
            "T32/{scene}/{scene}_{band}.tif",
            "labels/{scene}.png",
        ),
        (
            "S2A_1_BAND.tif",
            "labels/S2A_1.png",
            "{scene1}_{scene2}_{band}.tif",
            "labels/{scene1}_{scene2}.png",
        ),
        ("images/S2A_1/BAND.tif", "gt/S2A_1_gt.png", "images/{scene}/{band}.tif", "gt/{scene}_gt.png"),
        ("x/S2A_1/BAND.tif", "x/S2A_1/label.png", "x/{scene}/{band}.tif", "x/{scene}/label.png"),
        (
            "S2A_1/S2A_1_BAND.TIF",
            "S2A_1/S2A_1_mask.png",
            "{scene}/{scene}_{band}.TIF",
            "{scene}/{scene}_mask.png",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        band_files(folder.path(), file, ["B02", "B8A"]);
        for scene in ["S2A_1", "S2A_2", "S2B_1"] {
            mask(&folder.path().join(label.replace("S2A_1", scene)), |x| u8::from(x < 9));
        }
        let (proposal, samples) = opened(folder.path()).unwrap();
        assert_eq!(samples, 3, "{}", proposal.text);
        assert!(proposal.text.contains(&format!("images = \"{pattern}\"")), "{}", proposal.text);
        assert!(proposal.text.contains(&format!("\nmasks = \"{masks}\"")), "{}", proposal.text);
        assert!(proposal.text.contains("bands = [\"B02\", \"B8A\"]") && asked(&proposal, "factor"));
        assert!(proposal.text.contains("3 scenes with 2 bands") && asked(&proposal, "what their names say"));
        // Without a mask for each scene, they are asked for.
        std::fs::remove_file(folder.path().join(label.replace("S2A_1", "S2A_2"))).unwrap();
        let proposal = propose(folder.path(), &Limits::default()).unwrap();
        assert!(
            proposal.text.contains("# masks = ") && asked(&proposal, "where are the labels"),
            "{}",
            proposal.text
        );
    }
}

/// `B4` is red on Landsat 8 and near infrared on Landsat 7.
#[test]
fn bands_whose_names_depend_on_the_satellite_are_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    band_files(folder.path(), "S2A_1_BAND.tif", ["B4", "B5"]);
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(asked(&proposal, "`landsat7`, `landsat8`, `landsat9`"), "{:?}", proposal.questions);
    // Names that are known of no sensor are no bands.
    let folder = tempfile::tempdir().unwrap();
    band_files(folder.path(), "S2A_1_BAND.tif", ["x", "y"]);
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(!proposal.text.contains("{band}"), "{}", proposal.text);
}

#[test]
fn scenes_that_lack_a_band_and_files_that_are_none_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for scene in ["a", "b", "c"] {
        for band in ["B02", "B03", "B04"] {
            write(&folder.path().join(format!("{scene}/{band}.tif")), 1, 0.5);
        }
        mask(&folder.path().join(format!("masks/{scene}.png")), |x| u8::from(x < 9));
    }
    std::fs::remove_file(folder.path().join("b/B03.tif")).unwrap();
    write(&folder.path().join("b/B03.tiff"), 1, 0.5);
    write(&folder.path().join("c/SCL.tif"), 1, 0.5);
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 3, "{}", proposal.text);
    assert!(proposal.text.contains("bands = [\"B02\", \"B04\"]"), "{}", proposal.text);
    assert!(asked(
        &proposal,
        "1 of 3 scenes have no file of `B03`, one of them `b`, so that it is not in `bands`"
    ));
    assert!(
        asked(&proposal, "2 files of no such band or with another ending, as `b/B03.tiff`"),
        "{:?}",
        proposal.questions
    );
    // Where no band is in all scenes, it does not open, and the question says it.
    for file in ["a/B02.tif", "c/B04.tif"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let refused = opened(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("must be a file of the band"), "{refused}");
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(
        asked(&proposal, "of `B04`, one of them `c`, so that the data set does not open"),
        "{:?}",
        proposal.questions
    );
    // Where most files are none of a band, they are no such scenes.
    for at in 0..9 {
        write(&folder.path().join(format!("a/{at}.tif")), 1, 0.5);
    }
    assert!(!propose(folder.path(), &Limits::default()).unwrap().text.contains("{band}"));
}

/// A pattern that does not find its files is not proposed.
#[test]
fn scenes_whose_names_have_no_common_form_are_no_pattern() {
    for (scenes, is_pattern) in [(["a_b", "c"], false), (["a{x}", "b"], true), (["a\nb", "c"], true)] {
        let folder = tempfile::tempdir().unwrap();
        for scene in scenes {
            for band in ["VV", "VH"] {
                write(&folder.path().join(format!("{scene}_{band}.tif")), 1, 0.5);
            }
        }
        let proposal = propose(folder.path(), &Limits::default()).unwrap();
        assert_eq!(proposal.text.contains("kind = \"pattern\"\n"), is_pattern, "{}", proposal.text);
        // Files whose names cannot stand in a pattern are said.
        assert!(!is_pattern || asked(&proposal, "2 files of no such band"), "{:?}", proposal.questions);
        assert!(proposal.text.parse::<toml::Table>().is_ok(), "{}", proposal.text);
    }
}

/// Two stacks of images, and a table with these rows.
fn with_table(file: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["p1", "p2", "p3", "p4"] {
        write(&folder.path().join(format!("s1/{name}.tif")), 2, -9.0);
        write(&folder.path().join(format!("s2/{name}.tif")), 3, 0.5);
    }
    std::fs::write(folder.path().join(file), text).unwrap();
    folder
}

#[test]
fn a_table_beside_images_becomes_the_layout() {
    let rows =
        "patch,country,labels,split\np1,x,a;b,train\np2,y,b,train\np3,x,,test\np4,y,c \"d\",validation\n";
    let folder = with_table("t.csv", rows);
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 4, "{}", proposal.text);
    for part in [
        "task = \"multilabel\"\nclasses = [\"a\", \"b\", 'c \"d\"']\n",
        "kind = \"table\"\nfile = \"t.csv\"\nimages = [\"s1/{patch}.tif\", \"s2/{patch}.tif\"]\ntarget = \"labels\"\n",
        "split = \"split\"\n",
        "`t.csv` has 4 rows: `patch` names the image",
    ] {
        assert!(proposal.text.contains(part), "{part} {}", proposal.text);
    }
    assert!(asked(&proposal, "3 classes occur in 4 rows") && asked(&proposal, "`country`, `labels`"));
    // Maps of classes, and images that some rows lack, are not stacked.
    for name in ["p1", "p2", "p3", "p4"] {
        mask(&folder.path().join(format!("clc/{name}.png")), |x| u8::from(x < 9));
    }
    std::fs::rename(folder.path().join("clc/p4.png"), folder.path().join("clc/p5.png")).unwrap();
    std::fs::remove_file(folder.path().join("s1/p3.tif")).unwrap();
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert!(proposal.text.contains("images = [\"s2/{patch}.tif\"]") && samples == 4, "{}", proposal.text);
    assert!(
        asked(&proposal, "`s1/{patch}.tif` is there for 3 of 4 rows") && asked(&proposal, "`clc` hold few")
    );
    // Other words for parts are not taken for them, and a column of one class is a classification.
    let rows = "file,cover class,part of split,lon,lat\ns2/p1.tif,a,train,1,2\ns2/p2.tif,b,val,1,2\n";
    let folder = with_table("t.csv", rows);
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 2, "{}", proposal.text);
    assert!(
        proposal.text.contains("task = \"classification\"")
            && proposal.text.contains("target = \"cover class\"")
    );
    assert!(
        proposal.text.contains("images = [\"file\"]")
            && proposal.text.contains("lon = \"lon\"\nlat = \"lat\"")
    );
    assert!(
        asked(&proposal, "`part of split` has the values `train`, `val`")
            && !proposal.text.contains("\nsplit = ")
    );
}

#[test]
fn a_table_beside_masks_is_a_comment() {
    let folder = with_table("t.csv", "patch,label\np1,a\np2,b\np3,a\np4,b\n");
    for name in ["p1", "p2", "p3", "p4"] {
        mask(&folder.path().join(format!("masks/{name}.png")), |x| u8::from(x < 9));
    }
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert!(proposal.text.contains("kind = \"pairs\"") && samples == 4, "{}", proposal.text);
    assert!(
        proposal.text.contains("# task = \"classification\"\n")
            && proposal.text.contains("# target = \"label\"\n")
    );
    assert!(asked(&proposal, "are those wanted, and not the masks?"), "{:?}", proposal.questions);
}

/// As `index.csv` of EuroSAT: the class is the folder, so only the place is news.
#[test]
fn a_table_of_places_beside_folders_of_classes_is_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "file,class,lon,lat\n".to_owned();
    for (at, class) in ["a", "b", "a", "b"].into_iter().enumerate() {
        write(&folder.path().join(format!("{class}/{at}.tif")), 3, 0.5);
        rows += &format!("{class}/{at}.tif,{class},{at}.5,50\n");
    }
    std::fs::write(folder.path().join("index.csv"), &rows).unwrap();
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 4, "{}", proposal.text);
    assert!(proposal.text.contains("\nindex = \"index.csv\"\n"), "{}", proposal.text);
    assert!(proposal.text.contains("`index.csv` names 4 of 4 images"), "{}", proposal.text);
    // An index of some of the images is asked about.
    write(&folder.path().join("a/9.tif"), 3, 0.5);
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(
        !proposal.text.contains("index =") && asked(&proposal, "names 4 of 5 images"),
        "{}",
        proposal.text
    );
    // Other classes than the folders are those of the table.
    std::fs::write(folder.path().join("index.csv"), rows.replace(",a,", ",c,")).unwrap();
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(proposal.text.contains("classes = [\"b\", \"c\"]"), "{}", proposal.text);
}

/// A table as BigEarthNet's: rows name scenes of one file a band.
#[test]
fn rows_can_name_scenes_of_one_file_a_band() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "patch_id,labels\n".to_owned();
    for (tile, patch, label) in [("S_A", "1_1", "x;y"), ("S_A", "1_2", "y"), ("S_B", "1_1", "x")] {
        for band in ["B02", "B03"] {
            write(&folder.path().join(format!("S2/{tile}/{tile}_{patch}/{tile}_{patch}_{band}.tif")), 1, 0.5);
        }
        rows += &format!("{tile}_{patch},{label}\n");
    }
    std::fs::write(folder.path().join("metadata.csv"), rows).unwrap();
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 3, "{}", proposal.text);
    let images = "images = [\"S2/{patch_id-2}/{patch_id}/{patch_id}_B02.tif\", \"S2/{patch_id-2}/{patch_id}/{patch_id}_B03.tif\"]";
    assert!(
        proposal.text.contains(images) && proposal.text.contains("bands = [\"B02\", \"B03\"]"),
        "{}",
        proposal.text
    );
}

#[test]
fn tables_that_cannot_be_used_are_said_with_the_reason() {
    let junk: String = (0..10_000_000_u32)
        .map(|at| char::from(33 + (at.wrapping_mul(2_654_435_761) >> 25) as u8 % 90))
        .collect();
    let lines = junk.replace('a', "\n");
    for (text, word) in [
        ("x,y\n1,2\n", "none of its columns names an image; it has the columns `x`, `y`"),
        ("", "it has no rows"),
        ("a,b\n1\n", "it cannot be read"),
        ("patch,label\np1,a\nq,b\n", "its column `patch` names an image in 1 of 2 rows"),
        ("patch,label\np1,a\np1,b\n", "1 different images are in 2 rows"),
        ("{p}\np1\np2\n", "a path cannot be made of it"),
        ("patch\np1\np2\n", "no column looks like labels"),
        ("patch,f_0,f_1\np1,0.5,0\np2,0,1\n", "as shares of classes are, are in `f_0`, `f_1`"),
        (&junk, "is not used, because"),
        (&lines, "is not used, because"),
        ("\"la\nb{e}l\",patch\n\"a\nb\",p1\nc,p2\n", "no column looks like labels"),
    ] {
        let folder = with_table("t.csv", text);
        let proposal = propose(folder.path(), &Limits::default()).unwrap();
        assert!(!proposal.text.contains("kind = \"table\"\n"), "{}", proposal.text);
        assert!(asked(&proposal, word), "{word} {:?}", proposal.questions);
        assert!(proposal.text.len() < 10_000, "{}", proposal.text.len());
        assert!(proposal.text.parse::<toml::Table>().is_ok(), "{}", proposal.text);
    }
    let folder = with_table("t.parquet", "PAR1 no table PAR1");
    assert!(asked(
        &propose(folder.path(), &Limits::default()).unwrap(),
        "`t.parquet` is not used, because it cannot be read"
    ));
    // A hole takes no space on the disk.
    let large = std::fs::File::create(folder.path().join("t.csv")).unwrap();
    large.set_len(1 << 30).unwrap();
    assert!(asked(
        &propose(folder.path(), &Limits::default()).unwrap(),
        "1073741824 bytes, and at most 134217728 are read"
    ));
    // More tables than are read.
    for at in 0..20 {
        std::fs::write(folder.path().join(format!("u{at}.csv")), "x\n1\n").unwrap();
    }
    let proposal = propose(folder.path(), &Limits::default()).unwrap();
    assert!(asked(&proposal, "12 more tables"), "{:?}", proposal.questions);
}

#[test]
fn a_table_can_be_parquet() {
    let folder = with_table("t.csv", "x\n1\n");
    let schema = "message m { required binary patch (UTF8); required binary label (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(folder.path().join("t.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in [["p1", "p2", "p3", "p4"], ["a", "b", "b", "a"]] {
        let values = column.map(ByteArray::from);
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let (proposal, samples) = opened(folder.path()).unwrap();
    assert_eq!(samples, 4, "{}", proposal.text);
    assert!(
        proposal.text.contains("file = \"t.parquet\"") && proposal.text.contains("classes = [\"a\", \"b\"]")
    );
    assert!(asked(&proposal, "`t.csv` is not used, because none of its columns"), "{:?}", proposal.questions);
}
