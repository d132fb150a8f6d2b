//! A picture of a map with what its colours mean and a scale bar.

use std::path::Path;

use plotters::prelude::*;

use super::legend::{Legend, text_width};
use super::sheet::Picture;
use super::{FONT, PlotError, save};

const GAP: u32 = 10;
/// Height of the line with the scale bar.
const BAR: u32 = 34;
/// Least width of a sheet.
const NARROWEST: u32 = 240;
/// Small maps are enlarged by a whole number so that their longer side has about so many pixels.
const LONGEST: u32 = 400;
const TEXT: u32 = 15;

/// Writes a map's picture, what its colours mean, and a scale bar where a pixel of the picture is known to be so
/// many metres wide.
///
/// # Errors
/// If the number of pixels does not match the picture's size, or the file cannot be written.
pub fn map_picture(
    path: &Path,
    picture: &Picture,
    legend: &Legend,
    metres: Option<f64>,
) -> Result<(), PlotError> {
    let Picture { width, height, pixels } = picture;
    if pixels.is_empty() || *width as usize * *height as usize != pixels.len() {
        let reason = format!("a map of {width}x{height} must have as many pixels, found {}", pixels.len());
        return Err(PlotError::Input { path: path.to_owned(), reason });
    }
    let times = (LONGEST / (*width).max(*height)).max(1);
    let (wide, high) = (width * times, height * times);
    let bar = metres.and_then(|metres| scale_bar(wide, metres / f64::from(times)));
    let bar_width = bar.as_ref().map_or(0, |(pixels, words)| pixels + 8 + text_width(words, TEXT));
    let inner = wide.max(legend.width()).max(bar_width).max(NARROWEST - 2 * GAP);
    let names = GAP + high + GAP;
    let below = names + legend.height(inner);
    let size = (inner + 2 * GAP, below + if bar.is_some() { BAR } else { 0 });
    let mut sheet = vec![255_u8; (size.0 * size.1 * 3) as usize];
    for y in 0..high {
        let row = (y / times * width) as usize;
        let at = (((y + GAP) * size.0 + GAP) * 3) as usize;
        let line = pixels[row..row + *width as usize].iter();
        let repeated = line.flat_map(|pixel| std::iter::repeat_n(*pixel, times as usize)).flatten();
        sheet[at..at + wide as usize * 3].iter_mut().zip(repeated).for_each(|(byte, value)| *byte = value);
    }
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut sheet, size).into_drawing_area();
        // Where a map is white at its edge, its frame shows where it ends.
        let corners = [GAP - 1, GAP + wide, GAP + high].map(|at| at as i32);
        area.draw(&Rectangle::new([(corners[0], corners[0]), (corners[1], corners[2])], BLACK.mix(0.3)))?;
        legend.draw(&area, (GAP, names), inner)?;
        if let Some((pixels, words)) = &bar {
            let (x, y) = (GAP as i32, (below + 8) as i32);
            area.draw(&Rectangle::new([(x, y), (x + *pixels as i32, y + 5)], BLACK.filled()))?;
            let text = (FONT, TEXT).into_font().color(&BLACK);
            area.draw_text(words, &text, (x + *pixels as i32 + 8, y - 5))?;
        }
        area.present()?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })();
    drawn.map_err(|error| PlotError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    save(path, size, &sheet)
}

/// Length in pixels and words of a bar of 1, 2 or 5 times a power of ten metres: at most a third of the map's width,
/// or of narrow maps as long as a bar that can be read.
fn scale_bar(width: u32, metres: f64) -> Option<(u32, String)> {
    /// Most pixels of a bar below narrow maps.
    const SHORT: f64 = 100.0;
    let most = (f64::from(width) / 3.0).max(SHORT) * metres;
    if !(most.is_finite() && most > 0.0) {
        return None;
    }
    let power = 10_f64.powf(most.log10().floor());
    let length = [5.0, 2.0, 1.0].into_iter().map(|times| times * power).find(|length| *length <= most)?;
    let pixels = (length / metres).round() as u32;
    let words = if length >= 1000.0 { format!("{} km", length / 1000.0) } else { format!("{length} m") };
    (pixels >= 1).then_some((pixels, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_a_round_length_that_fits() {
        assert_eq!(scale_bar(1000, 10.0), Some((200, "2 km".to_owned())));
        assert_eq!(scale_bar(300, 0.5), Some((100, "50 m".to_owned())));
        assert_eq!(scale_bar(9, 30.0), Some((67, "2 km".to_owned())), "longer than the map");
        assert_eq!(scale_bar(300, f64::NAN), None);
        assert_eq!(scale_bar(300, 0.0), None);
    }

    fn legend() -> Legend {
        Legend::Classes(vec![("water".to_owned(), [0, 114, 178]), ("forest".to_owned(), [0, 90, 50])])
    }

    #[test]
    fn the_map_is_drawn_as_it_is_above_its_legend_and_bar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        let pixels = (0..300 * 40).map(|at| [(at % 251) as u8, 7, 9]).collect();
        let picture = Picture { width: 300, height: 40, pixels };
        map_picture(&path, &picture, &legend(), Some(10.0)).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        let (width, height) = drawn.dimensions();
        assert_eq!((width, height), (320, GAP + 40 + GAP + legend().height(300) + BAR));
        assert!(
            (0..300).all(|x| drawn.get_pixel(GAP + x, GAP + 39).0 == [((39 * 300 + x) % 251) as u8, 7, 9])
        );
        let colours: Vec<[u8; 3]> = drawn.pixels().map(|pixel| pixel.0).collect();
        assert!(colours.contains(&[0, 114, 178]) && colours.contains(&[0, 90, 50]));
        assert!(drawn.get_pixel(GAP + 50, height - BAR + 10).0 == [0; 3], "the bar");
        let bad = Picture { width: 3, ..picture };
        assert!(map_picture(&path, &bad, &legend(), None).is_err());
    }

    #[test]
    fn a_small_map_is_enlarged_with_its_bar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        let picture = Picture { width: 20, height: 9, pixels: (0..180).map(|at| [at as u8, 7, 9]).collect() };
        map_picture(&path, &picture, &legend(), Some(10.0)).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        let (width, height) = drawn.dimensions();
        assert_eq!((width, height), (420, GAP + 180 + GAP + legend().height(400) + BAR));
        let pixel = |x: u32, y: u32| drawn.get_pixel(GAP + x, GAP + y).0;
        assert_eq!(
            [pixel(0, 0), pixel(19, 19), pixel(20, 0), pixel(399, 179)].map(|one| one[0]),
            [0, 0, 1, 179]
        );
        // 50 m are five pixels of the map, each of them 20 wide.
        let black = (0..width).filter(|x| drawn.get_pixel(*x, height - BAR + 10).0 == [0; 3]).count();
        assert!((100..=102).contains(&black), "{black}");
    }
}
