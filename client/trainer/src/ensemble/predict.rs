//! Mapping a whole scene in overlapping windows, which are blended and written tile by tile.
//!
//! A head for pixels gives an answer for each pixel of a window. A head for whole patches gives all of
//! them the same: then a pixel has the class that the patches around it have on average. Where several classes can be
//! true of a patch, the map has the probability of each.
//!
//! By default, windows have the size of the tiles that the head learned from. At another scale a head
//! still gives a map, but a wrong one, so every difference is a warning with its ratio. So are numbers that differ
//! from those of the training, such as another unit or bands in another order.

mod attributes;
mod blend;
mod decision;
mod files;
mod likeness;
mod mapping;
mod options;
mod outputs;
mod pipeline;
mod plan;
mod preview;
mod record;
mod room;
mod scale;
mod scene;
mod scenes;
mod windows;

use eosfed_common::head::HeadFile;
use eosfed_common::metric::quantity;
use eosfed_data::{MapBand, MapKind, MapLayout, WrittenFile, undisturbed};
use eosfed_plot::{class_colours, map_picture};
use tch::Device;

use self::decision::{Counts, Decision, THRESHOLD};
use self::likeness::Likeness;
use self::mapping::MapWriter;
use self::outputs::PixelOutputs;
use self::pipeline::overlapped;
use self::plan::Plan;
use self::preview::Preview;
use self::scene::Scene;
use self::windows::Windows;
use super::error::EnsembleError;
use super::head_model::HeadModel;

pub use self::options::{PredictOptions, PredictReport, Several};
pub use self::scale::Scale;
pub use self::scenes::{FailedScene, PresentMap, SceneEnd, Scenes, ScenesReport, predict_scenes};

/// Most pixels of a preview along one side.
const PREVIEW: usize = 1024;

/// Maps a scene: windows are read, computed and written at the same time. `progress` gets the number of
/// windows done, and of all.
///
/// # Errors
/// If a file to be written is an input, the head gives no class or value to map, the images do not fit it or each
/// other, a file is damaged, or the map cannot be written.
pub fn predict_scene(
    options: &PredictOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<PredictReport, EnsembleError> {
    options.check()?;
    files::check(options)?;
    let head = HeadModel::open(&options.head, options.release.as_deref(), device)?;
    map_scene(&head, options, device, progress, &mut |_| Ok(()))
}

/// The colours of a head's classes: its own, or those of their meaning.
fn colours(head: &HeadFile) -> Vec<[u8; 3]> {
    class_colours(&head.classes, |class| head.class_colours.of(class))
}

/// What the pixels of a head's map are.
fn kind(head: &HeadFile, decision: Decision, colours: &[[u8; 3]]) -> MapKind {
    match (decision, &head.target) {
        (Decision::Several(_), _) => MapKind::Percents(head.classes.clone()),
        (Decision::Value, Some(target)) => MapKind::Values(MapBand {
            name: head.classes.first().cloned().unwrap_or_default(),
            unit: target.unit.clone(),
        }),
        (Decision::Class | Decision::Value, _) => MapKind::Classes(colours.to_vec()),
    }
}

/// Why a map has no second file.
const fn no_confidence(decision: Decision) -> &'static str {
    match decision {
        Decision::Value => {
            "a head for regression has no classes, so its map has no confidence; leave `--confidence` out"
        }
        _ => {
            "the map of a head for several classes has the probability of each class; leave `--confidence` out"
        }
    }
}

/// Maps a scene with an opened head. `keep_warnings` gets the warnings before the map has its name.
fn map_scene(
    head: &HeadModel,
    options: &PredictOptions,
    device: Device,
    progress: &mut dyn FnMut(usize, usize),
    keep_warnings: &mut dyn FnMut(&[String]) -> Result<(), EnsembleError>,
) -> Result<PredictReport, EnsembleError> {
    let windows = Windows::choose(&head.file, options.window, options.overlap)
        .map_err(|reason| EnsembleError::file(&options.head, reason))?;
    let decision = Decision::of(&head.file);
    if options.confidence && decision != Decision::Class {
        return Err(EnsembleError::file(&options.head, no_confidence(decision)));
    }
    let mut scene = Scene::open(options, head)?;
    let distance = scene.ground_sampling_distance();
    let scale = Scale::compare(&head.file, &windows, distance);
    let colours = colours(&head.file);
    let kind = kind(&head.file, decision, &colours);
    let layout =
        MapLayout { width: scene.width, height: scene.height, kind, reference: scene.reference().cloned() };
    layout.check(&options.output)?;
    if let Some(warning) = room::check(options, &layout)? {
        tracing::warn!("{warning}");
    }
    let every = scene.width.max(scene.height).div_ceil(PREVIEW);
    let plan = Plan::new(scene.width, scene.height, windows);
    let likeness = Likeness::look(&mut scene, (&plan, windows), head, &scale, options)?;
    let writer = MapWriter {
        head: &head.file,
        windows,
        plan: &plan,
        decision,
        counts: Counts::new(head.file.classes.len()),
        preview: Preview::new(every),
    };
    let outputs = PixelOutputs::new(head, windows, device);
    let mut done = 0;
    let (mapping, files) = overlapped(
        |give| scene.read(&plan, windows, give),
        |values: Vec<Vec<f32>>| {
            let found = outputs.compute(&values);
            done += found.len();
            progress(done, plan.windows());
            found
        },
        |computed| writer.write(options, &layout, computed),
    )?;
    let Counts { classes, none, no_data } = mapping.counts;
    let named: Vec<_> = head.file.classes.iter().cloned().zip(classes).collect();
    let not_valid = options.reading.valid.as_ref().map(|_| scene.not_valid);
    let all = (layout.width * layout.height) as u64;
    let nothing = not_valid.filter(|out| *out == all).map(|_| {
        "`valid` excludes every pixel, so the map has no data; look at the numbers of its bands".to_owned()
    });
    let warnings: Vec<String> = likeness.unlike.into_iter().chain(likeness.unknown).chain(nothing).collect();
    keep_warnings(&warnings)?;
    // The map gets its name last: a run that goes on takes it as complete, with what is beside it.
    match decision {
        Decision::Class => attributes::write(&options.output, &named, &colours)?,
        Decision::Value | Decision::Several(_) => attributes::remove(&options.output)?,
    }
    files.into_iter().try_for_each(WrittenFile::keep)?;
    if let Some(path) = &options.preview {
        let metres = scene.pixel_width().map(|metres| metres * every as f64);
        let classes = head.file.classes.iter().cloned().zip(colours.iter().copied()).collect();
        let (legend, colours) = match &head.file.target {
            Some(target) => {
                let name = head.file.classes.first().map_or("value", String::as_str);
                (mapping.preview.of_values(quantity(name, &target.unit)), None)
            }
            None => (mapping.preview.of_classes(classes), Some(&colours[..])),
        };
        undisturbed(|| map_picture(path, &mapping.preview.picture(colours), &legend, metres))?;
    }
    Ok(PredictReport {
        output: options.output.clone(),
        confidence: options.confidence(),
        size: [layout.width, layout.height],
        window: [windows.width, windows.overlap],
        window_height: windows.height,
        windows: done,
        scale,
        warnings,
        no_data,
        not_valid,
        classes: if decision == Decision::Value { Vec::new() } else { named },
        several: match decision {
            Decision::Several(_) => Some(Several { threshold_percent: THRESHOLD, none }),
            Decision::Class | Decision::Value => None,
        },
        pixel_square_metres: distance.map(|metres| metres * metres),
    })
}
