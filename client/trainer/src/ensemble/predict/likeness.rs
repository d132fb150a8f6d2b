//! Whether a scene is like the imagery that a head and its specialists learned from: a look at some of its windows
//! before it is mapped.

use eosfed_common::head::Imagery;
use eosfed_common::model::NamedBand;
use eosfed_data::{BandSurvey, Sample, Target};

use super::options::PredictOptions;
use super::plan::Plan;
use super::scale::Scale;
use super::scene::Scene;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::HeadModel;
use crate::train::{self, Seen};

/// Most windows that are looked at, evenly spread over the scene.
const WINDOWS: usize = 32;
/// Most numbers of all of them together, unless one window has more.
const MOST_VALUES: usize = 1 << 25;

/// What a person should know before a map is believed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Likeness {
    /// What is unlike the training, as sentences with numbers.
    pub(super) unlike: Vec<String>,
    /// What cannot be compared.
    pub(super) unknown: Vec<String>,
}

impl Likeness {
    /// Looks at a scene that is to be mapped in windows.
    ///
    /// # Errors
    /// If a window cannot be read; under `strict`, everything that is unlike.
    pub(super) fn look(
        scene: &mut Scene,
        (plan, windows): (&Plan, Windows),
        head: &HeadModel,
        scale: &Scale,
        options: &PredictOptions,
    ) -> Result<Self, EnsembleError> {
        let distance = scene.ground_sampling_distance();
        let mut unlike = scale.differences(&head.file, &windows, distance);
        let samples = samples(scene, plan, windows)?;
        let bands: Vec<NamedBand> = head.bands().iter().map(|band| NamedBand::of(band)).collect();
        let mut survey = BandSurvey::new(bands, samples.len() * head.file.task.dates());
        samples.iter().for_each(|sample| survey.add(sample));
        let surveyed = survey.finish(&options.reading.scaling(head.bands()));
        unlike.extend(surveyed.report.contradictions().map(ToString::to_string));
        // The scale was compared above, as windows see it.
        let seen = Seen::surveyed(&surveyed, Imagery::default(), None);
        unlike.extend(seen.unlike(head.learned()));
        unlike.extend(scene.baseline_notes(options));
        let unplaced = scene.unread_place_file(options);
        let unknown = scale.unknown(&head.file, distance).into_iter().chain(train::unknown(head.learned()));
        let unknown = unplaced.into_iter().chain(unknown);
        if options.strict && !unlike.is_empty() {
            let reason = format!(
                "with `--strict` a scene must be like the imagery of the training: {}",
                unlike.join("; ")
            );
            return Err(EnsembleError::file(&options.images[0][0], reason));
        }
        Ok(Self { unlike, unknown: unknown.collect() })
    }
}

/// Some windows of the scene, as samples without labels. Those without any data are left out.
fn samples(scene: &mut Scene, plan: &Plan, windows: Windows) -> Result<Vec<Sample>, EnsembleError> {
    let each = windows.height * windows.width * scene.channels();
    let most = (MOST_VALUES / each.max(1)).clamp(1, WINDOWS);
    let mut samples = Vec::new();
    for (left, top) in plan.spread(most) {
        let image = scene.values(left, top, windows)?.image;
        if image.iter().any(|value| value.is_finite()) {
            samples.push(Sample {
                key: format!("{left},{top}"),
                height: windows.height,
                width: windows.width,
                image,
                target: Target::Class(0),
                judged: None,
            });
        }
    }
    Ok(samples)
}
