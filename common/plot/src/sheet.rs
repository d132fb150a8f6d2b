//! Sheets of small pictures in a grid with column titles and a legend of classes.

use std::path::Path;

use plotters::prelude::*;

use super::{FONT, PlotError, register_font, save};

/// Side of each picture on the sheet, in pixels.
const CELL: u32 = 176;
const GAP: u32 = 10;
const HEADER: u32 = 34;
const LEGEND_ROW: u32 = 24;
const LEGEND_COLUMN: u32 = 180;

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

/// Names and colours of classes.
pub type Legend = Vec<(String, [u8; 3])>;

/// Writes rows of pictures under column titles, each scaled to the same size without smoothing,
/// with the legend below.
///
/// # Errors
/// If a row does not have one picture for each title, the number of pixels does not match a picture's size,
/// or the file cannot be written.
pub fn sheet(path: &Path, titles: &[&str], rows: &[Vec<Picture>], legend: &Legend) -> Result<(), PlotError> {
    check(path, titles, rows)?;
    register_font();
    let columns = titles.len() as u32;
    let width = (GAP + columns * (CELL + GAP)).max(GAP + LEGEND_COLUMN);
    let per_row = ((width - GAP) / LEGEND_COLUMN).max(1);
    let legend_rows = (legend.len() as u32).div_ceil(per_row);
    let body = HEADER + rows.len() as u32 * (CELL + GAP);
    let height = body + legend_rows * LEGEND_ROW + GAP;
    let mut pixels = vec![255_u8; (width * height * 3) as usize];
    for (r, row) in rows.iter().enumerate() {
        for (c, picture) in row.iter().enumerate() {
            let at = (GAP + c as u32 * (CELL + GAP), HEADER + r as u32 * (CELL + GAP));
            blit(&mut pixels, width, at, picture);
        }
    }
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let text = (FONT, 18).into_font().color(&BLACK);
        for (c, title) in titles.iter().enumerate() {
            area.draw_text(title, &text, ((GAP + c as u32 * (CELL + GAP)) as i32, 9))?;
        }
        let text = (FONT, 15).into_font().color(&BLACK);
        for (index, (name, [r, g, b])) in legend.iter().enumerate() {
            let index = index as u32;
            let x = (GAP + index % per_row * LEGEND_COLUMN) as i32;
            let y = (body + index / per_row * LEGEND_ROW) as i32;
            area.draw(&Rectangle::new([(x, y), (x + 14, y + 14)], RGBColor(*r, *g, *b).filled()))?;
            let name: String = name.chars().take(22).collect();
            area.draw_text(&name, &text, (x + 20, y))?;
        }
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
        if row.len() != titles.len() {
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

/// Nearest-neighbour scaling, so that single pixels and class borders stay visible.
fn blit(target: &mut [u8], stride: u32, (left, top): (u32, u32), picture: &Picture) {
    for y in 0..CELL {
        for x in 0..CELL {
            let sx = x * picture.width / CELL;
            let sy = y * picture.height / CELL;
            let colour = picture.pixels[(sy * picture.width + sx) as usize];
            let at = (((top + y) * stride + left + x) * 3) as usize;
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
        let legend = vec![("forest".to_owned(), [4, 5, 6]), ("water".to_owned(), [0, 0, 250])];
        sheet(&path, &["image", "truth"], &rows, &legend).unwrap();
        let drawn = image::open(&path).unwrap().to_rgb8();
        for colour in [[9, 8, 7], [1, 2, 3], [4, 5, 6], [0, 0, 250]] {
            assert!(drawn.pixels().any(|pixel| pixel.0 == colour), "{colour:?}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let path = Path::new("never.png");
        for rows in
            [vec![], vec![vec![picture([0; 3])]], vec![vec![Picture { width: 3, ..picture([0; 3]) }; 2]]]
        {
            assert!(matches!(sheet(path, &["a", "b"], &rows, &vec![]), Err(PlotError::Input { .. })));
        }
    }
}
