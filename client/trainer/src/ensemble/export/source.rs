//! The source of maps: the encoders of a release, or a trained head.

use std::path::Path;

use eosfed_common::colour::ClassColours;
use eosfed_common::head::{HeadFile, Imagery};
use eosfed_common::model::{Composition, DecoderChannels, Method};
use eosfed_data::{DataError, Dataset, Surveyed};
use tch::{Device, Tensor};

use super::ExportOptions;
use crate::ensemble::combine::fused;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::extractor::FeatureExtractor;
use crate::ensemble::head_model::HeadModel;
use crate::ensemble::release::Release;
use crate::net::{Composer, Maps, StepCounter};
use crate::parameters::Parameters;
use crate::train::{Learned, Preprocessing, Seen, unlike};

/// The source of maps.
pub(super) enum MapSource {
    /// The encoders of a release; their maps are normalised and concatenated.
    Release {
        /// A head without anything learned.
        head: Box<HeadFile>,
        extractor: FeatureExtractor,
        composer: Box<Composer>,
        /// What its specialists were trained on.
        learned: Vec<Learned>,
    },
    /// A trained head; its fused maps.
    Head(Box<HeadModel>),
}

impl MapSource {
    /// Opens the head or the release of the options.
    pub(super) fn open(
        options: &ExportOptions,
        dataset: &Dataset,
        device: Device,
    ) -> Result<Self, EnsembleError> {
        if let Some(head) = &options.head {
            return Ok(Self::Head(Box::new(HeadModel::open(head, options.release.as_deref(), device)?)));
        }
        let folder = options.release.as_deref().unwrap_or_else(|| Path::new("."));
        let release = Release::open(folder)?;
        let head = plain_head(options, &release, dataset)?;
        let signature = head.composition.signature(&head.encoder_dims());
        let nothing = Parameters::new(signature, &[].into(), device);
        let composer =
            Composer::new(head.composition, &head.encoder_dims(), &nothing, StepCounter::default());
        let extractor = FeatureExtractor::load(&release, &head, device)?;
        let learned = release.learned(&head);
        Ok(Self::Release { head: Box::new(head), extractor, composer: Box::new(composer), learned })
    }

    /// What is unlike the training of the encoders in data that they see.
    ///
    /// # Errors
    /// The differences, if the data set is `strict`.
    pub(super) fn unlike(
        &self,
        dataset: &Dataset,
        surveyed: &Surveyed,
        imagery: Imagery,
    ) -> Result<Vec<String>, DataError> {
        let seen = Seen::surveyed(surveyed, imagery, self.file().input_size);
        match self {
            Self::Release { learned, .. } => unlike(dataset, seen, learned),
            Self::Head(head) => unlike(dataset, seen, head.learned()),
        }
    }

    fn file(&self) -> &HeadFile {
        match self {
            Self::Release { head, .. } => head,
            Self::Head(head) => &head.file,
        }
    }

    /// Names of the encoders.
    pub(super) fn encoders(&self) -> Vec<String> {
        self.file().encoders.iter().map(|encoder| encoder.name.clone()).collect()
    }

    /// Names of the bands that it takes.
    pub(super) fn bands(&self) -> &[String] {
        match self {
            Self::Release { extractor, .. } => extractor.bands(),
            Self::Head(head) => head.bands(),
        }
    }

    /// How samples become the tensors that it takes: resized as the head says, or as the options do.
    pub(super) fn preprocessing(&self) -> Preprocessing {
        let &HeadFile { input_size, antialias, .. } = self.file();
        Preprocessing { input_size, antialias, ..Preprocessing::default() }
    }

    /// The four maps; `None` for a head that combines outputs.
    pub(super) fn maps(&self, images: &Tensor) -> Option<Maps> {
        let _guard = tch::no_grad_guard();
        match self {
            Self::Release { head, extractor, composer, learned: _ } => {
                let dates = head.task.dates() as i64;
                Some(fused(composer, &extractor.features(images), dates, false))
            }
            Self::Head(head) => head.maps(images),
        }
    }
}

/// A head over the chosen encoders that has learned nothing.
fn plain_head(
    options: &ExportOptions,
    release: &Release,
    dataset: &Dataset,
) -> Result<HeadFile, EnsembleError> {
    let config = dataset.config();
    let bands = config.named_bands();
    let (encoders, _) = release.choose(&options.encoders, &bands, options.band_rule, &[])?;
    Ok(HeadFile {
        name: String::new(),
        release: release.manifest().number,
        release_folder: release.folder().display().to_string(),
        encoders,
        method: Method::Fusion,
        composition: Composition::default(),
        decoder_channels: DecoderChannels::DEFAULT,
        task: config.task,
        classes: config.classes.clone(),
        class_colours: ClassColours::default(),
        target: None,
        input_size: options.input_size,
        antialias: false,
        imagery: Imagery::default(),
        statistics: Vec::new(),
        statistics_from: None,
        samples: 0,
        training: None,
    })
}
