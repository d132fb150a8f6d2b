//! Public data sets open as they are published.
//!
//! They are in the folder that `EOSFED_DATA` names, or beside the repository. Without it, the test reports by name that
//! it is skipped.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::path::{Path, PathBuf};

use eosfed_data::{Dataset, Limits, Look, Proposal, Split, Summary, Target, propose, summarise_with};

fn folder(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("EOSFED_DATA").map_or(beside, PathBuf::from);
    if !path.is_dir() {
        println!("skipped: {test}: no data sets at {}", path.display());
        return None;
    }
    Some(path.canonicalize().unwrap())
}

/// Opens a data set whose files lie in a folder of another one. `ROOT` in the text stands for it.
fn open(root: &Path, text: &str) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let text = text.replace("ROOT", &root.display().to_string());
    std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    (folder, dataset)
}

fn look(dataset: &Dataset) -> Summary {
    summarise_with(dataset, Look { most: Some(12) }, |_, _| ()).unwrap()
}

fn samples(dataset: &Dataset) -> usize {
    Split::ALL.into_iter().map(|split| dataset.len(split)).sum()
}

const EUROSAT: &str = "classes = [\"AnnualCrop\", \"Forest\", \"HerbaceousVegetation\", \"Highway\", \"Industrial\", \"Pasture\", \
                       \"PermanentCrop\", \"Residential\", \"River\", \"SeaLake\"]\n[layout]\nkind = \"folders\"\nroot = \"ROOT\"\n";

#[test]
fn eurosat_has_a_folder_for_each_class() {
    let Some(data) = folder("eurosat_has_a_folder_for_each_class") else { return };
    let text = format!("task = \"classification\"\nsensor = \"rgb\"\n{EUROSAT}");
    let (_folder, rgb) = open(&data.join("eurosat-rgb"), &text);
    assert_eq!(samples(&rgb), 2100);
    assert_eq!(look(&rgb).unreadable, []);
    let bands = "[\"B01\", \"B02\", \"B03\", \"B04\", \"B05\", \"B06\", \"B07\", \"B08\", \"B09\", \"B10\", \"B11\", \"B12\", \"B8A\"]";
    let text = format!(
        "task = \"classification\"\nbands = {bands}\nscale = 0.0001\n{EUROSAT}index = \"index.csv\"\n"
    );
    let (_folder, all) = open(&data.join("eurosat-ms"), &text);
    assert_eq!((samples(&all), all.is_empty(Split::Validation)), (198, false));
    let summary = look(&all);
    assert_eq!((summary.sizes, summary.unused.len()), ([[64, 64]; 2], 0), "{:?}", summary.warnings);
}

const LAND: &str = "bands = [\"B02\", \"B03\", \"B04\", \"B08\", \"VV\", \"VH\"]\n";

#[test]
fn bigearthnet_has_tables_and_masks() {
    let Some(data) = folder("bigearthnet_has_tables_and_masks") else { return };
    let root = data.join("bigearthnet-v2");
    let names: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("classes19.json")).unwrap()).unwrap();
    let names: Vec<&str> = (0..19).map(|at| names[at.to_string()]["name"].as_str().unwrap()).collect();
    let images = "images = [\"ROOT/s2/{patch}.tif\", \"ROOT/s1/{patch}.tif\"]\n";
    let table = |target: &str| {
        let head = format!("task = \"multilabel\"\n{LAND}classes = {names:?}\n");
        format!(
            "{head}[layout]\nkind = \"table\"\nfile = \"ROOT/labels.csv\"\nroot = \"ROOT\"\n{images}{target}\n"
        )
    };
    let shares: Vec<String> = (0..19).map(|at| format!("frac_{at:02}")).collect();
    let (_folder, by_share) = open(&root, &table(&format!("targets = {shares:?}\nthreshold = 0.01")));
    let (_folder, by_name) = open(&root, &table("target = \"labels_ge_1pct\""));
    assert_eq!((samples(&by_share), samples(&by_name)), (84, 84));
    for part in [Split::Train, Split::Validation] {
        let load = |dataset: &Dataset| dataset.load(part, &["B02".to_owned()]).unwrap().samples;
        for (share, name) in load(&by_share).iter().zip(load(&by_name)) {
            assert!(matches!(share.target, Target::Classes(_)));
            assert_eq!((&share.key, &share.target), (&name.key, &name.target));
        }
    }
    let text = format!(
        "task = \"segmentation\"\n{LAND}classes = {names:?}\n[layout]\nkind = \"pattern\"\nroot = \"ROOT\"\nimages = \
         [\"s2/{{patch}}.tif\", \"s1/{{patch}}.tif\"]\nmasks = \"mask19/{{patch}}.tif\"\n"
    );
    let (_folder, masks) = open(&root, &text);
    assert_eq!(samples(&masks), 84);
    assert_eq!(look(&masks).unreadable, []);
}

#[test]
fn biomassters_has_months_of_chips_and_one_target_of_each() {
    let Some(data) = folder("biomassters_has_months_of_chips_and_one_target_of_each") else { return };
    let bands = "[\"B02\", \"B03\", \"B04\", \"B05\", \"B06\", \"B07\", \"B08\", \"B8A\", \"B11\", \"B12\", \"CLP\", \"VVA\", \"VHA\", \
                 \"VVD\", \"VHD\"]";
    let text = format!(
        "task = \"regression\"\nbands = {bands}\nclasses = [\"agbm\"]\nnodata = -9999\nmax_corrupt_share = 0.3\n[layout]\nkind = \"pattern\"\nroot = \
         \"ROOT\"\nimages = [\"s2/{{chip}}_{{month}}.tif\", \"s1/{{chip}}_{{month}}.tif\"]\nmasks = \
         \"agbm/{{chip}}.tif\"\ngroup = \"chip\"\n[split]\nvalidation = 0.4\n"
    );
    let (_folder, dataset) = open(&data.join("biomassters"), &text);
    assert_eq!(samples(&dataset), 7);
    let summary = look(&dataset);
    // One of the two orbits of Sentinel-1 is missing there.
    let empty: Vec<&str> = summary.unreadable.iter().map(|group| group.reason.as_str()).collect();
    assert!(
        empty.iter().all(|reason| reason.contains("at least one pixel with data in every band")),
        "{empty:?}"
    );
    assert_eq!((empty.len(), summary.unused.len()), (2, 0), "{:?}", summary.warnings);
}

#[test]
fn aerial_pictures_have_masks_of_indices() {
    let Some(data) = folder("aerial_pictures_have_masks_of_indices") else { return };
    let text = "task = \"segmentation\"\nsensor = \"rgb\"\nclasses = [\"building\", \"land\", \"road\", \"vegetation\", \
                \"water\"]\nmask_values = [0, 1, 2, 3, 4]\n[layout]\nkind = \"pattern\"\nroot = \"ROOT\"\nimages = \
                \"images/{n}.jpg\"\nmasks = \"masks/{n}.png\"\n";
    let (_folder, dataset) = open(&data.join("dubai-aerial-seg"), text);
    assert_eq!(samples(&dataset), 36);
    let summary = look(&dataset);
    let unused: Vec<&str> = summary.unused.iter().map(|unused| unused.reason.as_str()).collect();
    assert_eq!((summary.unreadable.len(), unused.len()), (0, 1), "{unused:?}");
}

/// Copies a folder, as a proposal lies beside the files.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// What is proposed for a data set, which opens with so many samples and has these words and questions.
fn proposes(data: &Path, expected: usize, words: &[&str], questions: &[&str]) -> Result<Summary, String> {
    let folder = tempfile::tempdir().unwrap();
    copy(data, folder.path());
    let Proposal { text, questions: asked } = propose(folder.path(), &Limits::default()).unwrap();
    for word in words {
        assert!(text.contains(word), "{word}\n{text}");
    }
    for question in questions {
        assert!(asked.iter().any(|asked| asked.contains(question)), "{question}\n{asked:?}");
    }
    std::fs::write(folder.path().join("dataset.toml"), &text).unwrap();
    let dataset = Dataset::open(folder.path(), &Limits::default()).unwrap();
    assert_eq!(samples(&dataset), expected, "{text}");
    summarise_with(&dataset, Look { most: Some(12) }, |_, _| ()).map_err(|error| error.to_string())
}

#[test]
fn proposals_for_data_sets_open() {
    let Some(data) = folder("proposals_for_data_sets_open") else { return };
    let summary = proposes(
        &data.join("bigearthnet-v2"),
        84,
        &[
            "task = \"segmentation\"",
            "images = [\"s1\", \"s2\"]",
            "masks = \"mask19\"",
            "# images = [\"s1/{patch}.tif\", \"s2/{patch}.tif\"]",
            "# target = \"labels_ge_1pct\"",
        ],
        &[
            "files of `clc` were looked at",
            "names of the classes",
            "order of `images`",
            "`labels.csv` names an image in each of its 84 rows and seems to have labels too",
        ],
    );
    assert_eq!(summary.unwrap().unreadable, []);
    let refused = proposes(
        &data.join("biomassters"),
        7,
        &[
            "task = \"regression\"\nclasses = [\"agbm\"]",
            "images = [\"s1/{sample}_{part}.tif\", \"s2/{sample}_{part}.tif\"]",
            "masks = \"agbm/{sample}.tif\"",
            "group = \"sample\"",
        ],
        &["`target_unit`", "what are the bands", "several have one mask or target"],
    );
    // One of the two orbits is missing there, which `max_corrupt_share` can allow.
    assert!(refused.unwrap_err().contains("must have at least one pixel with data in every band"));
    let summary = proposes(
        &data.join("dubai-aerial-seg"),
        36,
        &["sensor = \"rgb\"", "hold the values [0, 1, 2, 3, 4, 5]"],
        &["names of the classes"],
    );
    assert_eq!(summary.unwrap().unreadable, []);
    let classes = "classes = [\"AnnualCrop\", \"Forest\"";
    let questions = &["are the folders classes"];
    proposes(&data.join("eurosat-rgb"), 2100, &[classes, "sensor = \"rgb\""], questions).unwrap();
    proposes(
        &data.join("eurosat-ms"),
        198,
        &[classes, "sensor = \"sentinel2_l1c\"", "index = \"index.csv\""],
        questions,
    )
    .unwrap();
}
