//! Whether a head sees a scene at the scale that it learned. At another scale it still makes a map, which
//! is wrong.

use eosfed_common::head::HeadFile;
use serde::Serialize;

use super::windows::Windows;

/// Ratios nearer to 1 than this are no reason to warn.
const TOLERANCE: f64 = 1.1;

/// A comparison of a scene with the imagery that the head learned from. All ratios are 1 if they are
/// alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scale {
    /// Side of a window divided by the side of a training tile, both in pixels; absent if the head does
    /// not state its tile size.
    pub window_ratio: Option<f64>,
    /// Ground sampling distance of the scene divided by that of the training; absent if either is
    /// unknown.
    pub ground_sampling_distance_ratio: Option<f64>,
    /// Size at which the head sees objects divided by the size at which it learned them: at 0.5 they
    /// appear half as large. Absent if it is unknown.
    pub seen_at: Option<f64>,
}

impl Scale {
    /// Compares windows of a scene with the head's training. `distance` is the scene's ground sampling
    /// distance in metres, if it is known.
    pub(super) fn compare(head: &HeadFile, windows: &Windows, distance: Option<f64>) -> Self {
        let window_ratio = head.imagery.tile.map(|[height, width]| {
            let ratios = [windows.height as f64 / f64::from(height), windows.width as f64 / f64::from(width)];
            farther_from_one(ratios)
        });
        let ground_sampling_distance_ratio =
            distance.zip(head.imagery.ground_sampling_distance).map(|(scene, learned)| scene / learned);
        let seen_at = match head.input_size {
            // Windows and tiles are resized to one size: larger windows show smaller things.
            Some(_) => {
                window_ratio.map(|ratio| 1.0 / (ratio * ground_sampling_distance_ratio.unwrap_or(1.0)))
            }
            None => ground_sampling_distance_ratio.map(|ratio| 1.0 / ratio),
        };
        Self { window_ratio, ground_sampling_distance_ratio, seen_at }
    }

    /// Reasons not to trust the map, as sentences.
    pub(super) fn differences(
        &self,
        head: &HeadFile,
        windows: &Windows,
        distance: Option<f64>,
    ) -> Vec<String> {
        match self.seen_at {
            Some(ratio) if is_off(ratio) => vec![format!(
                "the head sees the scene at {ratio:.3} times the scale that it learned, so its map is not reliable: {}; {}",
                causes(self, head, windows, distance),
                remedy(self, head)
            )],
            _ => self.surroundings(head, windows).into_iter().collect(),
        }
    }

    /// What of the scale cannot be compared.
    pub(super) fn unknown(&self, head: &HeadFile, distance: Option<f64>) -> Option<String> {
        unknown_distance(head, distance)
    }

    /// The warning for windows of the right scale that show more or less of the surroundings.
    fn surroundings(&self, head: &HeadFile, windows: &Windows) -> Option<String> {
        let ratio = self.window_ratio.filter(|ratio| head.input_size.is_none() && is_off(*ratio))?;
        Some(format!(
            "{}: the head sees {ratio:.3} times the width of the surroundings that it learned from; leave \
             `--window` out",
            window_and_tile(head, windows)
        ))
    }
}

fn is_off(ratio: f64) -> bool {
    !(1.0 / TOLERANCE..=TOLERANCE).contains(&ratio)
}

fn farther_from_one(ratios: [f64; 2]) -> f64 {
    let [first, second] = ratios;
    if first.ln().abs() >= second.ln().abs() { first } else { second }
}

fn window_and_tile(head: &HeadFile, windows: &Windows) -> String {
    let [height, width] = head.imagery.tile.unwrap_or_default();
    format!(
        "windows are {}x{} pixels, the tiles of the training were {height}x{width}",
        windows.height, windows.width
    )
}

/// Why the scale differs: the window, the ground sampling distance, or both.
fn causes(scale: &Scale, head: &HeadFile, windows: &Windows, distance: Option<f64>) -> String {
    let window = (head.input_size.is_some() && scale.window_ratio.is_some_and(is_off))
        .then(|| window_and_tile(head, windows));
    let distance = scale
        .ground_sampling_distance_ratio
        .filter(|ratio| is_off(*ratio))
        .and_then(|_| distance.zip(head.imagery.ground_sampling_distance))
        .map(|(scene, learned)| {
            format!("the ground sampling distance of the scene is {scene:.1} m, that of the training was {learned:.1} m")
        });
    window.into_iter().chain(distance).collect::<Vec<_>>().join(", and ")
}

/// How to get the right scale.
fn remedy(scale: &Scale, head: &HeadFile) -> String {
    let Some(ratio) = scale.ground_sampling_distance_ratio.filter(|ratio| is_off(*ratio)) else {
        return "leave `--window` out".to_owned();
    };
    let metres = head.imagery.ground_sampling_distance.unwrap_or_default();
    let resample = format!("resample the scene to {metres:.1} m");
    match (head.input_size, head.imagery.tile) {
        // Windows are resized anyway, so a window that covers the same ground has the right scale.
        (Some(_), Some([side, _])) => {
            format!("use `--window {:.0}`, or {resample}", f64::from(side) / ratio)
        }
        _ => resample,
    }
}

/// The warning if only one of the two ground sampling distances is known.
fn unknown_distance(head: &HeadFile, distance: Option<f64>) -> Option<String> {
    match (head.imagery.ground_sampling_distance, distance) {
        (Some(metres), None) => Some(format!(
            "the scene does not state its ground sampling distance; that of the training was {metres:.1} m"
        )),
        (None, Some(metres)) => Some(format!(
            "the head does not state the ground sampling distance of its training; that of the scene is \
             {metres:.1} m"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::head::Imagery;

    use super::*;

    fn head(input_size: Option<u32>, tile: Option<[u32; 2]>, distance: Option<f64>) -> HeadFile {
        let json = serde_json::json!({
            "name": "h", "release": 1, "encoders": [], "task": "segmentation", "classes": ["a", "b"],
            "input_size": input_size, "samples": 0, "training": null
        });
        let head: HeadFile = serde_json::from_value(json).unwrap();
        HeadFile { imagery: Imagery { tile, ground_sampling_distance: distance }, ..head }
    }

    /// The scale and the warnings of square windows of this side.
    fn compared(head: &HeadFile, side: usize, distance: Option<f64>) -> (Scale, Vec<String>) {
        let windows = Windows { height: side, width: side, overlap: 0, batch: 1 };
        let scale = Scale::compare(head, &windows, distance);
        let said = scale.differences(head, &windows, distance).into_iter();
        (scale, said.chain(scale.unknown(head, distance)).collect())
    }

    #[test]
    fn a_larger_window_that_is_resized_shows_smaller_things() {
        let head = head(Some(64), Some([32, 32]), Some(28.5));
        let (scale, warnings) = compared(&head, 32, Some(28.5));
        assert_eq!((scale.seen_at, warnings), (Some(1.0), Vec::new()));
        let (scale, warnings) = compared(&head, 256, Some(28.5));
        assert_eq!((scale.window_ratio, scale.seen_at), (Some(8.0), Some(0.125)));
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.contains("0.125 times the scale") && warning.contains("256x256"), "{warning}");
        assert!(warning.contains("32x32") && warning.ends_with("leave `--window` out"), "{warning}");
    }

    #[test]
    fn another_ground_sampling_distance_shows_another_scale() {
        let plain = head(None, Some([64, 64]), Some(30.0));
        let (scale, warnings) = compared(&plain, 64, Some(10.0));
        assert_eq!(scale.ground_sampling_distance_ratio, Some(1.0 / 3.0));
        assert_eq!(scale.seen_at, Some(3.0));
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(
            warning.contains("3.000 times the scale") && warning.contains("scene is 10.0 m"),
            "{warning}"
        );
        assert!(warning.ends_with("resample the scene to 30.0 m"), "{warning}");
        // Windows that are resized have the right scale if they cover the same ground.
        let resized = head(Some(64), Some([32, 32]), Some(30.0));
        let (_, warnings) = compared(&resized, 32, Some(10.0));
        assert!(warnings[0].contains("use `--window 96`"), "{warnings:?}");
        let (scale, warnings) = compared(&resized, 96, Some(10.0));
        assert!(scale.seen_at.is_some_and(|ratio| (ratio - 1.0).abs() < 1e-12) && warnings.is_empty());
    }

    #[test]
    fn another_window_at_the_same_scale_shows_other_surroundings() {
        let head = head(None, Some([64, 64]), None);
        let (scale, warnings) = compared(&head, 256, None);
        assert_eq!((scale.window_ratio, scale.seen_at), (Some(4.0), None));
        assert!(warnings[0].contains("4.000 times the width of the surroundings"), "{warnings:?}");
        assert_eq!(compared(&head, 64, None).1, Vec::<String>::new());
    }

    #[test]
    fn a_distance_that_only_one_side_knows_is_a_warning() {
        let (_, warnings) = compared(&head(None, Some([64, 64]), Some(30.0)), 64, None);
        assert!(warnings[0].contains("the scene does not state"), "{warnings:?}");
        let (scale, warnings) = compared(&head(None, None, None), 64, Some(10.0));
        assert!(warnings[0].contains("the head does not state"), "{warnings:?}");
        assert_eq!(scale, Scale { window_ratio: None, ground_sampling_distance_ratio: None, seen_at: None });
        assert_eq!(compared(&head(None, None, None), 64, None).1, Vec::<String>::new());
    }

    #[test]
    fn the_side_that_differs_most_determines_the_ratio() {
        let head = head(Some(64), Some([64, 32]), None);
        let (scale, warnings) = compared(&head, 64, None);
        assert_eq!((scale.window_ratio, warnings.len()), (Some(2.0), 1));
    }
}
