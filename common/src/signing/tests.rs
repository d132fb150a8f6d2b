use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn update() -> UpdateStatement {
    UpdateStatement {
        assignment: "j-0a1b2c3d.1.2.west".parse().unwrap(),
        weights: Digest::of(b"w"),
        weights_bytes: 1,
        report: Digest::of(b"r"),
    }
}

/// RFC 8032, section 7.1, test 1: the key and the signature of no bytes.
#[test]
fn keys_and_signatures_are_those_of_the_standard() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let key = SigningKey::from_seed(key::digits(seed).unwrap());
    let public = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(key.public().to_string(), public);
    let value = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(hex::encode(key.sign_bytes(b"")), value);
}

/// The bytes that are signed are written down here: a change of them makes every earlier signature worthless.
#[test]
fn the_bytes_of_a_statement_are_these() {
    let expected = "eosfed succession v1\n{\"key\":\"ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\"}";
    assert_eq!(String::from_utf8(bytes(&SuccessionStatement { key: key(1).public() })).unwrap(), expected);
    let text = String::from_utf8(bytes(&update())).unwrap();
    assert!(
        text.starts_with("eosfed update v1\n{\"assignment\":\"j-0a1b2c3d.1.2.west\",\"report\":"),
        "{text}"
    );
}

#[test]
fn a_signature_is_of_one_key_one_statement_and_one_kind() {
    let (signature, keys) = (key(1).sign(&update()), [key(1).public()]);
    assert_eq!(signature.verify(&update(), &keys), Ok(()));
    assert_eq!(key(1).sign(&update()), signature, "it is the same each time");
    let other = signature.verify(&update(), &[key(2).public()]).unwrap_err().to_string();
    assert!(other.contains(&key(2).public().to_string()), "{other}");
    let changed = UpdateStatement { weights_bytes: 2, ..update() };
    assert!(matches!(signature.verify(&changed, &keys), Err(BadSignature::Wrong { kind: "update", .. })));
    // The same content under another kind.
    struct Other(UpdateStatement);
    impl Statement for Other {
        const KIND: &'static str = "other";

        fn content(&self) -> Value {
            self.0.content()
        }
    }
    assert!(signature.verify(&Other(update()), &keys).is_err());
}

#[test]
fn keys_and_signatures_read_back_from_text_and_private_keys_are_not_printed() {
    let signature = key(1).sign(&update());
    assert_eq!(signature.to_string().parse(), Ok(signature));
    assert_eq!(key(1).public().to_string().parse(), Ok(key(1).public()));
    let text = key(1).to_file().expose().to_owned();
    assert_eq!(SigningKey::from_file(&text).unwrap().public(), key(1).public());
    assert!(!format!("{:?}", key(1)).contains("0101") && SigningKey::from_file(&text[..70]).is_err());
    for bad in ["", "ed25519:", "ed25519:00", &key(1).public().to_string().to_uppercase(), "rsa:00"] {
        assert_eq!(bad.parse::<PublicKey>(), Err(InvalidKey::Form), "{bad}");
        assert!(bad.parse::<KeySignature>().is_err(), "{bad}");
    }
}

/// With the key of the neutral point, one signature fits every message: `ring` verifies it.
#[test]
fn keys_of_small_order_are_refused() {
    let neutral = format!("01{}", "00".repeat(31));
    let point: [u8; 32] = key::digits(&neutral).unwrap();
    let forged: [u8; 64] = key::digits(&format!("{neutral}{}", "00".repeat(32))).unwrap();
    for message in ["one", "another"] {
        let verified = UnparsedPublicKey::new(&ED25519, &point).verify(message.as_bytes(), &forged);
        assert!(verified.is_ok(), "why the list is needed");
    }
    for last in ["00", "80"] {
        let text = format!("ed25519:01{}{last}", "00".repeat(30));
        assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey::SmallOrder));
    }
}

#[test]
fn a_new_key_of_a_coordinator_counts_if_a_known_one_has_signed_it() {
    let named = |keys: &[u8]| {
        let mut list = vec![CoordinatorKey::first(key(keys[0]).public())];
        list.extend(keys.windows(2).map(|two| CoordinatorKey::following(key(two[1]).public(), &key(two[0]))));
        list
    };
    let joined = PinnedKeys::default().extended(&named(&[1, 2])).unwrap();
    assert_eq!(joined.0, [key(1).public(), key(2).public()]);
    let rotated = joined.extended(&named(&[1, 2, 3, 4])).unwrap();
    assert_eq!(rotated.0.len(), 4);
    assert_eq!(rotated.extended(&named(&[4])), Ok(rotated.clone()), "known keys stay");
    assert_eq!(joined.extended(&named(&[9])), Err(NotEndorsed(key(9).public())));
    let forged = [CoordinatorKey { key: key(9).public(), endorsement: named(&[1, 2])[1].endorsement }];
    assert_eq!(
        joined.extended(&forged),
        Err(NotEndorsed(key(9).public())),
        "the signature is of another key"
    );
    let many: Vec<u8> = (1..40).collect();
    assert!(PinnedKeys::default().extended(&named(&many)).unwrap().0.len() <= MAX_KEYS);
}

proptest! {
    #[test]
    fn a_changed_byte_of_a_statement_or_of_a_signature_is_noticed(place in any::<usize>(), flip in 1_u8..) {
        let signature = key(1).sign(&update());
        let text = bytes(&update());
        let verify = |text: &[u8], value: &[u8; 64]| {
            UnparsedPublicKey::new(&ED25519, signature.key.bytes()).verify(text, value).is_ok()
        };
        prop_assert!(verify(&text, &signature.value));
        let mut changed = text.clone();
        changed[place % text.len()] ^= flip;
        prop_assert!(!verify(&changed, &signature.value));
        let mut value = signature.value;
        value[place % 64] ^= flip;
        prop_assert!(!verify(&text, &value));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,220}") {
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<KeySignature>();
        let _ = SigningKey::from_file(&text);
    }
}
