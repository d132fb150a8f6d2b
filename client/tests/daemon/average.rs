//! The scores of the average that a round starts from: they leave as other scores do, and only where there is an average.

use eosfed_client::site_log::Sending;
use eosfed_common::assignment::{Assignment, TrainingWork, UpdateSubmission, Work};
use eosfed_common::plan::{JobKind, Training};
use eosfed_testkit::assignments::training;
use eosfed_testkit::signing;

use crate::site_log::sent_update;
use crate::world::{FINISHED, POLICY, STARTED, World};

/// Training of a round that covers this part of the schedule.
fn round(schedule: [f64; 2], score_average: bool) -> Assignment {
    let assignment = training(JobKind::Rounds);
    let Work::Training(work) = assignment.work.clone() else { panic!("a training") };
    let settings = Training { score_average, ..work.settings.clone() };
    Assignment { work: Work::Training(Box::new(TrainingWork { schedule, settings, ..*work })), ..assignment }
}

/// What the daemon submits and notes where its trainer tells these scores of the starting weights.
async fn submitted(round: Assignment, policy: &str, scores: &str) -> (UpdateSubmission, Sending) {
    let finished = FINISHED.replace("}}}'", &format!(r#"}}}},"start_metrics":{{{scores}}}}}'"#));
    assert!(finished.contains("start_metrics"), "{finished}");
    let world = World::new(round, &format!("{STARTED}{finished}")).await;
    world.set_policy(policy);
    world.run().await;
    sent_update(&world)
}

#[tokio::test]
async fn scores_of_the_average_leave_with_metrics_only() {
    let scores = r#""accuracy":0.625,"iou/a":0.5,"accuracy/b":0.5,"miou":7.0"#;
    let (update, noted) = submitted(round([0.5, 1.0], true), POLICY, scores).await;
    let told: Vec<_> =
        update.start_metrics.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
    assert_eq!(told, [("accuracy", 0.625)], "none of classes, unknown ones or out of range");
    assert!(noted.what.contains("1 score of the average"), "{}", noted.what);
    // A coordinator of before does not read them, and finds the signature of the update good.
    update.signature.verify(&update.statement(), &[signing::institution("west").public()]).unwrap();

    let without = POLICY.replace("\"metrics\", ", "");
    let (update, noted) = submitted(round([0.5, 1.0], true), &without, scores).await;
    assert!(update.start_metrics.is_empty() && update.report.metrics.is_empty(), "{update:?}");
    assert!(!noted.what.contains("average"), "{}", noted.what);
}

#[tokio::test]
async fn where_nothing_was_averaged_and_where_the_plan_says_no_nothing_is_told() {
    for round in [round([0.0, 0.5], true), round([0.5, 1.0], false)] {
        let (update, _) = submitted(round, POLICY, r#""accuracy":0.625"#).await;
        assert!(update.start_metrics.is_empty() && !update.report.metrics.is_empty(), "{update:?}");
    }
}
