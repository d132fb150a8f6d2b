//! Conditions of the institution's machine are waited for, not reported as failures of the work.

use std::time::Duration;

use eosfed_client::condition::ConditionKind;

use crate::good;
use crate::world::{STARTED, World, statistics, training, until};

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

fn waits_for(world: &World, kind: ConditionKind) -> bool {
    world.state().wait().is_some_and(|wait| wait.condition.kind == kind && wait.tries > 1)
}

#[tokio::test]
async fn an_offer_waits_for_a_data_folder_that_is_away() {
    for assignment in [training(), statistics()] {
        let world = World::new(assignment, &good()).await;
        std::fs::rename(world.path("imagery"), world.path("away")).unwrap();
        let (_cancel, task) = world.start();
        until(|| waits_for(&world, ConditionKind::DataMissing)).await;
        let said = world.state().wait().unwrap().condition.message.clone();
        assert!(said.contains("imagery") && said.contains("`dataset` in client.toml"), "{said}");
        {
            let inner = world.fake.get();
            assert!(inner.refusals.is_empty() && inner.failures.is_empty() && inner.tokens.is_empty());
        }
        std::fs::rename(world.path("away"), world.path("imagery")).unwrap();
        task.await.unwrap().unwrap();
        let inner = world.fake.get();
        assert_eq!(inner.updates.len() + inner.statistics.len(), 1);
    }
}

#[tokio::test]
async fn an_empty_mount_point_is_a_disk_that_is_away() {
    let world = World::new(training(), &good()).await;
    std::fs::rename(world.path("imagery/images"), world.path("away")).unwrap();
    std::fs::create_dir(world.path("imagery/images")).unwrap();
    let (cancel, task) = world.start();
    until(|| waits_for(&world, ConditionKind::DataMissing)).await;
    assert!(world.state().wait().unwrap().condition.message.contains("the folder is empty"));
    cancel.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().refusals, []);
}

#[tokio::test]
async fn a_disk_that_goes_while_it_is_read_is_waited_for_with_the_lease() {
    // The data go, and come back when the test says so.
    let script = format!(
        "{STARTED}\nhere=$(dirname \"$0\")\n[ -e \"$here/back\" ] || {{ mv \"$here/imagery\" \"$here/away\"; \
         echo '{{\"event\":\"failed\",\"reason\":\"a.tif: no such file\"}}'; exit 1; }}\n{}",
        crate::world::FINISHED
    );
    let world = World::new(training(), &script).await;
    let (_cancel, task) = world.start();
    until(|| waits_for(&world, ConditionKind::DataMissing)).await;
    let beats = world.fake.get().beats;
    until(|| world.fake.get().beats > beats + 3).await;
    assert_eq!(world.state().name(), "training");
    assert!(world.fake.get().failures.is_empty(), "the lease is kept and nothing is reported");
    std::fs::write(world.path("back"), "").unwrap();
    std::fs::rename(world.path("away"), world.path("imagery")).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn bad_data_fail_at_once() {
    let world = World::new(training(), &format!("{STARTED}\necho '{BAD_DATA}'\nexit 1")).await;
    world.run().await;
    let inner = world.fake.get();
    assert_eq!(inner.failures, ["a.tif: 3 bands, expected 1"]);
}

const BAD_DATA: &str = r#"{"event":"failed","reason":"a.tif: 3 bands, expected 1"}"#;

#[tokio::test]
async fn a_missing_launcher_is_named_and_waited_for() {
    let world = World::new(training(), &good()).await;
    let launcher = world.path("launch");
    let named = launcher.display().to_string();
    let (_cancel, task) = world.start_with(|parts| parts.trainer.launcher = vec![named.clone()]);
    until(|| waits_for(&world, ConditionKind::LauncherMissing)).await;
    let said = world.state().wait().unwrap().condition.message.clone();
    assert!(said.contains(&named) && said.contains("`trainer.launcher` in client.toml"), "{said}");
    assert!(!said.contains("trainer.program"), "{said}");
    std::os::unix::fs::symlink("/bin/sh", &launcher).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_trainer_that_is_removed_while_the_lease_is_held_is_waited_for() {
    let world = World::new(training(), &good()).await;
    let program = world.path("program");
    let (_cancel, task) = world.start_with(|parts| {
        // The launcher is found when the offer is considered, and gone when it is to run.
        std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        parts.trainer.launcher = vec![program.display().to_string()];
    });
    world.fake.get().hold_accept = true;
    until(|| world.fake.get().accepting > 0).await;
    std::fs::remove_file(&program).unwrap();
    world.fake.get().hold_accept = false;
    until(|| waits_for(&world, ConditionKind::LauncherMissing)).await;
    assert_eq!((world.state().name(), world.fake.get().failures.len()), ("training", 0));
    std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_condition_that_lasts_is_reported_with_its_reason() {
    let world = World::new(training(), &good()).await;
    std::fs::rename(world.path("imagery"), world.path("away")).unwrap();
    let (cancel, task) =
        world.start_with(|parts| parts.intervals.condition_timeout = Duration::from_millis(300));
    until(|| !world.fake.get().refusals.is_empty()).await;
    a_while().await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert_eq!((inner.refusals.len(), inner.refusals[0].reason.as_str()), (1, "DATA_UNFIT"));
    let said = &inner.refusals[0].message;
    assert!(said.contains("since 20") && said.contains("No such file"), "{said}");
    drop(inner);
    assert_eq!(world.state().wait(), None);
}

#[tokio::test]
async fn a_near_deadline_ends_the_wait() {
    use eosfed_common::assignment::Assignment;
    use eosfed_common::clock::{Clock as _, SystemClock};
    let world = World::new(training(), &good()).await;
    std::fs::rename(world.path("imagery"), world.path("away")).unwrap();
    let deadline = SystemClock.now().plus(Duration::from_secs(2));
    world.fake.get().assignment = Some(Assignment { deadline, ..training() });
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
}
