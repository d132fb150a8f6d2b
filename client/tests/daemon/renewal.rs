//! Attack 13: a coordinator answers a renewal with garbage, or with a certificate of another name, role, key
//! or authority, or of another time. The identity stays as it was, and the work goes on.

use std::sync::Arc;
use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::identity::Identity;
use eosfed_coordinator::tls::Authority;
use eosfed_proto::v1;
use eosfed_testkit::signing;
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::wire::coordinator_keys_message;

use crate::fake::Issue;
use crate::good;
use crate::world::{World, training};

const DAY: Duration = Duration::from_secs(86_400);

/// A world whose identity is due for renewal.
async fn due() -> World {
    let world = World::new(training(), &good()).await;
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
    let issued_at = Timestamp(SystemClock.now().0 - 800_000);
    let west = Identity::institution("west".parse().unwrap());
    let valid_for = Duration::from_secs(1000);
    let certificate_pem = world.authority.certify(&request_pem, &west, issued_at, valid_for).unwrap();
    let pair = KeyAndCertificate { key_pem, certificate_pem };
    world.site().replace_identity(&pair, world.authority.certificate_pem()).unwrap();
    world
}

/// Key, certificate and authority on disk.
fn identity(world: &World) -> [String; 3] {
    ["key.pem", "certificate.pem", "ca.pem"]
        .map(|name| std::fs::read_to_string(world.site().path().join(name)).unwrap())
}

/// Has renewals answered with the certificate that `issue` makes of a request.
fn answer(world: &World, ca_pem: &str, issue: impl Fn(&str) -> String + Send + 'static) {
    let ca_pem = ca_pem.to_owned();
    let issue = move |request: &str| {
        let certificate_pem = issue(request);
        let coordinator_keys = coordinator_keys_message(signing::coordinator().named());
        v1::EnrollResponse { certificate_pem, ca_pem: ca_pem.clone(), expires_at: 0, coordinator_keys }
    };
    world.fake.get().issue = Some(Issue(Box::new(issue)));
}

fn certify(authority: &Authority, request: &str, identity: &str, now: Timestamp) -> String {
    authority.certify(request, &identity.parse().unwrap(), now, DAY).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_the_one_asked_for_replaces_nothing() {
    let west = "urn:eosfed:institution:west";
    let now = SystemClock.now();
    type Lie = Box<dyn Fn(&Authority, &str) -> String + Send>;
    let lies: [(&str, Lie); 7] = [
        ("garbage", Box::new(|_, _| "no certificate".to_owned())),
        ("nothing", Box::new(|_, _| String::new())),
        ("name", Box::new(move |ca, request| certify(ca, request, "urn:eosfed:institution:east", now))),
        ("role", Box::new(move |ca, request| certify(ca, request, "urn:eosfed:operator:west", now))),
        (
            "key",
            Box::new(move |ca, _| {
                certify(ca, &KeyAndRequest::generate("west").unwrap().request_pem, west, now)
            }),
        ),
        (
            "authority",
            Box::new(move |_, request| {
                let other = Authority::open(&Authority::create(now).unwrap()).unwrap();
                certify(&other, request, west, now)
            }),
        ),
        ("time", Box::new(move |ca, request| certify(ca, request, west, Timestamp(now.0 - 86_400_000 * 3)))),
    ];
    for (what, lie) in lies {
        let world = due().await;
        let before = identity(&world);
        let authority = Arc::clone(&world.authority);
        let ca_pem = authority.certificate_pem().to_owned();
        answer(&world, &ca_pem, move |request| lie(&authority, request));
        world.run().await;
        assert!(world.fake.get().renewals > 0, "{what}");
        assert_eq!(identity(&world), before, "{what}");
        assert_eq!(world.fake.get().updates.len(), 1, "{what}: the work goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_certificate_is_taken_and_the_trusted_authority_stays() {
    let world = due().await;
    let before = identity(&world);
    let authority = Arc::clone(&world.authority);
    let now = SystemClock.now();
    let right = move |request: &str| certify(&authority, request, "urn:eosfed:institution:west", now);
    answer(&world, "another authority", right);
    world.run().await;
    let after = identity(&world);
    assert!(after[0] != before[0] && after[1] != before[1]);
    assert_eq!((after[2].as_str(), world.fake.get().renewals), (before[2].as_str(), 1));
}
