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
    open_by(folder, task, layout, "class", split)
}

fn open_by(folder: &Path, task: &str, layout: &str, by: &str, split: &str) -> Result<Dataset, String> {
    let text = format!(
        "task = \"{task}\"\nbands = [\"red\"]\nclasses = [\"forest\", \"water\", \"ice\"]\nlayout = {layout}\n[split]\n\
         by = \"{by}\"\nvalidation = 0.25\ntest = 0.25\n{split}"
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
    let layout = "{ kind = \"table\", file = \"t.csv\", images = \"image\", target = \"class\", split = \"part\", group = \"g\" }";
    let said = open(folder.path(), "classification", layout, "").err().unwrap();
    let rule = "`split.by` must be `digest` where a column of the table gives the part, found `class`";
    assert!(said.contains(rule), "{said}");
    for column in ["split", "group"] {
        let layout = format!(
            "{{ kind = \"table\", file = \"t.csv\", images = \"image\", target = \"class\", {column} = \"part\" }}"
        );
        let said = open_by(folder.path(), "classification", &layout, "class-location", "").err().unwrap();
        let rule = "`split.by` must be `digest` or, by groups, `class` where a column of the table gives the part or the group";
        assert!(said.contains(rule) && said.contains("found `class-location`"), "{said}");
    }
    for (task, layout) in [
        ("segmentation", "{ kind = \"scenes\", images = [\"a.tif\"], masks = [\"b.tif\"], tile = 8 }"),
        ("segmentation", "{ kind = \"pairs\", images = \"i\", masks = \"m\" }"),
    ] {
        for by in ["class", "class-location"] {
            let said = open_by(folder.path(), task, layout, by, "").err().unwrap();
            let rule = format!("`split.by` must be other than `{by}` where pixels have labels, found `{by}`");
            assert!(said.contains(&rule), "{said}");
        }
    }
}

/// A table of 40 fields: each has images of one class, of which forest is common and ice rare, and lies in a place of its own.
fn fields(folder: &Path) -> &'static str {
    let mut table = "image,class,field,lon,lat\n".to_owned();
    for field in 0..40 {
        let (class, count) = match field % 10 {
            0 => ("ice", 2),
            1..4 => ("water", 3 + field % 4),
            _ => ("forest", 4 + field % 9),
        };
        for at in 0..count {
            let file = format!("{field}-{at}.png");
            tile(&folder.join(&file));
            let [lon, lat] =
                [field % 8, field / 8].map(|place| 10.0 + 0.6 * f64::from(place) + 0.001 * f64::from(at));
            table.push_str(&format!("{file},{class},{field},{lon},{lat}\n"));
        }
    }
    fs::write(folder.join("t.csv"), table).unwrap();
    "kind = \"table\", file = \"t.csv\", images = \"image\", target = \"class\""
}

/// By how much the share of a class in a part is off at most.
fn off(dataset: &Dataset) -> f64 {
    let counts = counts(dataset);
    let share = |class: usize, part: &str| {
        counts[part][class] as f64 / counts.values().map(|counts| counts[class]).sum::<u64>() as f64
    };
    let of = |class| {
        [("train", 0.5), ("validation", 0.25), ("test", 0.25)]
            .map(|(part, share_of)| (share(class, part) - share_of).abs())
    };
    (0..3).flat_map(of).fold(0.0, f64::max)
}

/// The parts in which each field has samples.
fn parts_of_fields(dataset: &Dataset) -> BTreeMap<String, Vec<Split>> {
    let mut parts: BTreeMap<String, Vec<Split>> = BTreeMap::new();
    for part in Split::ALL {
        let samples = dataset.chunks(part, &["red".to_owned()], 1000).unwrap().flat_map(Result::unwrap);
        for sample in samples {
            let of = parts.entry(sample.key.split_once('-').unwrap().0.to_owned()).or_default();
            if !of.contains(&part) {
                of.push(part);
            }
        }
    }
    parts
}

#[test]
fn whole_groups_and_whole_places_come_near_the_shares_of_classes() {
    let folder = tempfile::tempdir().unwrap();
    let table = fields(folder.path());
    let [groups, places] =
        ["group = \"field\"", "lon = \"lon\", lat = \"lat\""].map(|of| format!("{{ {table}, {of} }}"));
    let mut plain = 0.0;
    for (layout, by, without) in [(&groups, "class", "digest"), (&places, "class-location", "location")] {
        for seed in 0..3 {
            let opened =
                |by| open_by(folder.path(), "classification", layout, by, &format!("seed = {seed}")).unwrap();
            let dataset = opened(by);
            let parts = parts_of_fields(&dataset);
            assert!(parts.len() == 40 && parts.values().all(|parts| parts.len() == 1), "{by}: {parts:?}");
            assert!(off(&dataset) < 0.1, "{by} {seed}: {}", off(&dataset));
            assert_eq!(parts, parts_of_fields(&opened(by)), "the seed decides");
            plain += off(&opened(without)) / 6.0;
        }
    }
    assert!(plain > 0.15, "without classes the shares are off by {plain}");
}

#[test]
fn a_group_that_has_a_whole_class_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let table = fields(folder.path());
    let text = fs::read_to_string(folder.path().join("t.csv")).unwrap().replace("ice,10,", "ice,0,");
    let text = text.replace("ice,20,", "ice,0,").replace("ice,30,", "ice,0,");
    fs::write(folder.path().join("t.csv"), text).unwrap();
    let dataset =
        open(folder.path(), "classification", &format!("{{ {table}, group = \"field\" }}"), "").unwrap();
    let counts = counts(&dataset);
    assert_eq!((counts["train"][2], counts["validation"][2], counts["test"][2]), (8, 0, 0));
    let said = summarise(&dataset).unwrap().warnings.join("\n");
    for part in ["validation", "test"] {
        assert!(said.contains(&format!("the {part} part has no sample of ice")), "{said}");
    }
}
