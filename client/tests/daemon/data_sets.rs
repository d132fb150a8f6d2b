//! Several data sets of a site: what is stated of them, and which of them a person approves work on.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use eosfed_client::daemon::{Parts, Programs};
use eosfed_client::data_sets::{DataSets, NamedDataSet};
use eosfed_client::egress::{DataSetPolicyFile, PolicySource};
use eosfed_client::jobs::{self, JobsQuery};
use eosfed_client::policy::{GivenApproval, Terms};
use eosfed_client::site_log::EntryKind;
use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::{DataStatement, SignedDataStatement};
use eosfed_common::ids::DataSetName;
use eosfed_common::plan::JobKind;
use eosfed_testkit::{assignments, signing};
use eosfed_transport::wire::Wire as _;

use crate::good;
use crate::site_log::entries;
use crate::world::{POLICY, World, imagery, training, until};

/// The policy with the word for statements.
fn open() -> String {
    POLICY.replace("\"failures\"]", "\"failures\", \"data_statement\"]")
}

/// The imagery of the world as `coast`, and `inland`, which has other classes, fewer samples and this policy.
fn two(world: &World, policy: Option<&str>) -> impl FnOnce(&mut Parts<Programs>) + use<> {
    let folder = world.path("second");
    fs::create_dir_all(&folder).unwrap();
    imagery(&folder, 32);
    let inland = folder.join("imagery");
    for class in ["a", "b"] {
        (6..12)
            .for_each(|at| fs::remove_file(inland.join(format!("images/{class}/{class}{at}.tif"))).unwrap());
        fs::rename(inland.join("images").join(class), inland.join("images").join(class.repeat(2))).unwrap();
    }
    let description = inland.join("dataset.toml");
    let text = fs::read_to_string(&description).unwrap().replace("\"a\", \"b\"", "\"aa\", \"bb\"");
    fs::write(description, text).unwrap();
    let own = world.path("inland-policy.toml");
    let policy = policy.map(|text| {
        fs::write(&own, text).unwrap();
        own
    });
    let of = |name: &str, path, policy| NamedDataSet { name: name.parse().unwrap(), path, policy };
    let all = vec![of("coast", world.path("imagery"), None), of("inland", inland, policy)];
    let site = world.site().policy();
    let joined = all.iter().map(|one| {
        let own = one
            .policy
            .clone()
            .map(|own| Arc::new(DataSetPolicyFile { site: site.clone(), own }) as Arc<dyn PolicySource>);
        (one.name.clone(), own)
    });
    let policies: BTreeMap<_, _> = joined.collect();
    move |parts| {
        parts.imagery.dataset = DataSets::Several(all.clone());
        parts.task.dataset = DataSets::Several(all);
        parts.data_set_policies = policies;
    }
}

/// What is stated of two data sets, of which the second has this policy.
async fn stated(policy: Option<&str>) -> Vec<DataStatement> {
    let world = World::new(training(), &good()).await;
    world.set_policy(&open());
    let (_cancel, task) = world.start_with(two(&world, policy));
    task.await.unwrap().unwrap();
    assert_eq!(world.fake.get().updates.len(), 1, "work on the one that fits is done");
    let told = world.fake.get().statements.clone();
    let told = told.into_iter().map(|told| {
        let SignedDataStatement { statement, signature } = SignedDataStatement::from_message(told).unwrap();
        signature.verify(&statement, &[signing::institution("west").public()]).unwrap();
        statement
    });
    told.collect()
}

#[tokio::test]
async fn each_data_set_is_stated_under_its_name_as_its_policy_says() {
    let [both] = <[_; 1]>::try_from(stated(None).await).unwrap();
    let named: Vec<_> =
        both.all().map(|one| (one.dataset, one.samples.training + one.samples.validation)).collect();
    assert_eq!(named, [("coast".to_owned(), 24), ("inland".to_owned(), 12)]);
    assert!(!both.partial && both.largest() == both.samples);
    // Its own policy lacks the word.
    let [coast] = <[_; 1]>::try_from(stated(Some(POLICY)).await).unwrap();
    assert_eq!((coast.dataset.as_str(), &coast.further[..], coast.partial), ("coast", &[][..], true));
    assert_eq!(coast.samples, both.samples);
}

#[tokio::test]
async fn an_approval_is_for_the_data_set_that_was_chosen() {
    let assignment = assignments::training(JobKind::Rounds);
    let world = World::new(assignment.clone(), &good()).await;
    world.set_policy(&POLICY.replace("\"automatic\"", "\"manual\""));
    let (_cancel, task) = world.start_with(two(&world, None));
    let job = assignment.id.job.clone();
    until(|| world.site().offer(&job).unwrap().is_some()).await;
    let terms = world.site().offer(&job).unwrap().unwrap();
    let words = terms.words().join("\n");
    assert!(words.contains("reads the data set `coast`"), "{words}");
    let all = JobsQuery { job: String::new(), statuses: Vec::new(), since: None, most: 10 };
    let listed = jobs::read(&world.site(), &all, Timestamp(0)).unwrap().jobs;
    assert_eq!(listed[0].data_set.as_ref().map(DataSetName::as_str), Some("coast"));
    let approve = |terms: &Terms| {
        let given = GivenApproval {
            terms: terms.digest(),
            rounds: 2,
            until: Timestamp(u64::MAX),
            by: "ada".to_owned(),
            at: Timestamp(7),
        };
        world.site().approve(&given).unwrap();
    };
    // Of no data set, and of another one.
    approve(&Terms::of(&assignment));
    approve(&terms.clone().reading(Some(&"inland".parse().unwrap())));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(world.state().held().is_none() && world.fake.get().updates.is_empty());
    approve(&terms);
    task.await.unwrap().unwrap();
    let accepted = entries(&world).into_iter().find_map(|entry| match entry.kind {
        EntryKind::Accepted { dataset, approval } => {
            Some((dataset.unwrap().to_string(), approval.unwrap().by))
        }
        _ => None,
    });
    assert_eq!(accepted, Some(("coast".to_owned(), "ada".to_owned())));
}
