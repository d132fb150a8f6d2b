//! The rules of `dataset.toml`, each reported with its key and the value found.

use std::collections::BTreeSet;
use std::fmt::Display;

use eosfed_common::model::{MAX_BANDS, Task};
use eosfed_common::printable::{MAX_NAME, MAX_WORD, Printable};

use super::pattern::{BAND, CLASS, Pattern};
use super::polygons::one_for_all;
use super::valid::ValidRule;
use super::{Cut, DatasetConfig, FileBand, Layout, OneOrMany, Reading, SplitBy, SplitConfig};
use crate::files::are_polygons;
use crate::geotiff::{BaselineOffset, Complex};

/// Broken rules as sentences.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn rule(&mut self, holds: bool, key: &str, rule: impl Display, found: impl Display) {
        if !holds {
            self.0.push(format!("`{key}` must be {rule}, found `{found}`"));
        }
    }
}

/// Every rule that `config` breaks, in the order of the file.
pub(super) fn problems(config: &DatasetConfig) -> Vec<String> {
    let mut report = Report::default();
    name(config, &mut report);
    let reading = config.reading();
    bands(&reading, &mut report);
    classes(config, &mut report);
    polygons(config, &mut report);
    numbers(&reading, &mut report);
    let share = config.max_corrupt_share;
    report.rule((0.0..=1.0).contains(&share), "max_corrupt_share", "between 0 and 1", share);
    valid(&reading, &mut report);
    min_valid_share(config, &mut report);
    split(config, &mut report);
    layout(config, &mut report);
    report.0
}

impl Reading {
    /// Every rule of `dataset.toml` that it breaks, as sentences in the order of the file.
    #[must_use]
    pub fn broken_rules(&self) -> Vec<String> {
        let mut report = Report::default();
        bands(self, &mut report);
        numbers(self, &mut report);
        valid(self, &mut report);
        report.0
    }
}

fn valid(reading: &Reading, report: &mut Report) {
    const ABOUT: &str =
        "about bands of `bands`; a quality band in a file of its own is one more image, with its name there";
    let Some(text) = &reading.valid else { return };
    match ValidRule::parse(text) {
        Ok(rule) => {
            let unknown = rule.bands().find(|band| !reading.bands.iter().any(|known| known == band));
            report.rule(unknown.is_none(), "valid", ABOUT, unknown.unwrap_or_default());
        }
        Err(must) => report.rule(false, "valid", must, text),
    }
    // Both would change the numbers of quality bands too.
    report.rule(reading.nodata.is_none(), "nodata", "absent beside `valid`, which can say it", "a number");
    let kept = reading.baseline_offset != Some(BaselineOffset::Remove);
    report.rule(kept, "baseline_offset", "`keep` or absent beside `valid`; write `offset`", "remove");
}

fn min_valid_share(config: &DatasetConfig, report: &mut Report) {
    let Some(share) = config.min_valid_share else { return };
    report.rule(share > 0.0 && share <= 1.0, "min_valid_share", "above 0 and at most 1", share);
    report.rule(config.layout.cut().tile.is_some(), "min_valid_share", "absent without `layout.tile`", share);
}

fn distinct(list: &[String]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() == list.len()
}

fn name(config: &DatasetConfig, report: &mut Report) {
    if let Some(Err(error)) = config.name.as_deref().map(|name| Printable::parse(name, 1..=MAX_NAME)) {
        report.0.push(format!("`name`: {error}"));
    }
}

fn bands(reading: &Reading, report: &mut Report) {
    let bands = &reading.bands;
    let is_band = |name: &&String| {
        (1..=32).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let rule = format!(
        "1 to {MAX_BANDS} names, or `sensor` given; of files with more bands, `file_bands` takes some"
    );
    report.rule((1..=MAX_BANDS).contains(&bands.len()), "bands", rule, bands.len());
    file_bands(&reading.file_bands, bands.len(), report);
    if let Some(bad) = bands.iter().find(|name| !is_band(name)) {
        report.rule(false, "bands", "of letters, digits and `_`, at most 32", bad.escape_debug());
    }
    report.rule(distinct(bands), "bands", "without repetition", bands.join(", "));
    for (name, info) in &reading.band_info {
        report.rule(bands.contains(name), "band_info", "about a band of `bands`", name);
        let positive = |value: Option<f64>| value.is_none_or(|value| value.is_finite() && value > 0.0);
        report.rule(positive(info.wavelength_um), "band_info.wavelength_um", "above 0", name);
        report.rule(positive(info.gsd_m), "band_info.gsd_m", "above 0", name);
    }
}

fn file_bands(chosen: &[FileBand], bands: usize, report: &mut Report) {
    let as_many = chosen.is_empty() || chosen.len() == bands;
    report.rule(as_many, "file_bands", format!("one for each of the {bands} `bands`"), chosen.len());
    let repeated = (1..chosen.len()).find(|at| chosen[..*at].contains(&chosen[*at]));
    if let Some(at) = repeated {
        report.rule(false, "file_bands", "without repetition", &chosen[at]);
    }
}

fn complex(complex: Option<Complex>, nodata: Option<f64>, report: &mut Report) {
    let marker = nodata.filter(|marker| complex.is_some() && *marker != 0.0);
    report.rule(marker.is_none(), "nodata", "0 or absent beside `complex`", marker.unwrap_or_default());
}

fn classes(config: &DatasetConfig, report: &mut Report) {
    let DatasetConfig { task, classes, mask_values, .. } = config;
    let range = task.classes();
    let rule = format!("{} to {} names for {task}", range.start(), range.end());
    report.rule(range.contains(&classes.len()), "classes", rule, classes.len());
    report.rule(distinct(classes), "classes", "without repetition", classes.join(", "));
    for (rule, found) in config.class_colours.broken(*task, classes) {
        report.rule(false, "class_colours", rule, found);
    }
    if let Some(values) = mask_values {
        let masks = matches!(task, Task::Segmentation | Task::ChangeDetection);
        report.rule(masks, "mask_values", "absent unless the labels are masks", task);
        let as_many = format!("{} values, one a class", classes.len());
        report.rule(values.len() == classes.len(), "mask_values", as_many, values.len());
        let unique: BTreeSet<_> = values.iter().collect();
        report.rule(unique.len() == values.len(), "mask_values", "without repetition", format!("{values:?}"));
    }
    let regression = *task == Task::Regression;
    report.rule(
        regression || config.target_nodata.is_none(),
        "target_nodata",
        "absent unless the task is `regression`",
        task,
    );
    let Some(unit) = &config.target_unit else { return };
    report.rule(regression, "target_unit", "absent unless the task is `regression`", task);
    if let Err(error) = Printable::parse(unit, 1..=MAX_WORD) {
        report.0.push(format!("`target_unit`: {error}"));
    }
}

fn polygons(config: &DatasetConfig, report: &mut Report) {
    let Some(polygons) = &config.polygons else { return };
    let task = config.task;
    let masks = matches!(task, Task::Segmentation | Task::ChangeDetection);
    report.rule(masks, "polygons", "absent unless the labels are masks", task);
    if let Err(error) = Printable::parse(&polygons.attribute, 1..=MAX_NAME) {
        report.0.push(format!("`polygons.attribute`: {error}"));
    }
    let rule = format!("of {}", config.classes.join(", "));
    let unknown = |name: &&String| !config.classes.contains(name);
    if let Some(name) = polygons.values.values().find(unknown) {
        report.rule(false, "polygons.values", &rule, name.escape_debug());
    }
    if let Some(name) = polygons.background.iter().find(unknown) {
        report.rule(false, "polygons.background", &rule, name.escape_debug());
    }
}

fn numbers(reading: &Reading, report: &mut Report) {
    let Reading { scale, offset, .. } = reading;
    report.rule(scale.is_finite() && *scale != 0.0, "scale", "a number other than 0", scale);
    report.rule(offset.is_finite(), "offset", "a finite number", offset);
    band_scaling(reading, report);
    let remove = reading.baseline_offset == Some(BaselineOffset::Remove);
    let other = reading.named_bands().into_iter().find(|band| band.info.wavelength_um.is_none());
    if let Some(band) = other.filter(|_| remove) {
        let rule =
            "`keep` or absent beside bands of other things than light (`band_info` can say a wavelength)";
        report.rule(false, "baseline_offset", rule, band.name);
    }
    let once = reading.file_scaling.is_none() || !remove;
    report.rule(once, "baseline_offset", "`keep` or absent where `file_scaling` is given", "remove");
    complex(reading.complex, reading.nodata, report);
}

fn band_scaling(reading: &Reading, report: &mut Report) {
    for (name, own) in &reading.band_scaling {
        let known = reading.bands.contains(name);
        report.rule(known, "band_scaling", "about a band of `bands`", name.escape_debug());
        let found = |value: f64| format!("{name}: {value}");
        if let Some(scale) = own.scale {
            let holds = scale.is_finite() && scale != 0.0;
            report.rule(holds, "band_scaling.scale", "a number other than 0", found(scale));
        }
        if let Some(offset) = own.offset {
            report.rule(offset.is_finite(), "band_scaling.offset", "a finite number", found(offset));
        }
    }
}

fn split(config: &DatasetConfig, report: &mut Report) {
    let SplitConfig { by, validation, test, seed: _ } = config.split;
    report.rule((0.0..1.0).contains(&validation), "split.validation", "at least 0 and below 1", validation);
    report.rule((0.0..=1.0).contains(&test), "split.test", "between 0 and 1", test);
    report.rule(validation + test <= 1.0, "split", "at most 1 in all", validation + test);
    let rule = "`digest` or, by groups, `class` where a column of the table gives the part or the group";
    for (method, word) in [(SplitBy::Location, "location"), (SplitBy::ClassLocation, "class-location")] {
        report.rule(by != Some(method) || config.divides(), "split.by", rule, word);
    }
    let free = config.divides() || config.groups();
    let rule = "`digest` where a column of the table gives the part";
    report.rule(by != Some(SplitBy::Class) || free, "split.by", rule, "class");
    let classes = matches!(config.task, Task::Classification | Task::Multilabel);
    for (method, word) in [(SplitBy::Class, "class"), (SplitBy::ClassLocation, "class-location")] {
        let rule = format!("other than `{word}` where pixels have labels");
        report.rule(by != Some(method) || classes, "split.by", rule, word);
    }
}

fn layout(config: &DatasetConfig, report: &mut Report) {
    let task = config.task;
    let needs_after = task.dates() == 2;
    match &config.layout {
        Layout::Folders { index, place, .. } => {
            report.rule(task == Task::Classification, "task", "`classification` for folders", task);
            let holds = place.is_none() || index.is_some();
            report.rule(holds, "layout.index", "given beside `where`", "nothing");
        }
        Layout::Scenes { images, after, masks, .. } => {
            report.rule(task.is_dense(), "task", "one of pixels for scenes", task);
            report.rule(!images.is_empty(), "layout.images", "at least one file", "none");
            let unique: BTreeSet<_> = images.iter().collect();
            let all = images.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            report.rule(unique.len() == images.len(), "layout.images", "without repetition", all);
            let as_many = format!("{} files, one an image", images.len());
            let one_for_all = masks.len() == 1 && are_polygons(&masks[0]);
            let rule = format!("{as_many}; or one file of polygons for all");
            report.rule(one_for_all || images.len() == masks.len(), "layout.masks", rule, masks.len());
            let after_rule = after.len() == if needs_after { images.len() } else { 0 };
            let rule = if needs_after { as_many } else { "absent but for change detection".to_owned() };
            report.rule(after_rule, "layout.after", rule, after.len());
        }
        Layout::Pairs { images, after, .. } => {
            report.rule(task.is_dense(), "task", "one of pixels for pairs", task);
            stacks(images, after.as_ref(), needs_after, report);
        }
        Layout::Pattern { images, after, masks, group, tile, .. } => {
            report.rule(task != Task::Multilabel, "task", "other than `multilabel` for patterns", task);
            stacks(images, after.as_ref(), needs_after, report);
            let named = masks.is_some() == task.is_dense();
            report.rule(named, "layout.masks", "given for tasks of pixels and for no others", task);
            patterns(images, after.as_ref(), masks.as_deref(), group.as_deref(), task, report);
            report.rule(tile.is_none() || task.is_dense(), "layout.tile", TILE_RULE, task);
        }
        Layout::Table { images, after, tile, lon, lat, target, targets, threshold, .. } => {
            let multilabel = task == Task::Multilabel && targets.len() == config.classes.len();
            let one = target.is_some() && targets.is_empty();
            let columns = one || (target.is_none() && multilabel);
            let rule = "one column, or instead of it `targets`: one column a class for `multilabel`";
            report.rule(
                columns,
                "layout.target",
                rule,
                format!("{target:?} and {} `targets`", targets.len()),
            );
            let above = threshold.is_none_or(|number| number.is_finite() && !targets.is_empty());
            report.rule(above, "layout.threshold", "a number, beside `targets`", format!("{threshold:?}"));
            let both = lon.is_some() == lat.is_some();
            report.rule(both, "layout.lon", "given together with `layout.lat`", "one of the two");
            stacks(images, after.as_ref(), needs_after, report);
            report.rule(tile.is_none() || task.is_dense(), "layout.tile", TILE_RULE, task);
        }
    }
    tiles(config.layout.cut(), task, report);
}

const TILE_RULE: &str = "absent unless the task is of pixels";

/// The patterns of a layout: they can be read, and those that are filled in have parts of the first one.
fn patterns(
    images: &OneOrMany,
    after: Option<&OneOrMany>,
    masks: Option<&str>,
    group: Option<&str>,
    task: Task,
    report: &mut Report,
) {
    let all = images.list().iter().chain(after.iter().flat_map(|list| list.list())).map(String::as_str);
    let mut parsed = Vec::new();
    let masks = masks.filter(|mask| !one_for_all(mask));
    for text in all.chain(masks) {
        match Pattern::parse(text) {
            Ok(pattern) => parsed.push((text, pattern)),
            Err(rule) => report.rule(false, "layout", rule, text),
        }
    }
    let Some((_, first)) = parsed.first() else { return };
    let known: BTreeSet<&str> = first.parts().collect();
    for (text, pattern) in &parsed[1..] {
        let given = pattern.parts().all(|part| known.contains(part));
        report.rule(given, "layout", format!("patterns with parts of `{}`", images.list()[0]), text);
    }
    let by_band = known.contains(BAND);
    report.rule(
        !by_band || images.list().len() == 1,
        "layout.images",
        "one pattern if it has `{band}`",
        images.list().len(),
    );
    let mask_band = masks.is_some_and(|mask| mask.contains("{band}"));
    report.rule(!mask_band, "layout.masks", "a pattern without `{band}`", masks.unwrap_or_default());
    let classes = task == Task::Classification;
    report.rule(
        known.contains(CLASS) == classes,
        "layout.images",
        "with `{class}` in classification only",
        images.list()[0].as_str(),
    );
    report.rule(
        group.is_none_or(|group| known.contains(group)),
        "layout.group",
        "a part of the pattern",
        group.unwrap_or_default(),
    );
}

fn stacks(images: &OneOrMany, after: Option<&OneOrMany>, needs_after: bool, report: &mut Report) {
    let count = images.list().len();
    report.rule(count > 0, "layout.images", "at least one", "none");
    let found = after.map_or(0, |after| after.list().len());
    let rule = if needs_after { "as many as `images`" } else { "absent but for change detection" };
    report.rule(found == if needs_after { count } else { 0 }, "layout.after", rule, found);
}

fn tiles(Cut { tile, stride, halo }: Cut, task: Task, report: &mut Report) {
    const HALO_RULE: &str =
        "absent unless the task is of pixels, since one label of a whole tile is that of its edge too";
    report.rule(halo == 0 || task.is_dense(), "layout.halo", HALO_RULE, halo);
    let Some(tile) = tile else {
        report.rule(stride.is_none(), "layout.stride", "absent without `tile`", "a number");
        report.rule(halo == 0, "layout.halo", "absent without `tile`", halo);
        return;
    };
    report.rule((8..=4096).contains(&tile), "layout.tile", "between 8 and 4096", tile);
    let judged = u64::from(tile).checked_sub(2 * u64::from(halo)).filter(|judged| *judged > 0);
    report.rule(
        halo == 0 || judged.is_some(),
        "layout.halo",
        format!("less than half of `tile`, which is {tile}"),
        halo,
    );
    let (Some(stride), Some(judged)) = (stride, judged) else { return };
    let rule = match halo {
        0 => "between 1 and `tile`".to_owned(),
        _ => format!("between 1 and `tile` without twice `halo`, {judged}, so that every pixel is judged"),
    };
    report.rule((1..=judged).contains(&u64::from(stride)), "layout.stride", rule, stride);
}
