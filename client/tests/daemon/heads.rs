//! What the training of a head tells of its bands: with the word `statistics`, signed, and otherwise nothing.

use eosfed_client::site_log::Sending;
use eosfed_common::assignment::UpdateSubmission;
use eosfed_common::plan::JobKind;
use eosfed_common::weights::write;
use eosfed_testkit::assignments::{blob, training};
use eosfed_testkit::signing;

use crate::site_log::sent_update;
use crate::world::{FINISHED, POLICY, STARTED, World};

/// A policy that lets heads be trained, and these words leave.
fn policy(words: &str) -> String {
    let (_, rest) = POLICY.split_once('\n').unwrap().1.split_once('\n').unwrap();
    format!("may_leave = [{words}]\n{rest}").replace("\"rounds\"", "\"downstream\"")
}

/// What the daemon submits and notes where its trainer tells these moments.
async fn submitted(words: &str, moments: &str) -> (UpdateSubmission, Sending) {
    let head = training(JobKind::Downstream);
    let finished = FINISHED
        .replace(r#"[{"band":"red","mean":1.0,"std":2.0}]"#, "[]")
        .replace("}}}'", &format!(r#"}}}},"statistics":[{moments}]}}'"#));
    assert!(finished.contains("statistics"), "{finished}");
    let world = World::new(head.clone(), &format!("WEIGHTS=\"$0.weights\"\n{STARTED}{finished}")).await;
    let (signature, tensors) = (head.training_target.signature(), head.training_target.initial_weights(1));
    write(&world.path("trainer.weights"), &signature, &tensors).unwrap();
    world.fake.get().blobs.insert(blob().digest.to_string(), b"w".to_vec());
    world.set_policy(&policy(words));
    world.run().await;
    sent_update(&world)
}

#[tokio::test]
async fn moments_of_a_heads_bands_leave_with_their_word_only() {
    let red = r#"{"band":"red","count":90,"mean":0.25,"m2":0.5,"values":{"unit":"reflectance","low":0.0,"high":0.75}}"#;
    let (update, noted) = submitted("\"updates\", \"statistics\"", red).await;
    let told = update.statistics.clone().expect("with the word");
    assert_eq!((told.bands[0].band.as_str(), told.bands[0].count), ("red", 90));
    assert_eq!(*told.bands[0].values.unwrap().high, 0.75);
    let west = signing::institution("west").public();
    let (statement, signature) = update.statistics_statement().unwrap();
    signature.verify(&statement, &[west]).unwrap();
    // A coordinator of before does not read them, and finds the signature of the update good.
    update.signature.verify(&update.statement(), &[west]).unwrap();
    assert_eq!(noted.words, ["updates", "statistics"]);
    assert!(noted.what.contains("moments of 1 band"), "{}", noted.what);

    let (update, noted) = submitted("\"updates\"", red).await;
    assert_eq!((update.statistics, noted.words), (None, vec!["updates".to_owned()]));
    assert!(!noted.what.contains("moments"), "{}", noted.what);
    let (update, _) = submitted("\"updates\", \"statistics\"", &red.replace("red", "elsewhere")).await;
    assert_eq!(update.statistics, None, "the head has no such band");
}
