//! A picture of a map with its legend and a scale bar.

use std::path::Path;

use plotters::prelude::*;

use super::sheet::{Legend, Picture};
use super::{FONT, PlotError, register_font, save};

const GAP: u32 = 10;
const ROW: u32 = 24;
const COLUMN: u32 = 200;
/// Most characters of a name.
const NAME: usize = 24;
/// Height of the line with the scale bar.
const BAR: u32 = 34;
/// Narrowest sheet: one name of the legend, and the bar's text.
const NARROWEST: u32 = COLUMN + 2 * GAP;

/// Writes a map's picture, the names of its colours, and a scale bar where a pixel of the picture is known to be so
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
    register_font();
    let whole = (width + 2 * GAP).max(NARROWEST);
    let columns = ((whole - GAP) / COLUMN).max(1);
    let names = GAP + height + GAP;
    let bar = metres.and_then(|metres| scale_bar(*width, metres));
    let below = names + (legend.len() as u32).div_ceil(columns) * ROW;
    let size = (whole, below + if bar.is_some() { BAR } else { 0 });
    let mut sheet = vec![255_u8; (size.0 * size.1 * 3) as usize];
    for (y, line) in pixels.chunks_exact(*width as usize).enumerate() {
        let at = (((y as u32 + GAP) * size.0 + GAP) * 3) as usize;
        sheet[at..at + line.len() * 3].copy_from_slice(line.as_flattened());
    }
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut sheet, size).into_drawing_area();
        let text = (FONT, 15).into_font().color(&BLACK);
        for (index, (name, [r, g, b])) in legend.iter().enumerate() {
            let index = index as u32;
            let (x, y) = ((GAP + index % columns * COLUMN) as i32, (names + index / columns * ROW) as i32);
            area.draw(&Rectangle::new([(x, y), (x + 14, y + 14)], RGBColor(*r, *g, *b).filled()))?;
            // White and near white are seen by their frame.
            area.draw(&Rectangle::new([(x, y), (x + 14, y + 14)], BLACK.mix(0.4)))?;
            area.draw_text(&name.chars().take(NAME).collect::<String>(), &text, (x + 20, y))?;
        }
        if let Some((pixels, words)) = &bar {
            let (x, y) = (GAP as i32, (below + 8) as i32);
            area.draw(&Rectangle::new([(x, y), (x + *pixels as i32, y + 5)], BLACK.filled()))?;
            area.draw_text(words, &text, (x + *pixels as i32 + 8, y - 5))?;
        }
        area.present()?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })();
    drawn.map_err(|error| PlotError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    save(path, size, &sheet)
}

/// Length in pixels and words of a bar of 1, 2 or 5 times a power of ten metres, at most a third of the width.
/// `None` if not even a metre of such a number fits.
fn scale_bar(width: u32, metres: f64) -> Option<(u32, String)> {
    let most = f64::from(width) * metres / 3.0;
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
        assert_eq!(scale_bar(90, 30.0), Some((17, "500 m".to_owned())));
        assert_eq!(scale_bar(300, f64::NAN), None);
        assert_eq!(scale_bar(300, 0.0), None);
    }

    #[test]
    fn the_map_is_drawn_as_it_is_above_its_legend_and_bar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        let pixels = (0..300 * 40).map(|at| [(at % 251) as u8, 7, 9]).collect();
        let picture = Picture { width: 300, height: 40, pixels };
        let legend: Legend = vec![("water".to_owned(), [0, 114, 178]), ("forest".to_owned(), [0, 90, 50])];
        map_picture(&path, &picture, &legend, Some(10.0)).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        let (width, height) = drawn.dimensions();
        assert_eq!((width, height), (320, GAP + 40 + GAP + 2 * ROW + BAR));
        assert!(
            (0..300).all(|x| drawn.get_pixel(GAP + x, GAP + 39).0 == [((39 * 300 + x) % 251) as u8, 7, 9])
        );
        let colours: Vec<[u8; 3]> = drawn.pixels().map(|pixel| pixel.0).collect();
        assert!(colours.contains(&[0, 114, 178]) && colours.contains(&[0, 90, 50]));
        assert!(drawn.get_pixel(GAP + 50, height - BAR + 10).0 == [0; 3], "the bar");
        let bad = Picture { width: 3, ..picture };
        assert!(map_picture(&path, &bad, &legend, None).is_err());
    }
}
