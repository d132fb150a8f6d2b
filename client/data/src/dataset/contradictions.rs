//! A look at the first image of each sample without its pixels: where it lies, what its first bytes are, and which
//! processing baseline made it. What samples of different parts share, and what contradicts, is found out by it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::overlap::Footprint;
use super::{Dataset, Source};
use crate::config::Layout;
use crate::contents::{Beginning, beginning};
use crate::error::DataError;
use crate::files::Fingerprint;
use crate::georeference::{Grid, TOLERANCE};
use crate::geotiff::{Baseline, Numbers, Role};
use crate::image_file::ImageFile;
use crate::split::Split;

/// Changes when findings are made in another way.
const FORMAT: &str = concat!("eosfed findings 1 ", env!("CARGO_PKG_VERSION"));

/// What is wrong with a data set as a whole, in sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Findings {
    /// What parts share.
    pub(super) shared: Vec<String>,
    /// Processing baselines that contradict each other or the description.
    pub(super) baselines: Option<String>,
}

/// The first image of a sample. Samples that are tiles of one image count once.
pub(super) struct Image<'a> {
    pub(super) path: &'a Path,
    pub(super) part: Split,
}

/// What an image says of itself; nothing of an image that cannot be read, which is reported elsewhere.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) outline: Option<Outline>,
    pub(super) beginning: Option<Beginning>,
    pub(super) baseline: Option<Baseline>,
}

/// The ground that an image covers.
pub(super) struct Outline {
    /// The box around it.
    pub(super) footprint: Footprint,
    /// Its corners, one after the other around it.
    pub(super) corners: [[f64; 2]; 4],
}

/// Where an image lies, before planes have numbers.
struct Lies {
    system: String,
    grid: Grid,
}

impl Dataset {
    /// Finds out what is wrong with the data set as a whole.
    ///
    /// # Errors
    /// Under `strict`, if something is.
    pub(super) fn check_contradictions(&mut self) -> Result<(), DataError> {
        let images = self.first_images();
        let findings = self.remembered_findings(self.findings_key(&images), || self.findings(&images));
        if self.config.strict {
            let all: Vec<String> = findings.shared.into_iter().chain(findings.baselines).collect();
            if !all.is_empty() {
                return Err(DataError::Contradicted { path: self.path.clone(), findings: all });
            }
        } else {
            // Those of baselines are notes of the samples that are read.
            self.notes.extend(findings.shared);
        }
        Ok(())
    }

    fn first_images(&self) -> Vec<Image<'_>> {
        let mut last = None;
        let first = self.entries.iter().filter_map(|entry| {
            let (images, group) = match &entry.source {
                Source::Files { images, .. } => (images, None),
                Source::Tile { scene, .. } => (&scene.images, Some(Arc::as_ptr(scene))),
            };
            let repeated = group.is_some() && group == last;
            last = group;
            (!repeated).then(|| Image { path: &images[0][0], part: entry.split })
        });
        first.collect()
    }

    /// A digest of all that findings depend on.
    fn findings_key(&self, images: &[Image<'_>]) -> String {
        let mut fingerprint = Fingerprint::new(FORMAT);
        for Image { path, part } in images {
            fingerprint.add_file(path);
            fingerprint.add(part.name().as_bytes());
        }
        fingerprint.finish().to_hex()
    }

    fn findings(&self, images: &[Image<'_>]) -> Findings {
        let looked: Vec<(Seen, Option<Lies>)> =
            images.par_iter().map(|image| self.look(image.path)).collect();
        let seen = with_planes(looked);
        // Tiles of scenes are divided by the ground that they cover.
        let divided = matches!(self.config.layout, Layout::Scenes { .. });
        let shared = if divided { Vec::new() } else { self.shared(images, &seen) };
        let paths = images.iter().map(|image| image.path);
        let known = paths.zip(&seen).filter_map(|(path, seen)| Some((path, seen.baseline?)));
        Findings { shared, baselines: self.contradicting_baselines(known) }
    }

    fn look(&self, path: &Path) -> (Seen, Option<Lies>) {
        let beginning = beginning(path).ok();
        let nothing = (Seen { beginning, ..Seen::default() }, None);
        let opened = ImageFile::with_windows(Role::Image, path, &self.limits, Numbers::STORED);
        let Ok(Some(file)) = opened else { return nothing };
        let grid = file.grid();
        // Without a reference system, coordinates may be of anything.
        let lies = file
            .reference()
            .filter(|_| grid.has_system())
            .map(|reference| Lies { system: reference.system_text(), grid });
        (Seen { beginning, baseline: file.baseline(), outline: None }, lies)
    }
}

/// Images whose coordinates can be compared get one plane. There are many images and few reference systems.
fn with_planes(looked: Vec<(Seen, Option<Lies>)>) -> Vec<Seen> {
    let mut planes: HashMap<String, usize> = HashMap::new();
    let mut firsts: Vec<Grid> = Vec::new();
    let mut plane = |Lies { system, grid }: &Lies| {
        if let Some(known) = planes.get(system) {
            return *known;
        }
        let same = firsts.iter().position(|first| first.shares_coordinates(grid));
        let number = same.unwrap_or_else(|| {
            firsts.push(grid.clone());
            firsts.len() - 1
        });
        planes.insert(system.clone(), number);
        number
    };
    let placed = looked.into_iter().map(|(seen, lies)| {
        let outline = lies.and_then(|lies| outline(plane(&lies), &lies.grid));
        Seen { outline, ..seen }
    });
    placed.collect()
}

/// The ground of an image, less than a tenth of a pixel at each side: coordinates of neighbours are rounded.
fn outline(plane: usize, grid: &Grid) -> Option<Outline> {
    let [width, height] = grid.size().map(|side| side as f64);
    let [left, top, right, bottom] = [TOLERANCE, TOLERANCE, width - TOLERANCE, height - TOLERANCE];
    let [low, high] = grid.bounds([left, top, right, bottom])?;
    let corner = |x: f64, y: f64| grid.bounds([x, y, x, y]).map(|[point, _]| point);
    let corners = [corner(left, top)?, corner(right, top)?, corner(right, bottom)?, corner(left, bottom)?];
    Some(Outline { footprint: Footprint { plane, low, high }, corners })
}

impl Outline {
    /// Whether both cover the same ground somewhere: whether no line along a side has one of them on each side of it.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let sides = |corners: &[[f64; 2]; 4]| -> [[f64; 2]; 2] {
            [1, 3].map(|next| [corners[next][1] - corners[0][1], corners[0][0] - corners[next][0]])
        };
        let along = |corners: &[[f64; 2]; 4], [x, y]: [f64; 2]| {
            let at = corners.map(|corner| corner[0] * x + corner[1] * y);
            (at.into_iter().fold(f64::INFINITY, f64::min), at.into_iter().fold(f64::NEG_INFINITY, f64::max))
        };
        let mut normals = sides(&self.corners).into_iter().chain(sides(&other.corners));
        normals.all(|normal| {
            let (low, high) = along(&self.corners, normal);
            let (other_low, other_high) = along(&other.corners, normal);
            low < other_high && other_low < high
        })
    }
}

/// The names of two files, as short as they differ from the folder of the data set.
pub(super) fn names(root: Option<&Path>, paths: [&Path; 2]) -> String {
    let short = |path: &Path| -> PathBuf {
        root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path).to_owned()
    };
    let [one, other] = paths.map(short);
    format!("`{}` and `{}`", one.display(), other.display())
}
