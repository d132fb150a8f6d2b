//! The charts that EoS-Fed programs write: training curves, bars, heat maps, and image | truth | prediction
//! sheets. PNG only, with an embedded font, so that no font has to be installed.

mod bars;
mod chart;
mod heat;
mod legend;
mod lines;
mod map;
mod meaning;
mod sheet;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;

use plotters::style::{Color as _, HSLColor};

pub use bars::{Bar, BarWords, Effect, bar_chart};
pub use heat::heat_map;
pub use legend::{Legend, ValueRange};
pub use lines::{Across, Emphasis, Panel, Series, line_chart};
pub use map::map_picture;
pub use meaning::class_colours;
pub use sheet::{Picture, sheet};

const FONT: &str = "eosfed";

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is nothing to draw, or a value is NaN or infinite.
    #[error("cannot draw {path}: {reason}", path = path.display())]
    Input {
        /// The picture.
        path: PathBuf,
        /// What is wrong with the input.
        reason: String,
    },
    /// The drawing library failed.
    #[error("cannot draw {path}: {reason}", path = path.display())]
    Draw {
        /// The picture.
        path: PathBuf,
        /// The library's error.
        reason: String,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {reason}", path = path.display())]
    Write {
        /// The picture.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
}

/// Colours for `n` classes, all different. Most colour-blind readers can distinguish the first: Okabe and Ito's eight,
/// then the same darkened and lightened, then hues all around.
#[must_use]
pub fn palette(n: usize) -> Vec<[u8; 3]> {
    colours().take(n).collect()
}

/// The colours of [`palette`], without an end.
fn colours() -> impl Iterator<Item = [u8; 3]> {
    const BASE: [[u8; 3]; 8] = [
        [213, 94, 0],
        [240, 228, 66],
        [0, 158, 115],
        [204, 121, 167],
        [0, 114, 178],
        [86, 180, 233],
        [230, 159, 0],
        [90, 90, 90],
    ];
    /// Multiples of it, without their whole parts, are spread evenly.
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let darker = |colour: [u8; 3]| colour.map(|c| (f64::from(c) * 0.6) as u8);
    let lighter = |colour: [u8; 3]| colour.map(|c| 255 - ((255.0 - f64::from(c)) * 0.5) as u8);
    let named = BASE.into_iter().chain(BASE.map(darker)).chain(BASE.map(lighter));
    let hues = (0_u32..).map(|at| {
        let lightness = [0.42, 0.7, 0.28][at as usize % 3];
        let (red, green, blue) =
            HSLColor((f64::from(at) * GOLDEN).fract(), 0.65, lightness).to_backend_color().rgb;
        [red, green, blue]
    });
    named.chain(hues)
}

/// Colour of a number between 0 and 1: dark blue over green to yellow, even in brightness (five stops
/// of viridis, by Smith and van der Walt, CC0).
#[must_use]
pub fn ramp(share: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 5] = [
        [68.0, 1.0, 84.0],
        [59.0, 82.0, 139.0],
        [33.0, 145.0, 140.0],
        [94.0, 201.0, 98.0],
        [253.0, 231.0, 37.0],
    ];
    let place = share.clamp(0.0, 1.0) * 4.0;
    let low = (place as usize).min(3);
    let within = place - low as f64;
    [0, 1, 2].map(|c: usize| (STOPS[low][c] + (STOPS[low + 1][c] - STOPS[low][c]) * within).round() as u8)
}

fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let style = plotters::style::FontStyle::Normal;
        let registered = plotters::style::register_font(FONT, style, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the embedded font is a font");
    });
}

/// Draws into a temporary file beside `path` and renames it, so that a half-drawn picture is never seen. All may read it.
fn save(path: &Path, size: (u32, u32), pixels: &[u8]) -> Result<(), PlotError> {
    let write = |reason: String| PlotError::Write { path: path.to_owned(), reason };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let public = Permissions::from_mode(0o644);
    let file = tempfile::Builder::new()
        .suffix(".png")
        .permissions(public)
        .tempfile_in(folder)
        .map_err(|e| write(e.to_string()))?;
    image::save_buffer(file.path(), pixels, size.0, size.1, image::ExtendedColorType::Rgb8)
        .map_err(|e| write(e.to_string()))?;
    file.persist(path).map_err(|e| write(e.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_distinct() {
        let colours = palette(300);
        for (i, a) in colours.iter().enumerate() {
            assert!(colours[..i].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn the_ramp_runs_from_dark_to_light() {
        let brightness = |share| ramp(share).iter().map(|c| u32::from(*c)).sum::<u32>();
        assert_eq!((ramp(-1.0), ramp(2.0)), ([68, 1, 84], [253, 231, 37]));
        assert!((0..10).all(|i| brightness(f64::from(i) / 10.0) < brightness(f64::from(i + 1) / 10.0)));
    }
}
