//! The split by class, in data sets.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use eosfed_data::{Dataset, Limits, Split, summarise};

fn tile(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 4, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[7; 16]).unwrap();
}

fn open(folder: &Path, task: &str, layout: &str, split: &str) -> Result<Dataset, String> {
    let text = format!(
        "task = \"{task}\"\nbands = [\"red\"]\nclasses = [\"forest\", \"water\", \"ice\"]\nlayout = {layout}\n[split]\n\
         by = \"class\"\nvalidation = 0.25\ntest = 0.25\n{split}"
    );
    fs::write(folder.join("dataset.toml"), text).unwrap();
    Dataset::open(folder, &Limits::default()).map_err(|error| error.to_string())
}

/// Images of each class in each part, as `inspect` counts them.
fn counts(dataset: &Dataset) -> BTreeMap<String, Vec<u64>> {
    let classes = summarise(dataset).unwrap().classes;
    let of = |counts: BTreeMap<String, u64>| ["forest", "water", "ice"].map(|class| counts[class]).to_vec();
    classes.into_iter().map(|(part, counts)| (part, of(counts))).collect()
}

#[test]
fn folders_of_classes_keep_their_shares() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("forest", 40), ("water", 12), ("ice", 4)] {
        (0..count).for_each(|at| tile(&folder.path().join(class).join(format!("{at}.png"))));
    }
    let layout = "{ kind = \"folders\", root = \".\" }";
    for seed in 0..4 {
        let dataset = open(folder.path(), "classification", layout, &format!("seed = {seed}")).unwrap();
        let found = counts(&dataset);
        assert_eq!(found["train"], [20, 6, 2], "seed {seed}");
        assert_eq!((&found["validation"], &found["test"]), (&vec![10, 3, 1], &vec![10, 3, 1]), "seed {seed}");
    }
}

#[test]
fn of_several_classes_the_rarest_counts() {
    let folder = tempfile::tempdir().unwrap();
    tile(&folder.path().join("x.png"));
    let mut table = "image,classes,id\n".to_owned();
    for at in 0..64 {
        let file = format!("{at}.png");
        tile(&folder.path().join(&file));
        let classes = if at % 16 == 0 {
            "forest;ice"
        } else if at % 2 == 0 {
            "forest;water"
        } else {
            "forest"
        };
        table.push_str(&format!("{file},{classes},{at}\n"));
    }
    fs::write(folder.path().join("t.csv"), table).unwrap();
    let layout = "{ kind = \"table\", file = \"t.csv\", images = \"image\", target = \"classes\" }";
    let dataset = open(folder.path(), "multilabel", layout, "").unwrap();
    let found = counts(&dataset);
    assert_eq!(
        (&found["train"], &found["validation"], &found["test"]),
        (&vec![32, 14, 2], &vec![16, 7, 1], &vec![16, 7, 1])
    );
    assert_eq!(dataset.len(Split::Train), 32);
}

#[test]
fn what_gives_the_parts_already_is_refused_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    for column in ["split", "group"] {
        let layout = format!(
            "{{ kind = \"table\", file = \"t.csv\", images = \"image\", target = \"class\", {column} = \"part\" }}"
        );
        let said = open(folder.path(), "classification", &layout, "").err().unwrap();
        assert!(said.contains("`split.by` must be `digest` where a column of the table gives the part or the group, found `class`"), "{said}");
    }
    for (task, layout) in [
        ("segmentation", "{ kind = \"scenes\", images = [\"a.tif\"], masks = [\"b.tif\"], tile = 8 }"),
        ("segmentation", "{ kind = \"pairs\", images = \"i\", masks = \"m\" }"),
    ] {
        let said = open(folder.path(), task, layout, "").err().unwrap();
        assert!(
            said.contains("`split.by` must be other than `class` where pixels have labels, found `class`"),
            "{said}"
        );
    }
}
