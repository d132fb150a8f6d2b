//! Which of several data sets an assignment is for, where its plan names none.

use eosfed_common::assignment::Assignment;
use eosfed_common::ids::DataSetName;
use eosfed_common::model::Task;
use eosfed_data::{DatasetConfig, units_differ};

use super::quoted;

/// What decides whether a data set can serve a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// What its labels are.
    pub task: Task,
    /// The names of its bands.
    pub bands: Vec<String>,
    /// The names of its classes.
    pub classes: Vec<String>,
    /// The unit of its target (regression); empty if it states none.
    pub unit: String,
}

impl Traits {
    /// Of a data set with this description.
    #[must_use]
    pub fn of(config: &DatasetConfig) -> Self {
        let DatasetConfig { task, bands, classes, .. } = config;
        let unit = config.unit().to_owned();
        Self { task: *task, bands: bands.clone(), classes: classes.clone(), unit }
    }

    /// Whether some job could be for either.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let shared = self.bands.iter().any(|band| other.bands.contains(band));
        let one_unit = !units_differ(&self.unit, &other.unit);
        (self.task, &self.classes, true, true) == (other.task, &other.classes, shared, one_unit)
    }

    /// What an assignment needs that it lacks, in words.
    fn lacks(&self, assignment: &Assignment) -> Vec<String> {
        let target = &assignment.training_target;
        let mut list = Vec::new();
        let missing: Vec<String> =
            target.bands().into_iter().filter(|band| !self.bands.contains(band)).collect();
        if !missing.is_empty() {
            list.push(format!("no band {}", missing.join(", ")));
        }
        // Bands that are only measured need no labels.
        if let Some(task) = target.task() {
            if task != self.task {
                list.push(format!("its task is {}", self.task));
            } else if target.classes() != self.classes {
                list.push("other classes".to_owned());
            } else if let Some(wanted) =
                target.target().filter(|wanted| units_differ(&wanted.unit, &self.unit))
            {
                list.push(format!("its target is in {}, not in {}", self.unit, wanted.unit));
            }
        }
        list
    }
}

/// The only one of several data sets that has what an assignment needs.
///
/// # Errors
/// A sentence that tells why none fits, or which ones do.
pub fn choose<'a>(
    known: &'a [(DataSetName, Traits)],
    assignment: &Assignment,
) -> Result<&'a DataSetName, String> {
    let fitting: Vec<&DataSetName> = known
        .iter()
        .filter(|(_, traits)| traits.lacks(assignment).is_empty())
        .map(|(name, _)| name)
        .collect();
    match &fitting[..] {
        [name] => Ok(name),
        [] => {
            let why = known
                .iter()
                .map(|(name, traits)| format!("`{name}` ({})", traits.lacks(assignment).join(", ")));
            let why = why.collect::<Vec<_>>().join(", ");
            Err(format!("none of the {} data sets fits: {why}", known.len()))
        }
        several => Err(format!(
            "{} data sets fit, {}, and none is chosen by chance; the plan can name one (`dataset` in `[participation]`)",
            several.len(),
            quoted(several)
        )),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::TargetScale;
    use eosfed_common::training_target::TrainingTarget;

    use super::super::tests::name;
    use super::*;
    use crate::testing::statistics;

    fn known(list: &[(&str, Task, &[&str], &[&str])]) -> Vec<(DataSetName, Traits)> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let one = |(text, task, bands, classes): &(&str, Task, &[&str], &[&str])| {
            let unit = String::new();
            (name(text), Traits { task: *task, bands: words(bands), classes: words(classes), unit })
        };
        list.iter().map(one).collect()
    }

    /// Work for a classifier; see [`statistics`].
    fn work() -> (Assignment, Task, Vec<String>, Vec<String>) {
        let work = statistics();
        let target = &work.training_target;
        let (task, bands, classes) = (target.task().unwrap(), target.bands(), target.classes().to_vec());
        (work, task, bands, classes)
    }

    /// Work for heights in a unit.
    fn heights(unit: &str) -> Assignment {
        let mut work = statistics();
        let TrainingTarget::Specialist(model) = &mut work.training_target else { panic!("a specialist") };
        (model.task, model.bands, model.classes) =
            (Task::Regression, vec!["red".to_owned()], vec!["height".to_owned()]);
        model.target = Some(TargetScale { offset: 0.0, scale: 1.0, unit: unit.to_owned() });
        work
    }

    #[test]
    fn the_only_one_that_fits_is_chosen_and_none_of_several() {
        let (work, task, bands, classes) = work();
        let bands: Vec<&str> = bands.iter().map(String::as_str).chain(["more"]).collect();
        let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
        let other_task = if task == Task::Segmentation { Task::Multilabel } else { Task::Segmentation };
        let fits = ("fits", task, &bands[..], &classes[..]);
        let without_band = ("a", task, &["more"][..], &classes[..]);
        let of_other_task = ("b", other_task, &bands[..], &classes[..]);
        let of_other_classes = ("c", task, &bands[..], &["x", "y"][..]);
        let all = known(&[without_band, of_other_task, fits, of_other_classes]);
        assert_eq!(choose(&all, &work), Ok(&name("fits")));
        let none = choose(&known(&[without_band, of_other_task, of_other_classes]), &work).unwrap_err();
        assert!(none.contains("none of the 3 data sets fits: `a` (no band "), "{none}");
        assert!(none.contains(&format!("`b` (its task is {other_task}), `c` (other classes)")), "{none}");
        let twice = known(&[fits, without_band, ("also", task, &bands[..], &classes[..])]);
        let several = choose(&twice, &work).unwrap_err();
        assert!(
            several.starts_with("2 data sets fit, `fits` and `also`, ") && several.contains("`dataset`"),
            "{several}"
        );
        // The same quantity in two units: the plan's counts.
        let metres = |unit: &str| Traits {
            task: Task::Regression,
            bands: vec!["red".to_owned()],
            classes: vec!["height".to_owned()],
            unit: unit.to_owned(),
        };
        let both = [(name("m"), metres("m")), (name("cm"), metres("cm"))];
        assert!(!both[0].1.is_like(&both[1].1) && both[0].1.is_like(&metres("")));
        let regression = heights("cm");
        assert_eq!(choose(&both, &regression), Ok(&name("cm")));
        let none = choose(&both[..1], &regression).unwrap_err();
        assert!(none.contains("`m` (its target is in m, not in cm)"), "{none}");
        // For bands that are only measured, labels do not matter.
        let measured = eosfed_testkit::assignments::bands(&["more"]);
        assert!(
            choose(&known(&[fits, of_other_task]), &measured).unwrap_err().starts_with("2 data sets fit")
        );
    }
}
