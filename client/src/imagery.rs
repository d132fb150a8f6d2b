//! What the daemon itself reads of the private imagery: whether it can serve an assignment, and the moments
//! of its bands. This gives out counts, moments, units and ranges only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eosfed_common::assignment::{Assignment, BandMoments, Work};
use eosfed_common::ids::DataSetName;
use eosfed_common::model::STRIDE;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::task::DecodedSamples;
use eosfed_data::{
    DataError, Dataset, DatasetConfig, Limits, SampleCache, SampleSource, Split, fits_encoders,
};

use crate::condition::{ConditionKind, LocalCondition};
use crate::data_description::DataDescription;
use crate::data_sets::{DataSets, Traits, choose, no_longer};
use crate::offload::Blocking;

/// The private imagery, as far as the daemon reads it.
pub trait Imagery: Clone + Send + Sync + 'static {
    /// The data set for an assignment, by its name; none if the site has one without a name.
    fn choose(
        &self,
        assignment: &Assignment,
    ) -> impl Future<Output = Result<Option<DataSetName>, NotChosen>> + Send;

    /// The part of a data set that cannot be reached now, if any.
    fn missing(&self, name: Option<&DataSetName>) -> impl Future<Output = Option<LocalCondition>> + Send;

    /// What a data set has for an assignment; or a refusal with every objection if it cannot serve it.
    fn check(
        &self,
        name: Option<&DataSetName>,
        assignment: &Assignment,
    ) -> impl Future<Output = Result<Serving, Refusal>> + Send;

    /// What can be said of a data set.
    fn describe(
        &self,
        name: Option<&DataSetName>,
    ) -> impl Future<Output = Result<DataDescription, Refusal>> + Send;

    /// Moments of each of these bands over the training part of a data set.
    fn moments(
        &self,
        name: Option<&DataSetName>,
        bands: &[String],
    ) -> impl Future<Output = Result<Vec<BandMoments>, Refusal>> + Send;
}

/// Why no data set is chosen for an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChosen {
    /// This will change.
    Condition(LocalCondition),
    /// This will not.
    Refusal(Refusal),
}

/// What the imagery has for an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The number of samples in the part that the work reads.
    pub samples: u64,
    /// The whole data set.
    pub data: DataDescription,
}

/// Imagery in files.
#[derive(Debug, Clone)]
pub struct FileImagery {
    /// The data sets.
    pub dataset: DataSets,
    /// Where decoded samples are kept, if they are, for the trainings that follow; there it is also remembered which
    /// tiles of scenes can be used, so that an assignment is answered without reading pixels again.
    pub samples: Option<DecodedSamples>,
    /// Where reading runs.
    pub blocking: Blocking,
}

impl FileImagery {
    fn open(
        &self,
        name: Option<&DataSetName>,
    ) -> Result<impl FnOnce() -> Result<Dataset, DataError> + Send + 'static, Refusal> {
        let path = self.path(name).map_err(unfit)?;
        let tiles = self.samples.clone().map(|samples| samples.folder);
        Ok(move || Dataset::open_with(&path, &Limits::default(), tiles.as_deref()))
    }

    fn path(&self, name: Option<&DataSetName>) -> Result<PathBuf, String> {
        self.dataset.path(name).map(Path::to_owned).ok_or_else(|| no_longer(name))
    }

    /// What of its description decides about jobs, of each data set with a name.
    async fn known(&self) -> Result<Vec<(DataSetName, Traits)>, NotChosen> {
        let mut known = Vec::new();
        for (name, path) in self.dataset.all() {
            let Some(name) = name else { continue };
            if let Some(condition) = self.missing(Some(name)).await {
                return Err(NotChosen::Condition(condition));
            }
            let path = eosfed_data::description(path);
            let load = move || DatasetConfig::load(&path).map_err(|error| error.to_string());
            let config = self.blocking.run(load).await.and_then(|loaded| loaded);
            // It may be the one that is meant.
            let config = config.map_err(|error| {
                let why = format!("the data set `{name}` cannot be read, so none can be chosen: {error}");
                NotChosen::Refusal(unfit(why))
            })?;
            known.push((name.clone(), Traits::of(&config)));
        }
        Ok(known)
    }
}

impl Imagery for FileImagery {
    async fn choose(&self, assignment: &Assignment) -> Result<Option<DataSetName>, NotChosen> {
        let refused = |why: String| NotChosen::Refusal(unfit(why));
        if let Some(wanted) = &assignment.dataset {
            return self.dataset.named(wanted).map(Option::<&DataSetName>::cloned).map_err(refused);
        }
        if !self.dataset.are_named() {
            return Ok(None);
        }
        choose(&self.known().await?, assignment).cloned().map(Some).map_err(refused)
    }

    async fn missing(&self, name: Option<&DataSetName>) -> Option<LocalCondition> {
        // A data set that is no longer in the settings will not come back.
        let dataset = self.path(name).ok()?;
        let found = self.blocking.run(move || eosfed_data::missing(&dataset)).await;
        let problem = found.unwrap_or_else(Some)?;
        let advice = "make it available, or correct `dataset` in client.toml";
        Some(LocalCondition::new(
            ConditionKind::DataMissing,
            format!("the data set cannot be reached: {problem}; {advice}"),
        ))
    }

    async fn check(&self, name: Option<&DataSetName>, assignment: &Assignment) -> Result<Serving, Refusal> {
        let open = self.open(name)?;
        let assignment = assignment.clone();
        self.blocking.run(move || check(open, &assignment)).await.unwrap_or_else(|error| Err(unfit(error)))
    }

    async fn describe(&self, name: Option<&DataSetName>) -> Result<DataDescription, Refusal> {
        let open = self.open(name)?;
        let describe = move || open().map(|open| DataDescription::of(&open));
        self.blocking.run(describe).await.map_err(unfit)?.map_err(|error| unfit(error.to_string()))
    }

    async fn moments(
        &self,
        name: Option<&DataSetName>,
        bands: &[String],
    ) -> Result<Vec<BandMoments>, Refusal> {
        let open = self.open(name)?;
        let bands = bands.to_owned();
        let kept = self.samples.clone().map(|DecodedSamples { folder, bytes }| SampleCache { folder, bytes });
        let compute = move || moments(open()?, &bands, kept.as_ref());
        let computed = self.blocking.run(compute).await.map_err(unfit)?;
        computed.map_err(|error| unfit(error.to_string()))
    }
}

fn unfit(why: String) -> Refusal {
    Refusal::new(Reason::DataUnfit, why)
}

fn check(
    open: impl FnOnce() -> Result<Dataset, DataError>,
    assignment: &Assignment,
) -> Result<Serving, Refusal> {
    let cannot =
        |problems: &[String]| unfit(format!("the data set cannot serve this: {}", problems.join("; ")));
    let dataset = open().map_err(|error| cannot(&[error.to_string()]))?;
    let problems = problems(&dataset, assignment);
    if !problems.is_empty() {
        return Err(cannot(&problems));
    }
    let samples = dataset.len(part(&dataset, &assignment.work)) as u64;
    Ok(Serving { samples, data: DataDescription::of(&dataset) })
}

/// The part that a work reads.
fn part(dataset: &Dataset, work: &Work) -> Split {
    match work {
        Work::Statistics | Work::Training(_) => Split::Train,
        Work::Evaluation(_) => dataset.scored_part(),
    }
}

fn problems(dataset: &Dataset, assignment: &Assignment) -> Vec<String> {
    let training_target = &assignment.training_target;
    let mut problems = Vec::new();
    if let Err(error) = dataset.positions(&training_target.bands()) {
        problems.push(error.to_string());
    }
    let part = part(dataset, &assignment.work);
    if dataset.is_empty(part) {
        let name = match part {
            Split::Train => "training",
            Split::Validation | Split::Test => "validation",
        };
        problems.push(format!("its {name} part has no samples"));
    }
    if let (Some(task), Work::Training(_) | Work::Evaluation(_)) = (training_target.task(), &assignment.work)
    {
        problems.extend(dataset.serves(task, training_target.classes()).err().map(|error| error.to_string()));
        problems.extend(dataset.serves_unit(training_target.target()).err().map(|error| error.to_string()));
        problems.extend(unfit_size(dataset, part, &assignment.work));
    }
    problems
}

/// The objection to samples that the trainer would refuse because of their size.
fn unfit_size(dataset: &Dataset, part: Split, work: &Work) -> Option<String> {
    let resized = match work {
        Work::Training(work) => work.settings.input_size.is_some(),
        Work::Evaluation(work) => work.input_size.is_some(),
        Work::Statistics => true,
    };
    let [width, height] = dataset.first_size(part).filter(|size| !resized && !fits_encoders(*size))?;
    Some(format!(
        "without `training.input_size`, the sides of its samples must be multiples of {STRIDE}, so {STRIDE}x{STRIDE} \
         pixels at least, found `{width}x{height}`"
    ))
}

/// The moments of the training part, whose samples are kept as they are decoded: the rounds of training that follow
/// need not decode them again.
fn moments(
    dataset: Dataset,
    bands: &[String],
    kept: Option<&SampleCache>,
) -> Result<Vec<BandMoments>, DataError> {
    let source = SampleSource::open(Arc::new(dataset), Split::Train, bands, kept)?;
    if let Some(problem) = source.problem() {
        tracing::warn!(problem, "decoded samples cannot be kept");
    }
    tracing::info!(
        samples = source.len(),
        from = source.origin().name(),
        "the moments of the bands are known"
    );
    for finding in &source.facts().findings {
        tracing::warn!("{finding}");
    }
    Ok(source.facts().moments())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use eosfed_common::model::{TargetScale, Task};
    use eosfed_common::plan::JobKind;
    use eosfed_common::training_target::TrainingTarget;
    use eosfed_data::{Origin, Raster, write_geotiff};

    use super::*;

    #[test]
    fn targets_in_another_unit_than_the_plans_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let raster = Raster { width: 32, height: 32, bands: 1, data: vec![3.5; 1024], reference: None };
        for name in ["a.tif", "height.tif"] {
            write_geotiff(&folder.path().join(name), &raster).unwrap();
        }
        let text = "task = \"regression\"\nbands = [\"red\"]\nclasses = [\"height\"]\nUNIT\n[layout]\nkind = \"scenes\"\n\
                    images = [\"a.tif\"]\nmasks = [\"height.tif\"]\ntile = 32\n[split]\nvalidation = 0.0\n";
        let mut work = eosfed_testkit::assignments::training(JobKind::OneShot);
        let TrainingTarget::Specialist(model) = &mut work.training_target else { panic!("a specialist") };
        (model.task, model.bands, model.classes) =
            (Task::Regression, vec!["red".to_owned()], vec!["height".to_owned()]);
        model.target = Some(TargetScale { offset: 0.0, scale: 1.0, unit: "m".to_owned() });
        let answer = |unit: &str| {
            fs::write(folder.path().join("dataset.toml"), text.replace("UNIT", unit)).unwrap();
            check(|| Dataset::open(folder.path(), &Limits::default()), &work).map(|serving| serving.samples)
        };
        assert_eq!([answer("target_unit = \"m\""), answer("")], [Ok(1), Ok(1)]);
        let refusal = answer("target_unit = \"cm\"").unwrap_err();
        assert_eq!(refusal.reason, Reason::DataUnfit);
        let said = refusal.to_string();
        assert!(said.contains("must be in `m`") && said.contains("found `cm` (`target_unit`"), "{said}");
    }

    #[test]
    fn samples_that_statistics_have_decoded_are_there_for_trainings() {
        let folder = tempfile::tempdir().unwrap();
        for (class, level) in [("dark", 0.25), ("bright", 0.75)] {
            fs::create_dir_all(folder.path().join(class)).unwrap();
            for number in 0..3 {
                let raster =
                    Raster { width: 32, height: 32, bands: 1, data: vec![level; 1024], reference: None };
                write_geotiff(&folder.path().join(format!("{class}/{number}.tif")), &raster).unwrap();
            }
        }
        let text = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"dark\", \"bright\"]\n\
                    [layout]\nkind = \"folders\"\nroot = \".\"\n[split]\nvalidation = 0.0\n";
        fs::write(folder.path().join("dataset.toml"), text).unwrap();
        let dataset = || Dataset::open(folder.path(), &Limits::default()).unwrap();
        let bands = ["red".to_owned()];
        let cache = SampleCache { folder: folder.path().join("samples"), bytes: 1 << 20 };
        let without = moments(dataset(), &bands, None).unwrap();
        assert!(!cache.folder.exists());
        let with = moments(dataset(), &bands, Some(&cache)).unwrap();
        assert_eq!((with[0].count, &with), (6 * 1024, &without));
        let source = SampleSource::open(Arc::new(dataset()), Split::Train, &bands, Some(&cache)).unwrap();
        assert_eq!((source.origin(), source.len()), (Origin::Cache, 6));
        assert_eq!(moments(dataset(), &bands, Some(&cache)).unwrap(), without, "from the cache");
    }
}
