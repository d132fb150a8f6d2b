//! Heat maps: a matrix as coloured cells with their numbers.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{SIZE, draw, range};
use super::{FONT, PlotError, ramp};

/// Margins in pixels for the names of rows, the title and the names of columns.
const LEFT: i32 = 220;
const TOP: i32 = 64;
const BOTTOM: i32 = 56;
const RIGHT: i32 = 24;

/// Writes a matrix as a heat map: a row for each of `rows`, a column for each of `columns`. Missing values
/// stay grey.
///
/// # Errors
/// If there is no value, a value is not finite, or the file cannot be written.
pub fn heat_map(
    path: &Path,
    title: &str,
    rows: &[String],
    columns: &[String],
    values: &[Vec<Option<f64>>],
) -> Result<(), PlotError> {
    let reach = range(path, values.iter().flatten().flatten().copied(), 0.0)?;
    let width = SIZE.0 as i32;
    let height = SIZE.1 as i32;
    let wide = width - LEFT - RIGHT;
    let high = height - TOP - BOTTOM;
    let across = columns.len().max(1) as i32;
    let down = rows.len().max(1) as i32;
    let text = |size: i32, colour: RGBColor, h: HPos, v: VPos| {
        let font = (FONT, size).into_font().color(&colour);
        font.pos(Pos::new(h, v))
    };
    // The font of names is not larger than the height of a row.
    let size = (high / down).clamp(8, 16);
    draw(path, SIZE, |area| {
        area.draw(&Text::new(title, (16, 16), text(24, BLACK, HPos::Left, VPos::Top)))?;
        for (row, name) in rows.iter().enumerate() {
            let top = TOP + high * row as i32 / down;
            let end = TOP + high * (row as i32 + 1) / down;
            let style = text(size, BLACK, HPos::Right, VPos::Center);
            area.draw(&Text::new(name.as_str(), (LEFT - 10, (top + end) / 2), style))?;
            for column in 0..columns.len() {
                let value = values.get(row).and_then(|line| line.get(column)).copied().flatten();
                let left = LEFT + wide * column as i32 / across;
                let right = LEFT + wide * (column as i32 + 1) / across;
                let share = value.map(|value| (value - reach.start) / (reach.end - reach.start));
                let [r, g, b] = share.map_or([225; 3], ramp);
                let cell = Rectangle::new([(left, top), (right - 2, end - 2)], RGBColor(r, g, b).filled());
                area.draw(&cell)?;
                let ink = if share.is_some_and(|share| share < 0.6) { WHITE } else { BLACK };
                let shown = value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
                let style = text(size, ink, HPos::Center, VPos::Center);
                area.draw(&Text::new(shown, ((left + right) / 2, (top + end) / 2), style))?;
            }
        }
        for (column, name) in columns.iter().enumerate() {
            let middle = LEFT + wide * (2 * column as i32 + 1) / (2 * across);
            let style = text(16, BLACK, HPos::Center, VPos::Top);
            area.draw(&Text::new(name.as_str(), (middle, height - BOTTOM + 12), style))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_the_colours_of_their_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heat.png");
        let names = |list: [&str; 2]| list.map(str::to_owned).to_vec();
        let rows = names(["west-rgb@1", "east@2"]);
        let columns = names(["west", "east"]);
        let values = vec![vec![Some(0.2), Some(0.9)], vec![None, Some(0.5)]];
        heat_map(&path, "accuracy", &rows, &columns, &values).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        let at = |x: i32, y: i32| picture.get_pixel(x as u32, y as u32).0;
        assert_eq!(at(LEFT + 4, TOP + 4), ramp(0.0), "the least");
        assert_eq!(at(LEFT + 4, SIZE.1 as i32 - BOTTOM - 6), [225; 3], "not known");
        let empty = heat_map(&path, "t", &rows, &columns, &[vec![None, None]]);
        assert!(matches!(empty, Err(PlotError::Input { .. })));
    }
}
