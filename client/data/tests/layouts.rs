//! Every layout finds the samples that it describes.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use eosfed_data::{Dataset, Limits, Raster, Split, Target, summarise, write_geotiff};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const SIDE: usize = 8;

fn write(path: &Path, value: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = vec![value; SIDE * SIDE];
    write_geotiff(path, &Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None }).unwrap();
}

struct Case(tempfile::TempDir);

impl Case {
    fn new(files: &[(&str, f32)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, value)| write(&folder.path().join(name), *value));
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    /// Each sample: its key, the first value of each band, and its label.
    fn read(&self, head: &str, layout: &str) -> Result<Vec<String>, String> {
        let dataset = self.open(head, layout)?;
        let loaded =
            dataset.load(Split::Train, &dataset.config().bands).map_err(|error| error.to_string())?;
        let sample = |sample: eosfed_data::Sample| {
            let values: Vec<String> =
                sample.image.chunks(SIDE * SIDE).map(|band| band[0].to_string()).collect();
            let label = match sample.target {
                Target::Class(class) => class.to_string(),
                Target::Classes(classes) => format!("{classes:?}"),
                Target::Mask(mask) => mask[0].to_string(),
                Target::Values(values) => values[0].to_string(),
            };
            format!("{} {} {label}", sample.key, values.join(","))
        };
        Ok(loaded.samples.into_iter().map(sample).collect())
    }

    fn open(&self, head: &str, layout: &str) -> Result<Dataset, String> {
        let text =
            format!("max_corrupt_share = 0.0\n{head}\n[layout]\n{layout}\n[split]\nvalidation = 0.0\n");
        self.file("dataset.toml", &text);
        Dataset::open(self.0.path(), &Limits::default()).map_err(|error| error.to_string())
    }
}

const CLASSES: &str = "task = \"classification\"\nbands = [\"x\"]\nclasses = [\"a\", \"b\"]";
const LABELS: &str = "task = \"multilabel\"\nbands = [\"x\"]\nclasses = [\"a\", \"b\"]";
const MASKS: &str =
    "task = \"segmentation\"\nsensor = \"landsat8\"\nbands = [\"blue\", \"green\"]\nclasses = [\"a\", \"b\"]";

#[test]
fn classes_have_folders_inside_of_their_folders() {
    let case = Case::new(&[("a/s1/1.tif", 1.0), ("a/s2/deep/1.tif", 2.0), ("b/1.tif", 3.0)]);
    assert_eq!(case.read(CLASSES, "kind = \"folders\"\nroot = \".\"").unwrap(), ["b/1.tif 3 1"]);
    let layout = "kind = \"folders\"\nroot = \".\"\ndeeper = true";
    assert_eq!(case.read(CLASSES, layout).unwrap(), ["a/s1/1.tif 1 0", "a/s2/deep/1.tif 2 0", "b/1.tif 3 1"]);
}

#[test]
fn bands_and_masks_are_found_by_the_parts_of_their_paths() {
    let case = Case::new(&[
        ("p1/p1_B2.tif", 1.0),
        ("p1/p1_B3.tif", 2.0),
        ("p1/p1_B8A.tif", 9.0),
        ("p2/p2_B3.tif", 4.0),
        ("p2/p2_B2.tif", 3.0),
        ("m/p1.tif", 0.0),
        ("m/p2.tif", 1.0),
        ("m/p3.tif", 1.0),
    ]);
    let layout = "kind = \"pattern\"\nimages = \"{patch}/{patch}_{band}.tif\"\nmasks = \"m/{patch}.tif\"";
    assert_eq!(case.read(MASKS, layout).unwrap(), ["p1 1,2 0", "p2 3,4 1"]);
    let unused = summarise(&case.open(MASKS, layout).unwrap()).unwrap().unused;
    let unused: Vec<&str> = unused.iter().map(|unused| unused.file.as_str()).collect();
    assert_eq!(unused, ["m/p3.tif", "p1/p1_B8A.tif"]);
    std::fs::remove_file(case.0.path().join("p2/p2_B2.tif")).unwrap();
    let error = case.read(MASKS, layout).unwrap_err();
    assert!(error.contains("`blue`") && error.contains("p2_B3.tif"), "{error}");
    std::fs::remove_file(case.0.path().join("m/p1.tif")).unwrap();
    let error = case.read(MASKS, layout).unwrap_err();
    assert!(error.contains("m/p1.tif") && error.contains("found none"), "{error}");
}

#[test]
fn patterns_give_classes_stacks_and_groups() {
    let case = Case::new(&[("x/a/1.tif", 1.0), ("y/a/1.tif", 2.0), ("x/b/2.tif", 3.0), ("x/c/1.tif", 9.0)]);
    let layout = "kind = \"pattern\"\nimages = \"{site}/{class}/{n}.tif\"\ngroup = \"site\"";
    // The key has the parts in the order of their names.
    assert_eq!(case.read(CLASSES, layout).unwrap(), ["a/1/x 1 0", "a/1/y 2 0", "b/2/x 3 1"]);
    for (layout, word) in [
        ("kind = \"pattern\"\nimages = \"{site}/a/{n}.tif\"", "{class}"),
        ("kind = \"pattern\"\nimages = \"{class}/{n}.tif\"\ngroup = \"site\"", "layout.group"),
        ("kind = \"pattern\"\nimages = \"{class}/{n}.tif\"\nmasks = \"{n}.tif\"", "layout.masks"),
        ("kind = \"pattern\"\nimages = [\"{class}/{n}.tif\", \"{other}.tif\"]", "parts of"),
        ("kind = \"pattern\"\nimages = \"../{class}/{n}.tif\"", "below `root`"),
    ] {
        let error = case.read(CLASSES, layout).unwrap_err();
        assert!(error.contains(word), "{layout}: {error}");
    }
    let stacked = Case::new(&[("s2/1.tif", 1.0), ("s1/1.tif", 2.0), ("m/1.tif", 1.0)]);
    let layout = "kind = \"pattern\"\nimages = [\"s2/{n}.tif\", \"s1/{n}.tif\"]\nmasks = \"m/{n}.tif\"";
    assert_eq!(stacked.read(MASKS, layout).unwrap(), ["1 1,2 1"]);
}

#[test]
fn labels_are_columns_of_numbers_or_lists() {
    let case = Case::new(&[("1.tif", 1.0), ("2.tif", 2.0)]);
    case.file("t.csv", "f,a,b\n1.tif,0.02,0\n2.tif,0.005,1\n");
    let layout = "kind = \"table\"\nfile = \"t.csv\"\nimages = \"f\"\ntargets = [\"a\", \"b\"]";
    let with = |threshold: &str| case.read(LABELS, &format!("{layout}\n{threshold}")).unwrap();
    assert_eq!(with(""), ["1.tif 1 [false, false]", "2.tif 2 [false, true]"]);
    assert_eq!(with("threshold = 0.01"), ["1.tif 1 [true, false]", "2.tif 2 [false, true]"]);
    for (text, word) in
        [("f,a,b\n1.tif,,0\n", "its share"), ("f,a,b\n1.tif,NaN,0\n", "finite"), ("f,a\n", "no column `b`")]
    {
        let error = case.file("t.csv", text).read(LABELS, layout).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    let error = case.read(LABELS, "kind = \"table\"\nfile = \"t.csv\"\nimages = \"f\"").unwrap_err();
    assert!(error.contains("layout.target"), "{error}");
}

#[test]
fn paths_are_made_of_columns() {
    let case = Case::new(&[("s2/S_T1/S_T1_2_3/S_T1_2_3_B02.tif", 5.0)]);
    case.file("t.csv", "patch,labels\nS_T1_2_3,b;a\n");
    let layout = |path: &str| {
        format!("kind = \"table\"\nfile = \"t.csv\"\nroot = \"s2\"\nimages = \"{path}\"\ntarget = \"labels\"")
    };
    let path = "{patch-2}/{patch}/{patch}_B02.tif";
    assert_eq!(case.read(LABELS, &layout(path)).unwrap(), ["S_T1/S_T1_2_3/S_T1_2_3_B02.tif 5 [true, true]"]);
    for (path, word) in
        [("{patch-4}.tif", "more than 4 parts"), ("{path}.tif", "no column `path`"), ("{patch", "closed")]
    {
        let error = case.read(LABELS, &layout(path)).unwrap_err();
        assert!(error.contains(word), "{path}: {error}");
    }
}

#[test]
fn item_collections_are_tables() {
    let case = Case::new(&[("i/1.tif", 1.0), ("i/2.tif", 2.0)]);
    let item = |id: &str, class: &str, part: &str| {
        format!(
            "{{\"type\": \"Feature\", \"id\": \"{id}\", \"bbox\": [1, 50, 2, 51], \"properties\": {{\"cover\": {class}, \"part\": \
             \"{part}\", \"image\": 3}}, \"assets\": {{\"image\": {{\"href\": \"i/{id}.tif\"}}}}}}"
        )
    };
    let items = [item("1", "[\"b\"]", "train"), item("2", "[\"a\", \"b\"]", "train")].join(",");
    case.file("items.json", &format!("{{\"type\": \"FeatureCollection\", \"features\": [{items}]}}"));
    let layout = "kind = \"table\"\nfile = \"items.json\"\nimages = \"image\"\ntarget = \"cover\"\nsplit = \"part\"\nlon = \
                  \"lon\"\nlat = \"lat\"";
    assert_eq!(case.read(LABELS, layout).unwrap(), ["i/1.tif 1 [false, true]", "i/2.tif 2 [true, true]"]);
    let error = case.read(LABELS, &layout.replace("\"cover\"", "\"properties.image\"")).unwrap_err();
    assert!(error.contains("item `1`") && error.contains("`3`"), "{error}");
    let remote = "{\"features\": [{\"id\": \"r\", \"properties\": {\"c\": \"a\"}, \"assets\": {\"image\": {\"href\": \"https://x/1.tif\"}}}]}";
    let layout = "kind = \"table\"\nfile = \"items.json\"\nimages = \"image\"\ntarget = \"c\"";
    let error = case.file("items.json", remote).read(LABELS, layout).unwrap_err();
    assert!(error.contains("on this machine") && error.contains("https"), "{error}");
    let error = case.file("items.json", "[]").read(LABELS, layout).unwrap_err();
    assert!(error.contains("item collection"), "{error}");
}

/// A table as BigEarthNet's `metadata.parquet` is one: a patch, the list of its labels, its part.
fn write_parquet(path: &Path, rows: &[(&str, &[&str])]) {
    let schema = "message m { required binary patch_id (UTF8); optional group labels (LIST) { repeated group list { \
                  optional binary element (UTF8); } } required binary split (UTF8); required int64 year; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let text = |text: &&str| ByteArray::from(*text);
    let patches: Vec<ByteArray> = rows.iter().map(|(patch, _)| text(patch)).collect();
    let labels: Vec<ByteArray> = rows.iter().flat_map(|(_, labels)| labels.iter().map(text)).collect();
    let first = |(_, labels): &(&str, &[&str])| {
        (0..labels.len().max(1)).map(|at| i16::from(at > 0)).collect::<Vec<_>>()
    };
    let repetition: Vec<i16> = rows.iter().flat_map(first).collect();
    let defined: Vec<i16> = rows
        .iter()
        .flat_map(|(_, labels)| if labels.is_empty() { vec![1] } else { vec![3; labels.len()] })
        .collect();
    let parts = vec![ByteArray::from("train"); rows.len()];
    let mut put = |values: &[ByteArray], levels: Option<(&[i16], &[i16])>| {
        let mut column = group.next_column().unwrap().unwrap();
        let (definition, repetition) = levels.unzip();
        column.typed::<ByteArrayType>().write_batch(values, definition, repetition).unwrap();
        column.close().unwrap();
    };
    put(&patches, None);
    put(&labels, Some((&defined, &repetition)));
    put(&parts, None);
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&vec![2017; rows.len()], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn tables_of_bigearthnet_are_read() {
    let case = Case::new(&[("S2/S_T/S_T_1_1/S_T_1_1_B02.tif", 1.0), ("S2/S_T/S_T_1_2/S_T_1_2_B02.tif", 2.0)]);
    let table = case.0.path().join("metadata.parquet");
    write_parquet(&table, &[("S_T_1_1", &["b", "a"]), ("S_T_1_2", &[])]);
    let layout = "kind = \"table\"\nfile = \"metadata.parquet\"\nroot = \"S2\"\nsplit = \"split\"\ntarget = \"labels\"\n\
                  images = \"{patch_id-2}/{patch_id}/{patch_id}_B02.tif\"";
    assert_eq!(
        case.read(LABELS, layout).unwrap(),
        ["S_T/S_T_1_1/S_T_1_1_B02.tif 1 [true, true]", "S_T/S_T_1_2/S_T_1_2_B02.tif 2 [false, false]"]
    );
    let error = case.read(LABELS, &layout.replace("\"split\"", "\"year\"")).unwrap_err();
    assert!(error.contains("row 1") && error.contains("`2017`"), "{error}");
    let bytes = std::fs::read(&table).unwrap();
    for length in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&table, &bytes[..length]).unwrap();
        assert!(case.read(LABELS, layout).unwrap_err().contains("metadata.parquet"), "{length}");
    }
}

/// A damaged table is an error or another table, and ends nothing.
#[test]
fn damaged_tables_do_not_end_the_program() {
    let case = Case::new(&[("1.tif", 1.0)]);
    let table = case.0.path().join("t.parquet");
    write_parquet(&table, &[("1", &["b", "a"]), ("1", &[])]);
    let layout = "kind = \"table\"\nfile = \"t.parquet\"\nsplit = \"split\"\ntarget = \"labels\"\nimages = \"{patch_id}.tif\"";
    let bytes = std::fs::read(&table).unwrap();
    let mut opened = 0;
    for at in (0..bytes.len()).step_by(5) {
        for bits in [0x01, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bits;
            std::fs::write(&table, &damaged).unwrap();
            opened += usize::from(case.open(LABELS, layout).is_ok());
        }
    }
    assert!(opened > 0);
}
