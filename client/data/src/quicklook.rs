//! A picture of a data set: some samples in natural colours, each beside its label.

use std::path::Path;

use eosfed_common::model::Task;
use eosfed_plot::{Legend, Picture, palette, ramp, sheet};

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
    let chunks = dataset.chunks(Split::Train, &config.bands, most)?.at_most(most);
    let samples: Vec<Sample> = chunks.collect::<Result<Vec<_>, _>>()?.concat();
    let style = SheetStyle::new(&config.bands, config.classes.len(), &samples);
    let mut pictures: Vec<Picture> = samples.iter().flat_map(|sample| style.cells(sample)).collect();
    let blank = Picture { width: 1, height: 1, pixels: vec![[255; 3]] };
    let columns = per_row * titles.len();
    while !pictures.len().is_multiple_of(columns) {
        pictures.push(blank.clone());
    }
    let rows: Vec<Vec<Picture>> = pictures.chunks(columns).map(<[Picture]>::to_vec).collect();
    let titles: Vec<&str> = titles.iter().copied().cycle().take(columns).collect();
    let legend = style.legend(&config.classes);
    sheet(path, &titles, &rows, &legend).map_err(|error| DataError::file(path, error))
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
    colours: Vec<[u8; 3]>,
    /// Smallest and largest target value.
    range: Option<[f32; 2]>,
}

impl SheetStyle {
    /// For samples that have these bands.
    #[must_use]
    pub fn new(bands: &[String], classes: usize, samples: &[Sample]) -> Self {
        let values = samples.iter().filter_map(|sample| match &sample.target {
            Target::Values(values) => Some(values),
            Target::Class(_) | Target::Classes(_) | Target::Mask(_) => None,
        });
        let range = values.flatten().filter(|value| value.is_finite()).fold(None, |range, value| {
            let [low, high] = range.unwrap_or([*value; 2]);
            Some([low.min(*value), high.max(*value)])
        });
        Self { bands: bands.len(), shown: display_bands(bands), colours: palette(classes), range }
    }

    /// Names and colours: of the classes, or of the ends of the range.
    #[must_use]
    pub fn legend(&self, classes: &[String]) -> Legend {
        match self.range {
            Some([low, high]) => {
                let end = |value: f32, share| (format!("{} {value:.4}", classes[0]), ramp(share));
                vec![end(low, 0.0), end((low + high) / 2.0, 0.5), end(high, 1.0)]
            }
            None => classes.iter().cloned().zip(self.colours.iter().copied()).collect(),
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

    /// Values of the sample's size on the range of all targets; pixels without are light grey.
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
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return vec![0; values.len()] };
    let low = sorted[last * 2 / 100];
    let high = sorted[last * 98 / 100];
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    let byte =
        |value: &f32| if value.is_finite() { ((value - low) * scale).clamp(0.0, 255.0) as u8 } else { 0 };
    values.iter().map(byte).collect()
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
}
