//! Pixels of the Landsat scene that the demo uses, divided among institutions by location.

use std::path::Path;

use anyhow::{Context as _, ensure};
use eosfed_data::{Limits, Raster, read_raster};
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha12Rng;

/// Six bands of the pixel, and the means of its 5 by 5 neighbourhood.
pub(crate) const FEATURES: usize = 12;
/// Land cover classes.
pub(crate) const CLASSES: usize = 7;
const BANDS: [&str; 6] = ["10", "20", "30", "40", "50", "70"];
const REACH: usize = 2;

/// One pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pixel {
    /// Normalised features.
    pub(crate) features: [f32; FEATURES],
    /// Its class.
    pub(crate) class: usize,
}

/// Each institution's pixels, and the test pixels.
pub(crate) struct Parts {
    /// One list an institution: a strip of the scene from north to south.
    pub(crate) institutions: Vec<Vec<Pixel>>,
    /// Pixels of the strips between the institutions.
    pub(crate) test: Vec<Pixel>,
}

/// Divides the scene in `folder` into `count` strips, with a strip for testing after each.
///
/// # Errors
/// If the scene cannot be read.
pub(crate) fn divide(
    folder: &Path,
    count: usize,
    each: usize,
    rng: &mut ChaCha12Rng,
) -> anyhow::Result<Parts> {
    let read = |name: String| -> anyhow::Result<Raster> {
        let path = folder.join(name);
        read_raster(&path, &Limits::default()).with_context(|| format!("{}", path.display()))
    };
    let bands: Vec<_> =
        BANDS.iter().map(|band| read(format!("lsat7_2000_{band}.tif"))).collect::<anyhow::Result<_>>()?;
    let labels = read("strata.tif".to_owned())?;
    let width = labels.width;
    let height = labels.height;
    ensure!(
        bands.iter().all(|band| (band.width, band.height) == (width, height)),
        "the bands differ in size"
    );
    // Column by column, so that equal parts of the list are strips of the scene.
    let places = (REACH..width - REACH).flat_map(|x| (REACH..height - REACH).map(move |y| (x, y)));
    let mut pixels: Vec<_> = places.filter_map(|(x, y)| pixel(&bands, &labels, x, y)).collect();
    let strip = pixels.len() / (2 * count);
    ensure!(strip >= each, "the scene has {strip} pixels for each strip, and {each} are wanted");
    let mut strips = pixels.chunks_exact_mut(strip).map(|strip| {
        let (drawn, _) = strip.partial_shuffle(rng, each);
        drawn.to_vec()
    });
    let mut institutions = Vec::new();
    let mut test = Vec::new();
    while let (Some(own), Some(between)) = (strips.next(), strips.next()) {
        institutions.push(own);
        test.extend_from_slice(&between[..each / 2]);
    }
    normalise(&mut institutions, &mut test);
    Ok(Parts { institutions, test })
}

fn pixel(bands: &[Raster], labels: &Raster, x: usize, y: usize) -> Option<Pixel> {
    let label = labels.band(0)[y * labels.width + x];
    let class = (label >= 1.0 && label <= CLASSES as f32).then(|| label as usize - 1)?;
    let mut features = [0.0; FEATURES];
    for (index, band) in bands.iter().enumerate() {
        features[index] = band.band(0)[y * band.width + x];
        let around = band.window(x - REACH, y - REACH, 2 * REACH + 1, 2 * REACH + 1);
        features[BANDS.len() + index] = around.iter().sum::<f32>() / around.len() as f32;
    }
    features.iter().all(|value| value.is_finite()).then_some(Pixel { features, class })
}

/// Normalises to mean 0 and deviation 1 over all institutions, as federated statistics do.
fn normalise(institutions: &mut [Vec<Pixel>], test: &mut [Pixel]) {
    let all: Vec<Pixel> = institutions.iter().flatten().copied().collect();
    for feature in 0..FEATURES {
        let mean = all.iter().map(|pixel| pixel.features[feature]).sum::<f32>() / all.len() as f32;
        let squares = all.iter().map(|pixel| (pixel.features[feature] - mean).powi(2)).sum::<f32>();
        let deviation = (squares / all.len() as f32).sqrt().max(1e-6);
        for pixel in institutions.iter_mut().flatten().chain(test.iter_mut()) {
            pixel.features[feature] = (pixel.features[feature] - mean) / deviation;
        }
    }
}
