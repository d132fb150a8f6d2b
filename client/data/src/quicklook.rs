//! A picture of a data set: some samples in natural colours, each beside its label.

use std::path::Path;

use eosfed_common::metric::quantity;
use eosfed_common::model::Task;
use eosfed_plot::{Legend, Picture, ValueRange, class_colours, ramp, sheet};

use crate::config::DatasetConfig;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::sample::{IGNORE, Sample, Target};
use crate::split::Split;

const ROWS: usize = 6;
/// Most pictures in a row.
const COLUMNS: usize = 4;
const UNLABELLED: [u8; 3] = [230, 230, 230];

/// Writes a sheet of samples of the training part, spread evenly over it: red, green and blue where
/// the bands are known by such names, contrast stretched between the 2nd and 98th percentile, beside
/// the label. An image with classes has a frame in their colours.
///
/// # Errors
/// As loading the data set, or if the picture cannot be written.
pub fn quicklook(dataset: &Dataset, path: &Path) -> Result<(), DataError> {
    let config = dataset.config();
    let titles = titles(config.task);
    let per_row = COLUMNS / titles.len();
    let most = ROWS * per_row;
    let mut chunks = dataset.chunks(Split::Train, &config.bands, most)?.at_most(most).to_the_end();
    let samples: Vec<Sample> = chunks.by_ref().collect::<Result<Vec<_>, _>>()?.concat();
    if samples.is_empty() {
        return Err(chunks.without_readable());
    }
    let style = SheetStyle::new(config, &samples);
    let pictures: Vec<Picture> = samples.iter().flat_map(|sample| style.cells(sample)).collect();
    let columns = per_row * titles.len();
    let rows: Vec<Vec<Picture>> = pictures.chunks(columns).map(<[Picture]>::to_vec).collect();
    let titles: Vec<&str> = titles.iter().copied().cycle().take(columns).collect();
    sheet(path, &titles, &rows, &style.legend()).map_err(|error| DataError::file(path, error))
}

const fn titles(task: Task) -> &'static [&'static str] {
    match task {
        Task::Classification => &["image (frame: class)"],
        Task::Multilabel => &["image (frame: classes)"],
        Task::Segmentation => &["image", "label"],
        Task::ChangeDetection => &["before", "after", "label"],
        Task::Regression => &["image", "target"],
    }
}

/// The settings for drawing the samples of a data set.
#[derive(Debug, Clone)]
pub struct SheetStyle {
    bands: usize,
    shown: [usize; 3],
    classes: Vec<String>,
    /// The unit of the target; empty if it has none.
    unit: String,
    colours: Vec<[u8; 3]>,
    /// 2nd and 98th percentile of the target's values.
    range: Option<[f32; 2]>,
    /// Whether a pixel, or a tile where several classes can be true, has no label.
    unlabelled: bool,
}

impl SheetStyle {
    /// For samples of such a data set. Classes without a colour of its `class_colours` have that of their meaning.
    #[must_use]
    pub fn new(config: &DatasetConfig, samples: &[Sample]) -> Self {
        let DatasetConfig { bands, classes, class_colours: given, .. } = config;
        let values = samples.iter().filter_map(|sample| match &sample.target {
            Target::Values(values) => Some(values),
            Target::Class(_) | Target::Classes(_) | Target::Mask(_) => None,
        });
        Self {
            bands: bands.len(),
            shown: display_bands(bands),
            classes: classes.clone(),
            unit: config.unit().to_owned(),
            colours: class_colours(classes, |class| given.of(class)),
            range: middle(values.flatten().copied()),
            unlabelled: samples.iter().any(|sample| match &sample.target {
                Target::Class(_) => false,
                Target::Classes(present) => !present.contains(&true),
                Target::Mask(mask) => mask.contains(&IGNORE),
                Target::Values(values) => values.iter().any(|value| !value.is_finite()),
            }),
        }
    }

    /// What the colours mean.
    #[must_use]
    pub fn legend(&self) -> Legend {
        let without = self.unlabelled.then(|| ("no label".to_owned(), UNLABELLED));
        match self.range {
            Some([low, high]) => Legend::Values(ValueRange {
                name: quantity(&self.classes[0], &self.unit),
                low: low.into(),
                high: high.into(),
                open: true,
                without,
            }),
            None => {
                let classes = self.classes.iter().cloned().zip(self.colours.iter().copied());
                Legend::Classes(classes.chain(without).collect())
            }
        }
    }

    /// The pictures of one sample: each date, then its label when that is a picture.
    #[must_use]
    pub fn cells(&self, sample: &Sample) -> Vec<Picture> {
        let mut pictures = self.dates(sample);
        match &sample.target {
            Target::Class(class) => self.frame(&mut pictures[0], &[*class]),
            Target::Classes(present) => {
                let classes: Vec<usize> = (0..present.len()).filter(|class| present[*class]).collect();
                self.frame(&mut pictures[0], &classes);
            }
            Target::Mask(mask) => pictures.push(self.mask(sample, mask)),
            Target::Values(values) => pictures.push(self.values(sample, values)),
        }
        pictures
    }

    /// The images of a sample, one for each date.
    #[must_use]
    pub fn dates(&self, sample: &Sample) -> Vec<Picture> {
        let size = sample.width * sample.height;
        let date = |image: &[f32]| {
            let stretched = self.shown.map(|band| stretch(&image[band * size..(band + 1) * size]));
            let pixels = (0..size).map(|at| [stretched[0][at], stretched[1][at], stretched[2][at]]).collect();
            Picture { pixels, ..blank(sample) }
        };
        sample.image.chunks_exact(self.bands * size).map(date).collect()
    }

    /// A mask of the sample's size; unlabelled pixels are light grey.
    #[must_use]
    pub fn mask(&self, sample: &Sample, mask: &[u8]) -> Picture {
        let colour =
            |class: &u8| if *class == IGNORE { UNLABELLED } else { self.colours[usize::from(*class)] };
        Picture { pixels: mask.iter().map(colour).collect(), ..blank(sample) }
    }

    /// Values of the sample's size on the range of most targets; pixels without are light grey.
    #[must_use]
    pub fn values(&self, sample: &Sample, values: &[f32]) -> Picture {
        let [low, high] = self.range.unwrap_or([0.0, 1.0]);
        let colour = |value: &f32| {
            let share = f64::from((value - low) / (high - low).max(f32::MIN_POSITIVE));
            if value.is_finite() { ramp(share) } else { UNLABELLED }
        };
        Picture { pixels: values.iter().map(colour).collect(), ..blank(sample) }
    }

    /// Draws a frame in the colours of the classes, in turn around the picture.
    fn frame(&self, picture: &mut Picture, classes: &[usize]) {
        let width = picture.width as usize;
        let height = picture.height as usize;
        let edge = (width.min(height) / 24).max(1);
        for (at, pixel) in picture.pixels.iter_mut().enumerate() {
            let x = at % width;
            let y = at / width;
            if x < edge || y < edge || x >= width - edge || y >= height - edge {
                let part = (x + y) * classes.len().max(1) / (width + height);
                *pixel = classes.get(part).map_or(UNLABELLED, |class| self.colours[*class]);
            }
        }
    }
}

fn blank(sample: &Sample) -> Picture {
    Picture { width: sample.width as u32, height: sample.height as u32, pixels: Vec::new() }
}

/// Positions of red, green and blue by name; else the first three bands, or the first thrice.
fn display_bands(names: &[String]) -> [usize; 3] {
    const NAMES: [&[&str]; 3] = [&["red", "b04", "r"], &["green", "b03", "g"], &["blue", "b02", "b"]];
    let find =
        |known: &[&str]| names.iter().position(|name| known.contains(&name.to_ascii_lowercase().as_str()));
    match NAMES.map(find) {
        [Some(r), Some(g), Some(b)] => [r, g, b],
        _ if names.len() >= 3 => [0, 1, 2],
        _ => [0; 3],
    }
}

fn stretch(values: &[f32]) -> Vec<u8> {
    let Some([low, high]) = middle(values.iter().copied()) else { return vec![0; values.len()] };
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    let byte =
        |value: &f32| if value.is_finite() { ((value - low) * scale).clamp(0.0, 255.0) as u8 } else { 0 };
    values.iter().map(byte).collect()
}

/// 2nd and 98th percentile of the finite values: a few outliers would leave all else one colour.
fn middle(values: impl Iterator<Item = f32>) -> Option<[f32; 2]> {
    let mut sorted: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some([sorted[last * 2 / 100], sorted[last * 98 / 100]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_colours_are_found_by_band_name() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(display_bands(&names(&["B02", "B03", "B04", "B08"])), [2, 1, 0]);
        assert_eq!(display_bands(&names(&["nir", "Red", "green", "blue"])), [1, 2, 3]);
        assert_eq!(display_bands(&names(&["VV", "VH"])), [0, 0, 0]);
    }

    #[test]
    fn stretching_ignores_outliers_and_invalid_pixels() {
        let mut values: Vec<f32> = (0..100).map(|v| v as f32).collect();
        values.extend([1e9, f32::NAN]);
        let bytes = stretch(&values);
        assert_eq!((bytes[0], bytes[101], bytes[100]), (0, 0, 255));
        assert!((120..136).contains(&bytes[50]), "{}", bytes[50]);
    }

    fn sample(target: Target) -> Sample {
        Sample { key: "a".to_owned(), width: 2, height: 2, image: vec![0.0; 4], target, judged: None }
    }

    #[test]
    fn classes_have_the_colours_that_the_site_gives_them() {
        let text = "task = \"segmentation\"\nbands = [\"B04\"]\nclasses = [\"water\", \"forest\"]\n\
                    class_colours = { forest = \"#102030\" }\n[layout]\nkind = \"pairs\"\nimages = \"i\"\nmasks = \"m\"\n";
        let style = SheetStyle::new(&toml::from_str(text).unwrap(), &[]);
        let expected = [("water".to_owned(), [0, 114, 178]), ("forest".to_owned(), [16, 32, 48])];
        assert_eq!(style.legend(), Legend::Classes(expected.to_vec()));
        let drawn = style.mask(&sample(Target::Class(0)), &[0, 1, 1, IGNORE]).pixels;
        assert_eq!(drawn, [expected[0].1, expected[1].1, expected[1].1, UNLABELLED]);
    }

    #[test]
    fn one_wild_target_does_not_take_the_colours_of_the_others() {
        let mut values: Vec<f32> = (0..100).map(|v| v as f32).collect();
        values.push(65_535.0);
        let text = "task = \"regression\"\nbands = [\"B04\"]\nclasses = [\"biomass\"]\ntarget_unit = \"t/ha\"\n[layout]\nkind = \"pairs\"\n\
                    images = \"i\"\nmasks = \"m\"\n";
        let style = SheetStyle::new(&toml::from_str(text).unwrap(), &[sample(Target::Values(values))]);
        let range =
            ValueRange { name: "biomass (t/ha)".to_owned(), low: 2.0, high: 98.0, open: true, without: None };
        assert_eq!(style.legend(), Legend::Values(range));
        let drawn = style.values(&sample(Target::Class(0)), &[2.0, 98.0, 65_535.0, f32::NAN]).pixels;
        assert_eq!(drawn, [ramp(0.0), ramp(1.0), ramp(1.0), UNLABELLED]);
    }
}
