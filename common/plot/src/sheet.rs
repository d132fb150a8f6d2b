//! Sheets of small pictures in a grid with column titles and a legend of classes.

use std::path::Path;

use plotters::prelude::*;

use super::legend::{Legend, shortened};
use super::{FONT, PlotError, save};

/// Side of each picture on the sheet, in pixels.
const CELL: u32 = 176;
const GAP: u32 = 10;
const HEADER: u32 = 34;
/// Size of the titles' letters.
const TITLE: u32 = 17;

/// An RGB picture, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height` colours.
    pub pixels: Vec<[u8; 3]>,
}

/// Writes rows of pictures under column titles, each scaled without smoothing to fill a square along its longer side,
/// with the legend below.
///
/// # Errors
/// If a row has no picture or more than titles, the number of pixels does not match a picture's size,
/// or the file cannot be written.
pub fn sheet(path: &Path, titles: &[&str], rows: &[Vec<Picture>], legend: &Legend) -> Result<(), PlotError> {
    check(path, titles, rows)?;
    let columns = titles.len() as u32;
    let inner = (columns * (CELL + GAP) - GAP).max(legend.width());
    let width = inner + 2 * GAP;
    let body = HEADER + rows.len() as u32 * (CELL + GAP);
    let height = body + legend.height(inner) + GAP;
    let mut pixels = vec![255_u8; (width * height * 3) as usize];
    for (r, row) in rows.iter().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            let at = (GAP + c as u32 * (CELL + GAP), HEADER + r as u32 * (CELL + GAP));
            blit(&mut pixels, width, at, picture);
        }
    }
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let text = (FONT, TITLE).into_font().color(&BLACK);
        for (c, title) in titles.iter().enumerate() {
            let title = shortened(title, TITLE, CELL);
            area.draw_text(&title, &text, ((GAP + c as u32 * (CELL + GAP)) as i32, 9))?;
        }
        // Where a picture is white at its edge, its frame shows where it ends.
        for (r, row) in rows.iter().enumerate() {
            for (c, picture) in row.iter().enumerate() {
                let (sides, margins) = fitted(picture);
                let left = (GAP + c as u32 * (CELL + GAP) + margins[0]) as i32 - 1;
                let top = (HEADER + r as u32 * (CELL + GAP) + margins[1]) as i32 - 1;
                let end = (left + sides[0] as i32 + 1, top + sides[1] as i32 + 1);
                area.draw(&Rectangle::new([(left, top), end], BLACK.mix(0.2)))?;
            }
        }
        legend.draw(&area, (GAP, body), inner)?;
        area.present()?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })();
    drawn.map_err(|error| PlotError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    save(path, (width, height), &pixels)
}

fn check(path: &Path, titles: &[&str], rows: &[Vec<Picture>]) -> Result<(), PlotError> {
    let fail = |reason: String| Err(PlotError::Input { path: path.to_owned(), reason });
    if rows.is_empty() {
        return fail("there are no pictures".to_owned());
    }
    for (index, row) in rows.iter().enumerate() {
        if row.is_empty() || row.len() > titles.len() {
            return fail(format!("row {index} has `{}` pictures for {} titles", row.len(), titles.len()));
        }
        for Picture { width, height, pixels } in row {
            if pixels.is_empty() || pixels.len() != (*width as usize) * (*height as usize) {
                return fail(format!("row {index}: `{}` pixels for {width}x{height}", pixels.len()));
            }
        }
    }
    Ok(())
}

/// Width and height of a picture in its cell, and the space to its left and above it.
fn fitted(picture: &Picture) -> ([u32; 2], [u32; 2]) {
    let longer = picture.width.max(picture.height);
    let sides = [picture.width, picture.height].map(|side| (CELL * side / longer).max(1));
    (sides, sides.map(|side| (CELL - side) / 2))
}

/// Nearest-neighbour scaling, so that single pixels and class borders stay visible. A picture that is not square stays
/// so, in the middle of its cell.
fn blit(target: &mut [u8], stride: u32, (left, top): (u32, u32), picture: &Picture) {
    let (sides, margins) = fitted(picture);
    for y in 0..sides[1] {
        for x in 0..sides[0] {
            let sx = x * picture.width / sides[0];
            let sy = y * picture.height / sides[1];
            let colour = picture.pixels[(sy * picture.width + sx) as usize];
            let at = (((top + margins[1] + y) * stride + left + margins[0] + x) * 3) as usize;
            target[at..at + 3].copy_from_slice(&colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(colour: [u8; 3]) -> Picture {
        Picture { width: 2, height: 2, pixels: vec![colour; 4] }
    }

    #[test]
    fn every_picture_and_class_is_on_the_sheet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let rows = vec![vec![picture([9, 8, 7]), picture([1, 2, 3])]; 2];
        let classes = vec![("forest".to_owned(), [4, 5, 6]), ("water".to_owned(), [0, 0, 250])];
        let legend = Legend::Classes(classes);
        sheet(&path, &["image", "truth"], &rows, &legend).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        for colour in [[9, 8, 7], [1, 2, 3], [4, 5, 6], [0, 0, 250]] {
            assert!(drawn.pixels().any(|pixel| pixel.0 == colour), "{colour:?}");
        }
    }

    #[test]
    fn a_picture_that_is_not_square_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let wide = Picture { width: 4, height: 1, pixels: vec![[9, 8, 7]; 4] };
        sheet(&path, &["image"], &[vec![wide]], &Legend::Classes(Vec::new())).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        let count = drawn.pixels().filter(|pixel| pixel.0 == [9, 8, 7]).count();
        assert_eq!(count, (CELL * CELL / 4) as usize);
    }

    #[test]
    fn contradictions_are_refused() {
        let path = Path::new("never.png");
        for rows in [
            vec![],
            vec![vec![]],
            vec![vec![picture([0; 3]); 3]],
            vec![vec![Picture { width: 3, ..picture([0; 3]) }; 2]],
        ] {
            assert!(matches!(
                sheet(path, &["a", "b"], &rows, &Legend::Classes(Vec::new())),
                Err(PlotError::Input { .. })
            ));
        }
    }
}
