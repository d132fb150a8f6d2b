//! Updates of federated training leave with clipping and noise where the site policy demands it, within a
//! budget, and each file that leaves is charged once.

use std::time::Duration;

use eosfed_client::retry::Backoff;
use eosfed_client::site_log::EntryKind;
use eosfed_client::spent::Spent;
use eosfed_client::state::State;
use eosfed_common::assignment::{Assignment, BlobRef, Work};
use eosfed_common::files;
use eosfed_common::model::{initial_weights, signature};
use eosfed_common::plan::JobKind;
use eosfed_common::weights::WeightsFile;
use eosfed_testkit::assignments;
use eosfed_testkit::cards::classifier;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

use crate::site_log::entries;
use crate::world::{POLICY, STARTED, WEIGHTS, World, training, until};
use crate::{good, patient};

/// The demanded noise, and a budget for one update: one spends 6.12, two 9.23.
const PRIVACY: &str = "privacy = { clip = 0.5, noise_multiplier = 0.8, max_epsilon = 8, delta = 1e-5 }\n";

fn private() -> String {
    private_with("0.8", "8")
}

fn private_with(noise: &str, epsilon: &str) -> String {
    let privacy = PRIVACY.replace("noise_multiplier = 0.8", &format!("noise_multiplier = {noise}"));
    let privacy = privacy.replace("max_epsilon = 8", &format!("max_epsilon = {epsilon}"));
    format!("{privacy}{POLICY}")
}

/// A round of training from seed 9; the trainer's weights are those of seed 1.
fn round(number: u32) -> Assignment {
    let mut assignment = assignments::training(JobKind::Rounds);
    assignment.id.round = number;
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.initial_seed = 9;
    assignment
}

async fn world(script: &str) -> World {
    let world = World::new(round(0), script).await;
    world.set_policy(&private());
    world
}

/// Runs a daemon until its one assignment has ended, with randomness of its own: the noise that it would draw
/// is not the noise of other runs.
async fn run_with(world: &World, seed: u64) {
    let (_cancel, task) = world.start_with(|parts| parts.rng = ChaCha12Rng::seed_from_u64(seed));
    tokio::time::timeout(Duration::from_secs(60), task).await.expect("in time").unwrap().unwrap();
    assert_eq!(world.state(), State::default());
}

/// The file of weights that has been submitted, the only one. The beginnings of others may have arrived, as a
/// killed daemon leaves them.
fn arrived(world: &World) -> Vec<u8> {
    let inner = world.fake.get();
    assert_eq!(inner.updates.len(), 1);
    let update = inner.updates.values().next().unwrap();
    inner.blobs[&update.weights.as_ref().unwrap().digest].clone()
}

/// What is seen of the step that was sent.
struct Step {
    /// Its L2 norm.
    norm: f64,
    /// Its part in the direction of the trained step.
    along: f64,
    /// The norm of the trained step.
    trained: f64,
    /// The number of its elements.
    elements: f64,
}

fn step(world: &World, bytes: &[u8]) -> Step {
    let path = world.path("arrived");
    std::fs::write(&path, bytes).unwrap();
    let (sent, trained) = (WeightsFile::open(&path).unwrap(), WeightsFile::open(&WEIGHTS.1).unwrap());
    let (signature, base) = (signature(&classifier()), initial_weights(&classifier(), 9));
    let (sent, trained) = (sent.check(&signature).unwrap(), trained.check(&signature).unwrap());
    let mut sums = [0.0; 3];
    for name in signature.0.keys() {
        let (sent, trained) = (sent.values(name), trained.values(name));
        for ((sent, trained), base) in sent.iter().zip(trained.iter()).zip(&base[name]) {
            let (step, wanted) = (f64::from(sent) - f64::from(*base), f64::from(trained) - f64::from(*base));
            sums[0] += step * step;
            sums[1] += step * wanted;
            sums[2] += wanted * wanted;
        }
    }
    let [squared, product, wanted] = sums;
    let (norm, trained) = (squared.sqrt(), wanted.sqrt());
    Step { norm, along: product / trained, trained, elements: signature.parameters() as f64 }
}

#[tokio::test]
async fn an_update_leaves_clipped_and_with_noise_and_is_charged() {
    let world = world(&good()).await;
    world.run().await;
    let sent = arrived(&world);
    assert_ne!(sent, std::fs::read(&WEIGHTS.1).unwrap(), "what was trained stays here");
    let Step { norm, along, trained, elements } = step(&world, &sent);
    let noise = 0.8 * 0.5 * elements.sqrt();
    assert!((norm / noise - 1.0).abs() < 5e-3, "{norm}, of noise {noise}");
    // In one direction, the noise has its deviation of 0.4, and the clipped step its length of 0.5.
    assert!(trained > 20.0 && (along - 0.5).abs() < 6.0 * 0.4, "{along} of {trained}");
    let spending = world.site().spending().unwrap();
    let charge = &spending.updates()[0];
    assert_eq!((spending.updates().len(), charge.assignment.to_string()), (1, round(0).id.to_string()));
    let inner = world.fake.get();
    let update = inner.updates.values().next().unwrap();
    assert_eq!(update.weights.as_ref().unwrap().digest, charge.digest.to_string());
    let noted = entries(&world).into_iter().find_map(|entry| match entry.kind {
        EntryKind::NoiseAdded { digest, spending, .. } => Some((digest, spending)),
        _ => None,
    });
    let (digest, words) = noted.expect("the site log has it");
    assert!(digest == charge.digest && words.contains("from 0.00 to 6.12 of 8"), "{words}");
    let epsilon = spending.epsilon(1e-5);
    assert!((epsilon - 6.122_757_86).abs() < 1e-6, "{epsilon}");
}

#[tokio::test]
async fn work_beyond_the_budget_is_declined_with_numbers() {
    let world = world(&good()).await;
    world.run().await;
    world.fake.get().assignment = Some(round(1));
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let said = world.fake.get().refusals[0].clone();
    assert_eq!(said.reason, "POLICY");
    assert!(said.message.contains("from 6.12 to 9.23 of 8 (delta 1e-5)"), "{}", said.message);
    assert_eq!(world.fake.get().updates.len(), 1);
    // A larger budget has room for it, and what was spent stays spent.
    world.set_policy(&private_with("0.8", "9.5"));
    world.fake.get().assignment = Some(round(1));
    run_with(&world, 71).await;
    let spending = world.site().spending().unwrap();
    assert!((spending.epsilon(1e-5) - 9.234_958_99).abs() < 1e-6 && spending.updates().len() == 2);
}

#[tokio::test]
async fn an_update_that_is_sent_again_after_a_kill_is_the_same_file_and_charged_once() {
    let world = world(&good()).await;
    world.fake.get().upload_pause = Duration::from_millis(100);
    world.crash_when(|| !world.fake.get().partial.is_empty()).await;
    assert_eq!(world.state().name(), "submitting");
    let spending = world.site().spending().unwrap();
    let digest = spending.updates()[0].digest;
    world.fake.get().upload_pause = Duration::ZERO;
    run_with(&world, 71).await;
    assert_eq!(files::digest(&arrived_file(&world)).unwrap(), digest);
    assert_eq!(world.site().spending().unwrap(), spending, "charged once");
}

fn arrived_file(world: &World) -> std::path::PathBuf {
    let path = world.path("arrived");
    std::fs::write(&path, arrived(world)).unwrap();
    path
}

#[tokio::test]
async fn a_kill_between_the_record_and_the_journal_draws_no_new_noise() {
    let world = world(&good()).await;
    world.fake.get().upload_pause = Duration::from_millis(100);
    world.crash_when(|| !world.fake.get().partial.is_empty()).await;
    let spending = world.site().spending().unwrap();
    // The journal as it was before it knew of the file with noise.
    let path = world.site().path().join("journal.json");
    let mut journal: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let update = &mut journal["outcome"]["update"];
    let trained = world.site().folder(&round(0).id).join("weights.safetensors");
    let bytes = std::fs::read(&trained).unwrap();
    update["file"] = trained.display().to_string().into();
    update["weights"] = serde_json::to_value(BlobRef::of(&bytes)).unwrap();
    update.as_object_mut().unwrap().remove("mechanism").unwrap();
    std::fs::write(&path, serde_json::to_vec(&journal).unwrap()).unwrap();
    world.fake.get().upload_pause = Duration::ZERO;
    run_with(&world, 71).await;
    assert_eq!(files::digest(&arrived_file(&world)).unwrap(), spending.updates()[0].digest);
    assert_eq!(world.site().spending().unwrap(), spending);
}

#[tokio::test]
async fn the_same_assignment_offered_again_is_another_update_and_costs_again() {
    let world = world(&good()).await;
    world.set_policy(&private_with("0.8", "100"));
    for seed in [71, 72] {
        world.fake.get().assignment = Some(round(0));
        run_with(&world, seed).await;
    }
    let spending = world.site().spending().unwrap();
    let updates = spending.updates();
    assert_eq!((updates.len(), world.fake.get().updates.len()), (2, 2));
    assert_ne!(updates[0].digest, updates[1].digest);
    assert_eq!(updates[0].assignment, updates[1].assignment);
}

#[tokio::test]
async fn weights_that_were_trained_before_the_policy_demanded_noise_get_it() {
    let world = World::new(round(0), &patient()).await;
    let (_cancel, task) = world.start();
    until(|| world.state().name() == "training").await;
    world.set_policy(&private());
    std::fs::write(world.path("go"), "").unwrap();
    task.await.unwrap().unwrap();
    assert_ne!(arrived(&world), std::fs::read(&WEIGHTS.1).unwrap());
    assert_eq!(world.site().spending().unwrap().updates().len(), 1);
}

#[tokio::test]
async fn an_upload_without_noise_is_cut_off_when_the_policy_demands_it() {
    let world = World::new(round(0), &good()).await;
    world.fake.get().upload_pause = Duration::from_millis(100);
    let (_cancel, task) = world.start();
    until(|| !world.fake.get().partial.is_empty()).await;
    world.set_policy(&private());
    until(|| !world.site().spending().unwrap().updates().is_empty()).await;
    world.fake.get().upload_pause = Duration::ZERO;
    task.await.unwrap().unwrap();
    let spending = world.site().spending().unwrap();
    let inner = world.fake.get();
    let update = inner.updates.values().next().unwrap();
    assert_eq!(update.weights.as_ref().unwrap().digest, spending.updates()[0].digest.to_string());
    let trained = files::digest(&WEIGHTS.1).unwrap().to_string();
    assert!(!inner.blobs.contains_key(&trained), "the trained weights have not arrived");
}

/// A daemon that has added noise while the coordinator was away.
async fn with_noise() -> World {
    let world = world(&patient()).await;
    let (cancel, task) = world.start();
    until(|| world.state().name() == "training").await;
    world.fake.get().down = true;
    std::fs::write(world.path("go"), "").unwrap();
    until(|| world.site().spending().is_ok_and(|spending| !spending.updates().is_empty())).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    world.fake.get().down = false;
    world
}

fn assert_withheld(world: &World, words: &str) {
    let inner = world.fake.get();
    assert_eq!((inner.updates.len(), inner.blobs.len()), (0, 0), "{:?}", inner.refusals);
    assert!(inner.refusals[0].message.contains(words), "{:?}", inner.refusals);
    let kept = world.site().withheld(&round(0).id);
    assert_eq!(
        files::digest(&kept).unwrap(),
        files::digest(&WEIGHTS.1).unwrap(),
        "the trained weights are kept"
    );
}

#[tokio::test]
async fn more_noise_demanded_than_an_update_has_keeps_it_here() {
    let world = with_noise().await;
    world.set_policy(&private_with("1.5", "8"));
    world.run().await;
    assert_withheld(&world, "noise multiplier 1.5");
}

#[tokio::test]
async fn a_budget_that_was_lowered_keeps_an_update_here() {
    let world = with_noise().await;
    world.set_policy(&private_with("0.8", "5"));
    world.run().await;
    assert_withheld(&world, "`privacy.max_epsilon` is 5");
}

#[tokio::test]
async fn a_budget_that_is_lowered_between_two_tries_keeps_an_update_here() {
    let world = world(&patient()).await;
    // Heartbeats see the change settle between two tries.
    let slow = Duration::from_secs(8);
    let (_cancel, task) =
        world.start_with(|parts| parts.intervals.backoff = Backoff { first: slow, limit: slow });
    until(|| world.state().name() == "training").await;
    world.fake.get().down = true;
    std::fs::write(world.path("go"), "").unwrap();
    until(|| world.site().spending().is_ok_and(|spending| !spending.updates().is_empty())).await;
    // The first try has failed, and the next one follows after half of `slow` at the earliest.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.set_policy(&private_with("0.8", "5"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.fake.get().down = false;
    task.await.unwrap().unwrap();
    assert_withheld(&world, "`privacy.max_epsilon` is 5");
}

#[tokio::test]
async fn nothing_private_is_sent_while_the_record_of_what_was_spent_is_damaged() {
    let world = with_noise().await;
    let path = world.site().path().join("privacy.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (cancel, task) = world.start();
    until(|| world.state().wait().is_some()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.state().wait().unwrap().condition.message.contains("is damaged"));
    assert!(world.fake.get().updates.is_empty());
    std::fs::write(&path, &whole).unwrap();
    task.await.unwrap().unwrap();
    drop(cancel);
    assert_eq!(world.fake.get().updates.len(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[tokio::test]
async fn a_record_that_was_deleted_brings_no_new_budget() {
    let world = world(&good()).await;
    world.set_policy(&private_with("0.8", "100"));
    world.run().await;
    let path = world.site().spending_file();
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    // A daemon that is started after that, and one that runs while it happens.
    world.fake.get().tokens.clear();
    world.fake.get().assignment = Some(round(1));
    let (cancel, task) =
        world.start_with(|parts| parts.intervals.condition_timeout = Duration::from_millis(300));
    until(|| world.state().wait().is_some()).await;
    let said = world.state().wait().unwrap().condition.message.clone();
    let numbers = "has 0 updates with noise, and the site log has 1 that were sent";
    assert!(said.contains(numbers) && said.contains("privacy rebuild"), "{said}");
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    {
        let inner = world.fake.get();
        assert!(inner.tokens.is_empty() && inner.updates.len() == 1, "{:?}", inner.refusals);
        assert_eq!(inner.refusals[0].reason, "POLICY");
    }
    assert!(!path.exists(), "the daemon makes no new one");
    // The log is enough to make it again.
    let rebuilt = Spent::new(&world.site()).rebuild(false).unwrap();
    // It was written to the log a moment later than to the record.
    let but_the_time = |bytes: &[u8]| {
        let mut record: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        record["updates"][0].as_object_mut().unwrap().remove("at").unwrap();
        record
    };
    let again = std::fs::read(&path).unwrap();
    assert_eq!((rebuilt.added, but_the_time(&again)), (1, but_the_time(&whole)));
    world.fake.get().assignment = Some(round(1));
    run_with(&world, 71).await;
    assert_eq!(world.site().spending().unwrap().updates().len(), 2);
}

#[tokio::test]
async fn a_record_that_is_deleted_while_an_update_is_sent_stops_the_next_try() {
    let world = with_noise().await;
    world.fake.get().upload_pause = Duration::from_millis(50);
    let (_cancel, task) = world.start();
    until(|| !world.fake.get().partial.is_empty()).await;
    let path = world.site().spending_file();
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    world.fake.get().down = true;
    world.fake.get().upload_pause = Duration::ZERO;
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.fake.get().down = false;
    until(|| world.state().wait().is_some()).await;
    assert!(world.fake.get().updates.is_empty() && !path.exists());
    std::fs::write(&path, whole).unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn an_offer_waits_while_the_record_of_what_was_spent_is_damaged() {
    let world = world(&good()).await;
    world.site().write("privacy.json", b"{").unwrap();
    let (cancel, task) = world.start();
    until(|| world.state().wait().is_some()).await;
    assert!(world.fake.get().tokens.is_empty(), "nothing is accepted");
    cancel.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn weights_without_noise_are_declined_before_they_are_trained() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&private());
    let (cancel, task) = world.start();
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let inner = world.fake.get();
    assert!(inner.refusals[0].message.contains("without noise") && inner.tokens.is_empty());
}

#[tokio::test]
async fn without_the_weights_that_training_started_from_nothing_leaves() {
    let base = std::fs::read(&WEIGHTS.1).unwrap();
    let blob = BlobRef::of(&base);
    let mut assignment = round(0);
    let Work::Training(work) = &mut assignment.work else { unreachable!() };
    work.base = Some(blob);
    let script = format!("{STARTED}rm \"$out/base.safetensors\"\n{}", crate::world::FINISHED);
    let world = World::new(assignment, &script).await;
    world.set_policy(&private());
    world.fake.get().blobs.insert(blob.digest.to_string(), base);
    world.run().await;
    let inner = world.fake.get();
    assert!(
        inner.updates.is_empty() && inner.failures[0].contains("cannot get its noise: [path]: No such file"),
        "{:?}",
        inner.failures
    );
    assert!(world.site().spending().unwrap().updates().is_empty());
}

#[tokio::test]
async fn a_step_that_is_not_finite_stays_here() {
    let bad = WEIGHTS.2.display();
    let script = format!("{STARTED}WEIGHTS={bad}\n{}", crate::world::FINISHED);
    let world = world(&script).await;
    world.run().await;
    let inner = world.fake.get();
    assert!(inner.updates.is_empty() && inner.blobs.is_empty());
    assert!(inner.failures[0].contains("NaN"), "{:?}", inner.failures);
    assert!(world.site().spending().unwrap().updates().is_empty());
}
