use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::finite::Finite;
use crate::head::HeadOver;
use crate::signing::UpdateStatement;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// The release of the test kit with a one-shot specialist of west, signed.
fn release() -> ReleaseManifest {
    let document = include_bytes!("../../../tests/kit/documents/head.json");
    let mut release = HeadOver::from_bytes(document).unwrap().release;
    let card = &mut release.specialists[0];
    card.provenance.mode = TrainingMode::OneShot;
    card.provenance.institutions.truncate(1);
    let assignment = format!("{}.0.1.west", card.provenance.job).parse().unwrap();
    let statement = UpdateStatement::of(&assignment, (card.weights, card.weights_bytes), &"report");
    card.updates = vec![SignedUpdate::new(statement, &key(2))];
    card.sign(&key(1));
    release.sign(Some(EventRef { sequence: 7, hash: Digest::of(b"event") }), &key(1));
    release
}

fn known() -> [PublicKey; 1] {
    [key(1).public()]
}

/// With every signature of the coordinator made anew.
fn signed_again(mut release: ReleaseManifest) -> ReleaseManifest {
    release.specialists[0].sign(&key(1));
    let head = release.ledger_event();
    release.sign(head, &key(1));
    release
}

#[test]
fn a_release_is_verified_and_reads_back_from_json() {
    assert_eq!(release().verify(&known(), false), Ok(Vec::new()));
    let json = serde_json::to_string_pretty(&release()).unwrap();
    let again: ReleaseManifest = serde_json::from_str(&json).unwrap();
    assert_eq!((again.verify(&known(), false), again.ledger_event().unwrap().sequence), (Ok(Vec::new()), 7));
    let other = release().verify(&[key(9).public()], false).unwrap_err().to_string();
    assert!(other.starts_with("release 1: it is signed with the key"), "{other}");
}

#[test]
fn the_first_thing_wrong_is_named() {
    type Change = fn(&mut ReleaseManifest);
    let cases: [(&str, Change); 4] = [
        ("release 1: the signature", |release| release.note.push('!')),
        ("release 1: the signature", |release| release.ledger = None),
        ("release 1: the signature", |release| release.institution_keys.clear()),
        ("release 1: the signature", |release| {
            release.specialists[0].metrics.insert("miou".to_owned(), Finite::literal(0.9));
        }),
    ];
    for (words, change) in cases {
        let mut bad = release();
        change(&mut bad);
        let said = bad.verify(&known(), true).unwrap_err().to_string();
        assert!(said.starts_with(words), "{said}");
    }
    // The coordinator signs what institutions have not.
    let cases: [(&str, Change); 5] = [
        ("of the weights", |release| release.specialists[0].weights_bytes += 1),
        ("of job j-00000000", |release| {
            release.specialists[0].provenance.job = "j-00000000".parse().unwrap();
        }),
        ("of one of east", |release| {
            release.specialists[0].provenance.institutions = vec!["east".parse().unwrap()];
        }),
        ("does not fit the update", |release| {
            release.specialists[0].updates[0].statement.report = Digest::of(b"other");
        }),
        ("has one signed update of its institution, found 0", |release| {
            release.specialists[0].updates.clear();
        }),
    ];
    for (words, change) in cases {
        let mut bad = release();
        change(&mut bad);
        let said = signed_again(bad).verify(&known(), true).unwrap_err().to_string();
        assert!(said.starts_with("the card of `west@1`: ") && said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_has_no_signature_is_refused_unless_that_is_allowed_and_a_false_one_always() {
    let mut old = release();
    old.signature = None;
    old.specialists[0].signature = None;
    let said = old.verify(&known(), false).unwrap_err().to_string();
    assert!(said.starts_with("release 1 is not signed"), "{said}");
    assert_eq!(old.verify(&known(), true).unwrap().len(), 2);
    let mut forged = release();
    forged.signature = Some(key(9).sign(&ReleaseStatement(&forged)));
    assert!(forged.verify(&known(), true).is_err());
}

#[test]
fn the_signature_of_a_card_is_none_of_a_release() {
    let release = release();
    let card = release.specialists[0].signature.unwrap();
    let forged = ReleaseManifest { signature: Some(card), ..release };
    assert!(forged.verify_signature(&known()).is_err());
}

proptest! {
    /// One changed byte of the JSON is refused, or is in the white space between its members.
    #[test]
    fn a_changed_byte_of_a_manifest_is_noticed(place in any::<usize>(), byte in any::<u8>()) {
        let json = serde_json::to_vec(&release()).unwrap();
        let mut changed = json.clone();
        changed[place % json.len()] = byte;
        if let Ok(read) = serde_json::from_slice::<ReleaseManifest>(&changed)
            && read != release()
        {
            prop_assert!(read.verify(&known(), false).is_err(), "{}", String::from_utf8_lossy(&changed));
        }
    }
}
