//! A picture of a data set: some samples, each as people would see it, beside its label.

use std::path::Path;

use eosfed_plot::{Legend, Picture, palette, sheet};

use crate::dataset::{Dataset, IGNORE, Sample, Target};
use crate::error::DataError;
use crate::split::Split;

const ROWS: usize = 6;
const PER_ROW: usize = 4;
const UNLABELLED: [u8; 3] = [230, 230, 230];

/// Writes a sheet of up to 12 (segmentation) or 24 (classification) samples of the training part,
/// spread evenly over it: red, green and blue where the bands are known by such names, contrast
/// stretched between the 2nd and 98th percentile.
///
/// # Errors
/// As loading the data set, or if the picture cannot be written.
pub fn quicklook(dataset: &Dataset, path: &Path) -> Result<(), DataError> {
    let config = dataset.config();
    let loaded = dataset.load(Split::Train, &config.bands)?;
    let bands = display_bands(&config.bands);
    let colours = palette(config.classes.len());
    let masks = matches!(loaded.samples[0].target, Target::Mask(_));
    let per_row = if masks { PER_ROW / 2 } else { PER_ROW };
    let count = loaded.samples.len().min(ROWS * per_row);
    let chosen = (0..count).map(|index| &loaded.samples[index * loaded.samples.len() / count]);
    let mut pictures: Vec<Picture> = chosen.flat_map(|sample| cells(sample, bands, &colours)).collect();
    let blank = Picture { width: 1, height: 1, pixels: vec![[255; 3]] };
    while !pictures.len().is_multiple_of(PER_ROW) {
        pictures.push(blank.clone());
    }
    let rows: Vec<Vec<Picture>> = pictures.chunks(PER_ROW).map(<[Picture]>::to_vec).collect();
    let titles =
        if masks { ["image", "label", "image", "label"] } else { ["image (frame: class)", "", "", ""] };
    let legend: Legend = config.classes.iter().cloned().zip(colours).collect();
    sheet(path, &titles, &rows, &legend).map_err(|error| DataError::file(path, error))
}

/// Positions of red, green and blue by name; else the first three bands, or the first thrice.
fn display_bands(names: &[String]) -> [usize; 3] {
    const KNOWN: [&[&str]; 3] = [&["red", "b04", "r"], &["green", "b03", "g"], &["blue", "b02", "b"]];
    let find =
        |known: &[&str]| names.iter().position(|name| known.contains(&name.to_ascii_lowercase().as_str()));
    match KNOWN.map(find) {
        [Some(r), Some(g), Some(b)] => [r, g, b],
        _ if names.len() >= 3 => [0, 1, 2],
        _ => [0; 3],
    }
}

fn cells(sample: &Sample, bands: [usize; 3], colours: &[[u8; 3]]) -> Vec<Picture> {
    let mut image = sample.picture(bands);
    match &sample.target {
        Target::Class(class) => {
            let (width, height) = (sample.width, sample.height);
            let frame = (width.min(height) / 24).max(1);
            for (at, pixel) in image.pixels.iter_mut().enumerate() {
                let (x, y) = (at % width, at / width);
                if x < frame || y < frame || x >= width - frame || y >= height - frame {
                    *pixel = colours[*class];
                }
            }
            vec![image]
        }
        Target::Mask(mask) => vec![image, Picture { pixels: paint(mask, colours), ..sample.blank() }],
    }
}

fn paint(mask: &[u8], colours: &[[u8; 3]]) -> Vec<[u8; 3]> {
    let colour = |class: &u8| if *class == IGNORE { UNLABELLED } else { colours[usize::from(*class)] };
    mask.iter().map(colour).collect()
}

impl Sample {
    fn blank(&self) -> Picture {
        Picture { width: self.width as u32, height: self.height as u32, pixels: Vec::new() }
    }

    /// The sample as a picture of three of its bands, each stretched between its 2nd and 98th percentile.
    #[must_use]
    pub fn picture(&self, bands: [usize; 3]) -> Picture {
        let size = self.width * self.height;
        let stretched = bands.map(|band| stretch(&self.image[band * size..(band + 1) * size]));
        let pixels = (0..size).map(|at| [stretched[0][at], stretched[1][at], stretched[2][at]]).collect();
        Picture { pixels, ..self.blank() }
    }

    /// A mask of the sample's size as a picture; unlabelled pixels are light grey.
    #[must_use]
    pub fn mask_picture(&self, mask: &[u8], colours: &[[u8; 3]]) -> Picture {
        Picture { pixels: paint(mask, colours), ..self.blank() }
    }

    /// Positions of red, green and blue among `names`, as [`quicklook`] chooses them.
    #[must_use]
    pub fn display_bands(names: &[String]) -> [usize; 3] {
        display_bands(names)
    }
}

fn stretch(values: &[f32]) -> Vec<u8> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return vec![0; values.len()] };
    let (low, high) = (sorted[last * 2 / 100], sorted[last * 98 / 100]);
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    let byte =
        |value: &f32| if value.is_finite() { ((value - low) * scale).clamp(0.0, 255.0) as u8 } else { 0 };
    values.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_found_by_name() {
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
