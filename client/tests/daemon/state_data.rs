//! The data statement leaves with its word, signed, and is made again when the data set has changed.

use eosfed_client::site_log::{EntryKind, Record};
use eosfed_common::data_statement::{PartSizes, SignedDataStatement};
use eosfed_data::{Raster, write_geotiff};
use eosfed_testkit::signing;
use eosfed_transport::wire::Wire as _;

use crate::good;
use crate::site_log::entries;
use crate::world::{POLICY, World, training, until};

/// The policy with more words.
fn with_words(words: &str) -> String {
    POLICY.replace("\"failures\"]", &format!("\"failures\", {words}]"))
}

/// What the coordinator was told.
fn stated(world: &World) -> Vec<SignedDataStatement> {
    let told = world.fake.get().statements.clone();
    told.into_iter().map(|told| SignedDataStatement::from_message(told).unwrap()).collect()
}

#[tokio::test]
async fn without_the_word_nothing_is_stated() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&with_words("\"class_names\""));
    world.run().await;
    assert_eq!(stated(&world), []);
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_statement_is_signed_and_has_the_names_of_classes_by_their_word_only() {
    for (words, classes) in
        [("\"data_statement\"", &[][..]), ("\"data_statement\", \"class_names\"", &["a", "b"])]
    {
        let world = World::new(training(), &good()).await;
        world.set_policy(&with_words(words));
        world.run().await;
        let [SignedDataStatement { statement, signature }] = <[_; 1]>::try_from(stated(&world)).unwrap();
        signature.verify(&statement, &[signing::institution("west").public()]).unwrap();
        assert_eq!(statement.classes, classes);
        assert_eq!((statement.institution.as_str(), &statement.bands[..]), ("west", &["red".to_owned()][..]));
        let PartSizes { training, validation, test } = statement.samples;
        assert!(training > validation && validation > 0, "{statement:?}");
        assert_eq!((training + validation, test), (24, 0));
        let noted = entries(&world).into_iter().find_map(|entry| match entry.kind {
            EntryKind::Sent(sent) if sent.record == Record::DataStatement => Some(sent.words),
            _ => None,
        });
        assert_eq!(noted.unwrap().len(), words.split(',').count());
        assert_eq!(world.fake.get().updates.len(), 1);
    }
}

#[tokio::test]
async fn a_coordinator_of_before_there_were_statements_gets_work_done() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&with_words("\"data_statement\""));
    world.fake.get().no_statements = true;
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
}

#[tokio::test]
async fn a_data_set_that_has_grown_is_stated_again_and_the_open_round_is_declined() {
    let world = World::new(training(), &good()).await;
    world.set_policy(&with_words("\"data_statement\""));
    let offer = world.fake.get().assignment.take();
    let (cancel, task) = world.start();
    until(|| world.fake.get().statements.len() == 1).await;
    for image in 0..12 {
        let raster = Raster { width: 8, height: 8, bands: 1, data: vec![7.0; 64], reference: None };
        let path = world.path("imagery").join(format!("images/a/more{image}.tif"));
        write_geotiff(&path, &raster).unwrap();
    }
    world.fake.get().assignment = offer;
    until(|| !world.fake.get().refusals.is_empty()).await;
    cancel.cancel();
    task.await.unwrap().unwrap();
    let [before, after] = <[_; 2]>::try_from(stated(&world)).unwrap().map(|one| one.statement);
    assert!(after.samples.training > before.samples.training && after.inventory != before.inventory);
    let refusal = world.fake.get().refusals[0].clone();
    let numbers = format!("from {} to {} samples", before.samples.training, after.samples.training);
    assert!(refusal.reason == "DATA_UNFIT" && refusal.message.contains(&numbers), "{refusal:?}");
    assert_eq!(world.fake.get().updates.len(), 0);
}
