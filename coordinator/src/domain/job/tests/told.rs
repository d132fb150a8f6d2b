//! What a head that was trained in rounds knows of the bands of its institutions.

use eosfed_common::assignment::BandMoments;
use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::finite::Finite;
use eosfed_common::head::StatisticsFrom;
use eosfed_testkit::plans::Plan;
use eosfed_testkit::submissions::{moments, telling};

use super::*;
use crate::domain::admission::UpdateRules;
use crate::domain::job::TrainedHead;
use crate::domain::target::HeadRef;

/// The bands of the head of the plan, in the order of its encoders.
const BANDS: [&str; 3] = ["nir", "swir", "red"];

/// As many pixels of each band with a deviation of 2, in reflectance up to this value. The first band has this mean, and
/// each one after it ten more.
fn bands(count: u64, mean: f64, high: f64) -> Vec<BandMoments> {
    let mut bands = moments(&BANDS, count, mean, 4.0 * count as f64);
    let unit = Some(ValueUnit::Reflectance);
    let values = BandValues { unit, low: Finite::literal(0.0), high: Finite::literal(high) };
    for (band, more) in bands.iter_mut().zip([0.0, 10.0, 20.0]) {
        band.values = Some(values);
        band.mean = Finite::literal(mean + more);
    }
    bands
}

/// A downstream job that has opened its round and combines at least `min` institutions.
fn open(min: usize) -> Job {
    let mut federation = released();
    let (_, change) = submit(&federation, &Plan::new(DOWNSTREAM).participants(min, 2).text());
    federation.merge(change.clone());
    change.jobs[0].apply(Transition::Prepared(blob("initial")), NOW).unwrap().job
}

/// The head of west and east, of which each tells these moments or none.
fn trained(min: usize, told: [Option<Vec<BandMoments>>; 2]) -> TrainedHead {
    let mut job = open(min);
    for (seed, (institution, told)) in (1..).zip(["west", "east"].into_iter().zip(told)) {
        let folder = tempfile::tempdir().unwrap();
        let (next, assignment) = accepted(&job, institution, seed);
        let (path, blob) = weights(folder.path(), &assignment, seed);
        let mut update = update(&assignment, &token(seed), blob);
        if let Some(told) = told {
            update = telling(update, told);
        }
        job = next.submit_update(screened(update, &assignment, &path), NOW).unwrap().0.job;
    }
    let done = job.apply(Transition::Aggregated(0, blob("mean"), None), NOW).unwrap().job;
    TrainedHead::clone(done.trained.as_ref().unwrap())
}

#[test]
fn a_head_knows_what_enough_institutions_tell_and_how_many_they_were() {
    let from = |told| Some(StatisticsFrom { told, institutions: 2 });
    let all = trained(2, [Some(bands(100, 1.0, 0.5)), Some(bands(100, 3.0, 0.75))]);
    let names: Vec<&str> = all.statistics.iter().map(|band| band.band.as_str()).collect();
    assert_eq!((&names[..], all.statistics_from), (&BANDS[..], from(2)));
    // By hand: of the means 1 and 3, and a deviation of 2 around each.
    let found: Vec<_> = all.statistics.iter().map(|band| (band.mean.get(), band.std.get())).collect();
    assert_eq!(found, [2.0, 12.0, 22.0].map(|mean| (mean, 5.0_f64.sqrt())));
    let values = all.statistics[0].values.unwrap();
    assert_eq!((values.unit, *values.low, *values.high), (Some(ValueUnit::Reflectance), 0.0, 0.75));

    // The numbers of one institution are not given away where two are combined.
    let one = trained(2, [Some(bands(100, 1.0, 0.5)), None]);
    assert_eq!((one.statistics, one.statistics_from), (Vec::new(), from(1)));
    let alone = trained(1, [Some(bands(100, 1.0, 0.5)), None]);
    assert_eq!((alone.statistics[0].mean.get(), alone.statistics_from), (1.0, from(1)));
    let none = trained(1, [None, None]);
    assert_eq!((none.statistics, none.statistics_from), (Vec::new(), from(0)));
}

#[test]
fn whoever_claims_most_pixels_does_not_decide_alone() {
    let lie = bands(1 << 49, 1000.0, 0.5);
    let head = trained(2, [Some(bands(100, 1.0, 0.5)), Some(lie)]);
    // The largest share is a half.
    assert!((head.statistics[0].mean.get() - 500.5).abs() < 1e-9, "{head:?}");
}

/// What admission says to these moments beside an update of this target.
fn screen(target: &Target, told: Vec<BandMoments>) -> Result<Option<Vec<BandMoments>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let (_, assignment) = accepted(&open(2), "west", 1);
    let assignment = assignment.with(|_| target.clone());
    let (path, blob) = weights(folder.path(), &assignment, 1);
    let submission = telling(update(&assignment, &token(1), blob), told);
    let (_, verified) = eosfed_aggregation::WeightsReader::check(&path, &target.signature()).unwrap();
    let screened = ScreenedUpdate::screen(submission, UpdateRules::default(), target, verified, 1.0);
    let screened = screened.map_err(|refusal| refusal.message)?;
    Ok(screened.into_inner().0.statistics.map(|told| told.bands))
}

#[test]
fn moments_beside_an_update_are_those_of_the_heads_bands_and_plausible() {
    let Target::Head(head) = offered(&open(2), "west").training_target else { panic!("no head") };
    let target = Target::Head(head.clone());
    let good = bands(100, 1.0, 0.5);
    assert_eq!(screen(&target, good.clone()), Ok(Some(good.clone())));
    let changed = |change: fn(&mut Vec<BandMoments>)| {
        let mut told = good.clone();
        change(&mut told);
        screen(&target, told).unwrap_err()
    };
    for (words, change) in [
        ("must name the bands", (|told| told.swap(0, 1)) as fn(&mut Vec<BandMoments>)),
        ("must name the bands", |told| drop(told.pop())),
        ("`count` must be between 1", |told| told[2].count = 0),
        ("`count` must be between 1", |told| told[2].count = u64::MAX),
        ("the mean of band `swir`", |told| told[1].mean = Finite::literal(1e200)),
        ("standard deviation of band `nir`", |told| told[0].m2 = Finite::literal(1e200)),
        ("upper end of band `red`", |told| {
            told[2].values.as_mut().unwrap().high = Finite::literal(1e200);
        }),
    ] {
        let said = changed(change);
        assert!(said.contains(words), "{words}: {said}");
    }
    let of_before = Target::Head(HeadRef { bands: Vec::new(), ..head });
    assert_eq!(screen(&of_before, good.clone()), Ok(None), "a job of before keeps its updates");
    let specialist = offered(&training(), "west").training_target;
    let said = screen(&specialist, good).unwrap_err();
    assert!(said.contains("`statistics` must be absent"), "{said}");
}

#[test]
fn records_of_before_open_and_are_written_as_before() {
    let none = trained(2, [None, None]);
    let mut json = serde_json::to_value(TrainedHead { statistics_from: None, ..none }).unwrap();
    assert!(json.get("statistics").is_none() && json.get("statistics_from").is_none(), "{json:#}");
    let read: TrainedHead = serde_json::from_value(json.clone()).unwrap();
    assert_eq!((serde_json::to_value(&read).unwrap(), read.statistics_from), (json.clone(), None));
    json["statistics_from"] = serde_json::json!({ "told": 1, "institutions": 2 });
    assert!(serde_json::from_value::<TrainedHead>(json).is_ok());

    let job = submitted(&training(), "west", 1).job;
    let round = serde_json::to_value(job.current().unwrap()).unwrap().to_string();
    assert!(round.contains("\"report\"") && !round.contains("\"statistics\""), "{round}");
    let reference = open(2).head.clone().unwrap();
    let before = serde_json::to_value(HeadRef { bands: Vec::new(), ..reference }).unwrap();
    assert_eq!(before.get("bands"), None);
    assert_eq!(serde_json::from_value::<HeadRef>(before).unwrap().bands, [""; 0]);
}
