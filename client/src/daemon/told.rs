//! What an update tells beside its weights: the moments of the bands that a head was trained on, and how the site log
//! describes it.

use std::collections::BTreeMap;

use eosfed_common::assignment::{BandMoments, UpdateSubmission, Work};
use eosfed_common::counted::counted;
use eosfed_common::finite::Finite;
use eosfed_common::task::TrainTask;
use eosfed_common::training_target::TrainingTarget;

/// The moments that a trainer has told, if they are those of a head's bands. The normalisation of a specialist has its
/// own.
pub(super) fn of_head(moments: Vec<BandMoments>, target: &TrainingTarget) -> Vec<BandMoments> {
    let is_head = matches!(target, TrainingTarget::Head(_));
    let bands = moments.iter().map(|moments| &moments.band);
    if is_head && bands.eq(&target.bands()) { moments } else { Vec::new() }
}

/// The scores of the starting weights, if these are an average and the task asks for its scores. A curve has none of
/// single classes.
pub(super) fn of_average(scores: BTreeMap<String, Finite>, task: &TrainTask) -> BTreeMap<String, Finite> {
    if task.scores_average() {
        scores.into_iter().filter(|(name, _)| !name.contains('/')).collect()
    } else {
        BTreeMap::new()
    }
}

/// Whether statistics of the institution's own leave with an update of rounds: the moments of a head's bands, or a
/// specialist's normalisation that the job does not bring.
pub(super) fn has_statistics(work: &Work, submission: &UpdateSubmission) -> bool {
    let own = matches!(work, Work::Training(work) if work.strategy.is_some() && work.normalisation.is_none());
    submission.statistics.is_some() || (own && !submission.report.normalisation.is_empty())
}

/// The contents of a report of a training, for the site log.
pub(super) fn contents(submission: &UpdateSubmission) -> String {
    let samples = counted(submission.report.samples, "sample");
    let mut contents = vec![samples, counted(submission.report.metrics.len(), "score")];
    if !submission.start_metrics.is_empty() {
        contents.push(format!("{} of the average", counted(submission.start_metrics.len(), "score")));
    }
    if !submission.points.is_empty() {
        contents.push(format!("{} of the curve", counted(submission.points.len(), "point")));
    }
    if let Some(told) = &submission.statistics {
        contents.push(format!("moments of {}", counted(told.bands.len(), "band")));
    }
    contents.join(", ")
}

#[cfg(test)]
mod tests {
    use eosfed_common::assignment::Work;
    use eosfed_common::plan::JobKind;
    use eosfed_testkit::assignments::training;
    use eosfed_testkit::cards::classifier;
    use eosfed_testkit::releases;
    use eosfed_testkit::submissions::{detailed_update, moments};

    use super::*;

    #[test]
    fn only_the_bands_of_a_head_are_told_in_its_order() {
        let over = releases::head();
        let bands = over.head.bands();
        let head = TrainingTarget::Head(Box::new(over));
        let told = moments(&bands, 9, 1.5, 0.25);
        assert_eq!(of_head(told.clone(), &head), told);
        let other = moments(&["elsewhere"], 9, 1.5, 0.25);
        assert_eq!(of_head([told.clone(), other].concat(), &head), [], "a band that the head does not have");
        let specialist = TrainingTarget::Specialist(classifier());
        assert_eq!(of_head(moments(&["red"], 9, 1.5, 0.25), &specialist), []);
    }

    #[test]
    fn the_site_log_says_statistics_where_some_leave() {
        let Work::Training(work) = training(JobKind::Downstream).work else { panic!("a training") };
        let of_head = Work::Training(work.clone());
        let mut update = detailed_update();
        update.report.normalisation.clear();
        assert!(update.statistics.is_some() && has_statistics(&of_head, &update));
        assert!(contents(&update).contains("moments of 1 band"), "{}", contents(&update));
        let told = contents(&update);
        assert!(told.contains("1 score, 1 score of the average, 1 point of the curve, "), "{told}");
        update.start_metrics.clear();
        update.points.clear();
        let told = contents(&update);
        assert!(!told.contains("average") && !told.contains("curve"), "{told}");
        update.statistics = None;
        assert!(!has_statistics(&of_head, &update), "a head without moments tells none");
        assert!(!contents(&update).contains("moments"), "{}", contents(&update));
        update.report.normalisation = detailed_update().report.normalisation;
        let mut own = work;
        own.normalisation = None;
        assert!(has_statistics(&Work::Training(own.clone()), &update), "the job brings none");
        own.normalisation = Some(update.report.normalisation.clone());
        assert!(!has_statistics(&Work::Training(own), &update), "the job brings it");
    }
}
