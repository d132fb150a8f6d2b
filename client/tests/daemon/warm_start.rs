//! One-shot jobs that start from the weights of a released specialist.

use std::path::Path;

use eosfed_common::assignment::BlobRef;
use eosfed_common::model::{Backbone, ModelSpec, Task, initial_weights, signature};
use eosfed_common::plan::JobKind;
use eosfed_common::task::{InitialWeights, TrainTask};
use eosfed_common::weights::write;
use eosfed_testkit::cards::model;
use eosfed_testkit::signing;

use crate::dishonest_coordinator::{base, changed, declined, refusal_of};
use crate::fake::{release_of, released};
use crate::good;
use crate::world::{POLICY, WEIGHTS, World};

#[tokio::test]
async fn a_one_shot_job_with_a_base_is_refused() {
    let assignment = changed(JobKind::OneShot, |work| work.base = Some(base()));
    let (reason, said) = refusal_of(assignment, POLICY).await;
    assert!(reason == "POLICY" && said.contains("`allow.warm_start` is false"), "{reason}: {said}");
}

/// A world whose coordinator offers a one-shot job with a base, and this release for it.
pub(crate) async fn warm(base: BlobRef, (document, bytes): (BlobRef, Vec<u8>)) -> World {
    let assignment = changed(JobKind::OneShot, |work| {
        work.base = Some(base);
        work.base_release = Some(document);
    });
    let world = World::new(assignment, &good()).await;
    world.set_policy(&format!("{POLICY}warm_start = true\n"));
    world.fake.get().blobs.insert(document.digest.to_string(), bytes);
    world
}

#[tokio::test]
async fn a_base_must_be_a_specialist_of_a_signed_release() {
    let key = signing::coordinator().key().clone();
    let assignment = changed(JobKind::OneShot, |work| work.base = Some(base()));
    let bare = World::new(assignment, &good()).await;
    bare.set_policy(&format!("{POLICY}warm_start = true\n"));
    bare.fake.get().bare_base = true;
    let (reason, said) = declined(&bare).await;
    assert!(reason == "POLICY" && said.contains("names no release"), "{reason}: {said}");
    let other = BlobRef { size: base().size, ..BlobRef::of(b"other") };
    let thief = signing::institution("thief");
    for (release, words) in [
        (release_of(other, &key), "has no specialist of sha256:"),
        (release_of(base(), &thief), "is signed with the key"),
    ] {
        let (reason, said) = declined(&warm(base(), release).await).await;
        assert!(reason == "NOT_SIGNED" && said.contains(words), "{reason}: {said}");
    }
    let world = warm(base(), release_of(base(), &key)).await;
    world.fake.get().blobs.insert(base().digest.to_string(), std::fs::read(&WEIGHTS.1).unwrap());
    world.run().await;
    assert!(world.fake.get().refusals.is_empty(), "{:?}", world.fake.get().refusals);
    assert_eq!(world.fake.get().tokens.len(), 1, "it is accepted");
}

/// A specialist of another network than the assignment trains: two bands and three classes.
fn parent() -> ModelSpec {
    model(Task::Classification, &["red", "nir"], &["a", "b", "c"])
}

/// A world whose coordinator offers a one-shot job that starts from [`parent`], whose weights are `file`, by a
/// signed release whose card says that its network is `listed`.
async fn from_parent(file: &Path, listed: ModelSpec, said: ModelSpec, trainer: &str) -> World {
    let bytes = std::fs::read(file).unwrap();
    let base = BlobRef::of(&bytes);
    let release = released(base, listed, signing::coordinator().key());
    let assignment = changed(JobKind::OneShot, |work| {
        work.base = Some(base);
        work.base_release = Some(release.0);
        work.base_model = Some(Box::new(said));
    });
    let world = World::new(assignment, trainer).await;
    world.set_policy(&format!("{POLICY}warm_start = true\n"));
    let mut inner = world.fake.get();
    inner.blobs.insert(release.0.digest.to_string(), release.1);
    inner.blobs.insert(base.digest.to_string(), bytes);
    drop(inner);
    world
}

#[tokio::test]
async fn a_specialist_of_another_network_is_fetched_and_named_to_the_trainer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parent");
    write(&file, &signature(&parent()), &initial_weights(&parent(), 4)).unwrap();
    let seen = folder.path().join("task.json");
    let trainer = format!("cp \"$2\" {}\n{}", seen.display(), good());
    let world = from_parent(&file, parent(), parent(), &trainer).await;
    world.run().await;
    assert!(world.fake.get().refusals.is_empty(), "{:?}", world.fake.get().refusals);
    assert_eq!(world.fake.get().updates.len(), 1);
    let task: TrainTask = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
    let InitialWeights::Specialist { model, seed: 1, .. } = task.initial else {
        panic!("{:?}", task.initial)
    };
    assert_eq!(model, parent());

    // Weights that are not of that network reach no trainer.
    let world = from_parent(&WEIGHTS.1, parent(), parent(), &good()).await;
    world.run().await;
    let inner = world.fake.get();
    assert!(
        inner.updates.is_empty() && inner.failures[0].contains("do not fit the model"),
        "{:?}",
        inner.failures
    );
}

#[tokio::test]
async fn a_lie_about_the_network_of_a_specialist_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parent");
    write(&file, &signature(&parent()), &initial_weights(&parent(), 4)).unwrap();
    let other = ModelSpec { bands: vec!["nir".to_owned(), "red".to_owned()], ..parent() };
    let (reason, said) = declined(&from_parent(&file, parent(), other, &good()).await).await;
    assert!(reason == "NOT_SIGNED" && said.contains("another network than the assignment says"), "{said}");
    let large = ModelSpec { backbone: Backbone::Tiny, ..parent() };
    let (reason, said) = declined(&from_parent(&file, large.clone(), large, &good()).await).await;
    assert!(reason == "INCOMPATIBLE" && said.contains("must have the backbone `convnextv2_atto`"), "{said}");
    // Without a base there is nothing that could have another network.
    let bare = changed(JobKind::OneShot, |work| work.base_model = Some(Box::new(parent())));
    let rounds = changed(JobKind::Rounds, |work| {
        work.base = Some(base());
        work.base_release = Some(BlobRef::of(b"release"));
        work.base_model = Some(Box::new(parent()));
    });
    for assignment in [bare, rounds] {
        let (reason, said) = refusal_of(assignment, &format!("{POLICY}warm_start = true\n")).await;
        assert!(reason == "INCOMPATIBLE" && said.contains("only a one-shot job starts"), "{reason}: {said}");
    }
}
