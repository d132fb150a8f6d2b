//! Short texts that people and programs hand over: join tokens, ids, hours, certificates and requests
//! for them, and a proxy's answers.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use eosfed_client::policy::Hours;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName, JobId, LeaseToken, SpecialistName};
use eosfed_common::refusal::Reason;
use eosfed_common::secret::Secret;
use eosfed_coordinator::domain::registry::SpecialistRef;
use eosfed_coordinator::tls::Authority;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::join::JoinToken;
use eosfed_transport::keys::KeyAndRequest;
use eosfed_transport::proxy::{Answer, Proxy, answer};

use crate::target::Seeds;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::open(&Authority::create(NOW).unwrap()).unwrap());

/// What parses is written so that it parses to the same again.
fn same<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> bool {
    same_as(text, T::to_string)
}

fn same_as<T: FromStr<Err: Debug> + PartialEq + Debug>(text: &str, write: impl Fn(&T) -> String) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(write(&value).parse::<T>().unwrap(), value, "of {text:?}");
    true
}

fn identity() -> Identity {
    Identity::institution("west".parse().unwrap())
}

/// A text, or a certificate.
pub fn text(bytes: &[u8]) -> bool {
    let certificate = Certificate::of_der(bytes).is_ok();
    let from_proxy = match answer(bytes) {
        Answer::Unfinished | Answer::Unknown => false,
        Answer::Status(status) => {
            assert!((100..600).contains(&status));
            assert!(
                bytes.ends_with(b"\r\n\r\n") || !(200..300).contains(&status),
                "nothing of a tunnel is lost"
            );
            true
        }
    };
    let Ok(text) = str::from_utf8(bytes) else { return certificate || from_proxy };
    let ids = [
        same::<AssignmentId>(text),
        same::<JobId>(text),
        same::<InstitutionName>(text),
        same::<SpecialistName>(text),
        same::<Digest>(text),
        same::<Identity>(text),
        same_as(text, JoinToken::expose),
        same::<Reason>(text),
        same::<Hours>(text),
        same::<SpecialistRef>(text),
    ];
    let others = [
        text.parse::<LeaseToken>().is_ok(),
        text.parse::<IdempotencyKey>().is_ok(),
        Proxy::new(text, None).is_ok(),
        text.contains("BEGIN") && AUTHORITY.certify(text, &identity(), NOW, DAY).is_ok(),
    ];
    certificate || from_proxy || ids.contains(&true) || others.contains(&true)
}

pub(crate) fn seeds() -> Seeds {
    let token = JoinToken {
        institution: "west".parse().unwrap(),
        role: Role::Institution,
        url: "https://127.0.0.1:7443".to_owned(),
        ca_pem: AUTHORITY.certificate_pem().to_owned(),
        secret: Secret::new("5ec7".repeat(16)),
    };
    let request = KeyAndRequest::generate("west").unwrap().request_pem;
    let certificate = AUTHORITY.certify(&request, &identity(), NOW, DAY).unwrap();
    let der = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap().1.contents;
    let digest = Digest::of(b"x").to_string();
    let mut good: Vec<Vec<u8>> = [
        &token.expose(),
        &request,
        &digest,
        "j-0a1b2c3d.1.2.west",
        "j-0a1b2c3d",
        "west",
        "urn:eosfed:operator:admin",
        "ROUND_CLOSED",
        "0123456789abcdef0123456789abcdef",
        "west-rgb@3",
        "22:00-06:00",
        "http://proxy.example.org:3128",
        "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<html>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    good.push(der);
    let odd = vec![
        format!("eosfed-join-v1.{}", "A".repeat(20_000)).into_bytes(),
        [b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 20_000]].concat(),
        certificate.into_bytes(),
    ];
    Seeds { good, odd }
}
