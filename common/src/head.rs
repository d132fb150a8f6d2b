//! Heads over frozen specialists: their description, their specialists, and the names and shapes of their
//! weights, which follow from both. `head.json` beside `head.safetensors` describes a trained head.

mod over;
mod statistics_from;
mod strongest;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::card::{BandNormalisation, Card};
use crate::colour::ClassColours;
use crate::digest::Digest;
use crate::ids::{ReleaseNumber, SpecialistName};
use crate::model::{
    Backbone, BandRule, Composition, DecoderChannels, MapDims, Method, NamedBand, TargetScale, Task, adapt,
    head_signature,
};
use crate::plan::{ClassWeights, DownstreamSpec, Loss, Training};
use crate::weights::Signature;

pub use crate::imagery::Imagery;
pub use over::{HeadError, HeadOver};
pub use statistics_from::StatisticsFrom;
pub use strongest::{EQUAL_WEIGHTS, Strongest};

/// Largest document that describes a head and its release, in bytes.
pub const MAX_HEAD_BYTES: usize = 2 << 20;
/// Most encoders of a head.
pub const MAX_ENCODERS: usize = 256;

/// An encoder of a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadEncoder {
    /// The specialist's name, or `random`.
    pub name: String,
    /// Its architecture.
    pub backbone: Backbone,
    /// Digest of its weights; absent for a random one.
    pub weights: Option<Digest>,
    /// Seed of a random one.
    pub random_seed: Option<u64>,
    /// Its input bands, in order, with their normalisation.
    pub normalisation: Vec<BandNormalisation>,
    /// For each input band, the bands of the data that are averaged for it.
    pub sources: Vec<Vec<String>>,
}

impl HeadEncoder {
    /// The encoders of specialists with inputs from data with `bands`, and a description of each adaptation.
    ///
    /// # Errors
    /// The specialist whose bands cannot be provided, and why.
    pub fn of_cards(
        cards: &[&Card],
        bands: &[NamedBand],
        rule: BandRule,
    ) -> Result<(Vec<Self>, Vec<String>), (SpecialistName, String)> {
        let mut encoders = Vec::new();
        let mut words = Vec::new();
        for card in cards {
            let wanted: Vec<NamedBand> = card.model.bands.iter().map(|band| NamedBand::of(band)).collect();
            for way in adapt(&wanted, bands, rule).map_err(|reason| (card.name.clone(), reason))? {
                words.extend(way.words.iter().map(|said| format!("{}: {said}", card.name)));
                encoders.push(Self::of_card(card, way.sources));
            }
        }
        Ok((encoders, words))
    }

    /// The encoder of a specialist, with inputs from `sources`.
    #[must_use]
    pub fn of_card(card: &Card, sources: Vec<Vec<String>>) -> Self {
        Self {
            name: card.name.to_string(),
            backbone: card.model.backbone,
            weights: Some(card.weights),
            random_seed: None,
            normalisation: card.normalisation.clone(),
            sources,
        }
    }

    /// An encoder with random weights, on the data's own bands.
    #[must_use]
    pub fn random(backbone: Backbone, seed: u64, normalisation: &[BandNormalisation]) -> Self {
        Self {
            name: "random".to_owned(),
            backbone,
            weights: None,
            random_seed: Some(seed),
            normalisation: normalisation.to_vec(),
            sources: normalisation.iter().map(|entry| vec![entry.band.clone()]).collect(),
        }
    }
}

/// How a head is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadTraining {
    /// Passes over the labelled samples in all eight orientations.
    pub epochs: u32,
    /// Samples in a step.
    pub batch_size: u32,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// Decay of the head's weights.
    pub weight_decay: f64,
    /// Terms of the loss. Empty: the task's default.
    pub loss: Vec<Loss>,
    /// Weights of classes.
    pub class_weights: ClassWeights,
    /// Seed of the starting weights and of the order of samples.
    pub seed: u64,
}

impl HeadTraining {
    /// The head in a plan.
    fn planned(training: &Training, seed: u64) -> Self {
        Self {
            epochs: training.epochs,
            batch_size: training.batch_size,
            learning_rate: training.learning_rate,
            weight_decay: training.weight_decay,
            loss: training.loss.clone(),
            class_weights: training.class_weights,
            seed,
        }
    }
}

/// The contents of `head.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadFile {
    /// The name shown in tables.
    pub name: String,
    /// The release that its encoders are from.
    pub release: ReleaseNumber,
    /// Folder of that release when the head was trained, seen from the folder of this file; earlier versions wrote an
    /// absolute path. Empty for a head that was trained in rounds.
    #[serde(default)]
    pub release_folder: String,
    /// Its encoders, in the order in which their maps are fused.
    pub encoders: Vec<HeadEncoder>,
    /// How it computes its output.
    #[serde(default)]
    pub method: Method,
    /// How maps are fused (method `fusion`).
    #[serde(default)]
    pub composition: Composition,
    /// Channels of its decoder, for tasks of pixels (method `fusion`).
    #[serde(default, skip_serializing_if = "DecoderChannels::is_default")]
    pub decoder_channels: DecoderChannels,
    /// What it predicts.
    pub task: Task,
    /// Its classes.
    pub classes: Vec<String>,
    /// Colours of classes on maps, as the data set that it was trained on gives them, or the plan of a head that was
    /// trained in rounds. The other classes have colours by the meaning of their names.
    #[serde(default, skip_serializing_if = "ClassColours::is_empty")]
    pub class_colours: ClassColours,
    /// What its output means in the target's units (regression).
    #[serde(default)]
    pub target: Option<TargetScale>,
    /// Side to which tiles are resized, if they are.
    pub input_size: Option<u32>,
    /// Whether tiles are filtered as they are resized.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
    /// The imagery that it was trained on. For a head that was trained in rounds, the properties that all
    /// institutions report with the same value.
    #[serde(default)]
    pub imagery: Imagery,
    /// Moments, unit and range of the bands that it was trained on. For a head that was trained in rounds, those of the
    /// institutions that told theirs, pooled; unknown if they were fewer than the job combines (`participation.min`).
    /// Unknown for a head of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<BandNormalisation>,
    /// How many institutions `statistics` are from. Absent for a head that was not trained in rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_from: Option<StatisticsFrom>,
    /// Labelled samples it was trained on.
    pub samples: usize,
    /// How it was trained. Absent if nothing was trained.
    pub training: Option<HeadTraining>,
}

impl HeadFile {
    /// Its file name.
    pub const FILE: &'static str = "head.json";
    /// File name of its weights.
    pub const WEIGHTS: &'static str = "head.safetensors";

    /// The head that a job asks for, over these encoders of this release.
    #[must_use]
    pub fn planned(spec: &DownstreamSpec, release: ReleaseNumber, encoders: Vec<HeadEncoder>) -> Self {
        let training = &spec.federated.training;
        Self {
            name: spec.name.clone(),
            release,
            release_folder: String::new(),
            encoders,
            method: spec.head.method,
            composition: match spec.head.method {
                Method::Fusion => spec.head.composition,
                Method::MeanLogits | Method::Router => Composition::default(),
            },
            decoder_channels: spec.head.decoder_channels,
            task: spec.output.task,
            classes: spec.output.classes.clone(),
            class_colours: spec.head.class_colours.clone(),
            target: spec.output.target.clone(),
            input_size: training.input_size,
            antialias: training.antialias,
            imagery: Imagery::default(),
            statistics: Vec::new(),
            statistics_from: None,
            samples: 0,
            training: Some(HeadTraining::planned(training, spec.seed)),
        }
    }

    /// Checks that the head is possible: each encoder has all its inputs, and the maps can be composed.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        if self.encoders.len() > MAX_ENCODERS {
            return Err(format!(
                "a head can have at most {MAX_ENCODERS} encoders, found `{}`",
                self.encoders.len()
            ));
        }
        if let Some(unknown) = self.class_colours.unknown(&self.classes) {
            return Err(format!(
                "`class_colours` must be of classes of the head, found `{}`",
                unknown.escape_debug()
            ));
        }
        self.imagery.check()?;
        self.statistics_from.map_or(Ok(()), StatisticsFrom::check)?;
        for BandNormalisation { band, std, values, .. } in &self.statistics {
            if **std <= 0.0 {
                return Err(format!(
                    "`statistics`: the `std` of band `{band}` must be above 0, found `{std}`"
                ));
            }
            values
                .map_or(Ok(()), |values| values.check())
                .map_err(|rule| format!("`statistics`: `{band}`: {rule}"))?;
        }
        self.composition.check(&self.encoder_dims())?;
        self.decoder_has_a_place()?;
        for encoder in &self.encoders {
            let name = &encoder.name;
            let bands = encoder.normalisation.len();
            let fed = encoder.sources.len();
            if bands != fed || encoder.sources.iter().any(Vec::is_empty) {
                return Err(format!(
                    "`{name}` must have sources for each of its {bands} bands, found `{fed}`"
                ));
            }
        }
        Ok(())
    }

    /// Other heads than those of pixels over fused maps have no decoder whose width could be chosen.
    fn decoder_has_a_place(&self) -> Result<(), String> {
        if self.decoder_channels.fits(self.task, self.method) {
            return Ok(());
        }
        let channels = self.decoder_channels.get();
        let head =
            if self.method == Method::Fusion { self.task.name() } else { "a head that combines outputs" };
        Err(format!(
            "`decoder_channels` is for tasks of pixels with the method `fusion`, found `{channels}` for {head}, which \
             has no decoder; leave it out"
        ))
    }

    /// What is not known of the bands that it was trained on, and why, as a sentence.
    #[must_use]
    pub fn untold(&self) -> Option<String> {
        statistics_from::untold(&self.name, !self.statistics.is_empty(), self.statistics_from)
    }

    /// Name of the tensor with the learned weights of a selection, one number for each encoder.
    pub const SELECTION: &'static str = "select.weight";

    /// The learned weight of each encoder, with the encoder's name. Where the weight is a sigmoid, its value is
    /// given. There are none for another number of weights than encoders.
    #[must_use]
    pub fn selection_weights(&self, learned: &[f32]) -> Vec<(&str, f32)> {
        if learned.len() != self.encoders.len() {
            return Vec::new();
        }
        let names = self.encoders.iter().map(|encoder| encoder.name.as_str());
        names.zip(learned.iter().map(|learned| self.weight(*learned))).collect()
    }

    /// Names of the bands of the data that it needs, each once, in the order of use.
    #[must_use]
    pub fn bands(&self) -> Vec<String> {
        let mut bands: Vec<String> = Vec::new();
        for band in self.encoders.iter().flat_map(|encoder| encoder.sources.iter().flatten()) {
            if !bands.contains(band) {
                bands.push(band.clone());
            }
        }
        bands
    }

    /// Channels of each encoder's maps.
    #[must_use]
    pub fn encoder_dims(&self) -> Vec<MapDims> {
        self.encoders.iter().map(|encoder| encoder.backbone.shape().dims).collect()
    }

    /// Names and shapes of the head's weights.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let count = self.encoders.len();
        match self.method {
            Method::Fusion => {
                let dims = self.encoder_dims();
                let fused = self.composition.output_dims(&dims);
                let mut tensors = self.composition.signature(&dims).0;
                let classes = self.classes.len();
                tensors.extend(head_signature(self.task, &fused, classes, self.decoder_channels).0);
                Signature(tensors)
            }
            Method::MeanLogits => Signature::default(),
            Method::Router => Signature(BTreeMap::from([
                ("router.weight".to_owned(), vec![count, count * self.classes.len()]),
                ("router.bias".to_owned(), vec![count]),
            ])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::JobSpec;

    pub(super) fn head(selection: &str) -> HeadFile {
        let encoder = serde_json::json!({
            "name": "a", "backbone": "convnextv2_atto", "weights": null, "random_seed": 1, "normalisation": [],
            "sources": []
        });
        let json = serde_json::json!({
            "name": "h", "release": 1, "encoders": vec![encoder; 3], "task": "classification",
            "classes": ["a", "b"], "input_size": null, "samples": 0, "training": null,
            "composition": { "selection": serde_json::from_str::<serde_json::Value>(selection).unwrap() }
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn colours_are_of_its_classes_and_a_head_without_any_is_written_as_before() {
        let plain = head(r#"{"kind":"all"}"#);
        let mut json = serde_json::to_value(&plain).unwrap();
        assert_eq!(json.get("class_colours"), None, "as an earlier version writes it");
        let mut with = |colours: serde_json::Value| {
            json["class_colours"] = colours;
            serde_json::from_value::<HeadFile>(json.clone()).map_err(|error| error.to_string())
        };
        let good = with(serde_json::json!({ "b": "#0072b2" })).unwrap();
        assert_eq!((good.class_colours.of("a"), good.class_colours.of("b")), (None, Some([0, 114, 178])));
        assert_eq!(serde_json::to_value(&good).unwrap()["class_colours"]["b"], "#0072b2");
        let unknown = with(serde_json::json!({ "b": "#0072b2", "c": "#000000" })).unwrap();
        let said = unknown.check().unwrap_err();
        assert!(said.contains("`class_colours`") && said.contains("found `c`"), "{said}");
        for bad in ["blue", "#0072b2ff", ""] {
            let said = with(serde_json::json!({ "a": bad })).unwrap_err();
            assert!(said.contains(&format!("found `{bad}`")), "{said}");
        }
    }

    #[test]
    fn colours_of_a_plan_are_in_its_head() {
        let plan = include_str!("../../tests/kit/plans/downstream.toml");
        let plan = plan.replace("[head]", "[head]\nclass_colours = { wood = \"#009e73\" }");
        let JobSpec::Downstream(spec) = JobSpec::parse(&plan).unwrap() else { panic!("not downstream") };
        let head = HeadFile::planned(&spec, ReleaseNumber(1), Vec::new());
        let of = |class: &str| head.class_colours.of(class);
        assert_eq!((of("wood"), of("field")), (Some([0, 158, 115]), None));
    }

    #[test]
    fn properties_of_imagery_have_bounds() {
        let with = |tile, ground_sampling_distance| {
            let imagery = Imagery { tile, ground_sampling_distance };
            imagery.check()
        };
        assert_eq!(with(None, None), Ok(()));
        assert_eq!(with(Some([32, 64]), Some(28.5)), Ok(()));
        assert!(with(Some([0, 64]), None).unwrap_err().contains("found `0x64`"));
        assert!(with(Some([64, 1 << 20]), None).unwrap_err().contains("`imagery.tile`"));
        for metres in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(with(None, Some(metres)).unwrap_err().contains(&format!("found `{metres}`")));
        }
    }

    #[test]
    fn shared_imagery_has_the_properties_that_all_institutions_agree_on() {
        let one = |tile, ground_sampling_distance| Imagery { tile, ground_sampling_distance };
        let small = Some([64, 64]);
        let large = Some([128, 128]);
        assert_eq!(
            Imagery::shared(&[one(small, Some(10.0)), one(small, Some(10.0))]),
            one(small, Some(10.0))
        );
        assert_eq!(Imagery::shared(&[one(small, Some(10.0)), one(large, Some(10.0))]), one(None, Some(10.0)));
        assert_eq!(Imagery::shared(&[one(small, None), one(small, Some(10.0))]), one(small, None));
        assert_eq!(Imagery::shared(&[one(small, Some(10.0)), one(None, Some(30.0))]), one(None, None));
        let near = Imagery::shared(&[one(small, Some(10.0)), one(small, Some(10.4))]);
        assert!(near.ground_sampling_distance.is_some_and(|metres| (10.0..10.4).contains(&metres)));
        assert_eq!(Imagery::shared(&[]), Imagery::default());
    }

    #[test]
    fn the_weights_of_a_selection_are_shown_with_names() {
        let learned = [-3.0, 0.5, 1.0];
        let smooth = head(r#"{"kind":"smooth","penalty":0.1,"scale":false}"#);
        let weights: Vec<f32> =
            smooth.selection_weights(&learned).iter().map(|(_, weight)| *weight).collect();
        assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)) || learned == weights.as_slice());
        assert!(smooth.selection_weights(&learned[1..]).is_empty(), "another number of weights");
    }
}
