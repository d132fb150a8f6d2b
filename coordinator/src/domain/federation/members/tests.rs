use super::*;
use crate::testing::{NOW, name};

const DAY: Duration = Duration::from_secs(86_400);

fn operator(of: &str, valid_for: Duration) -> Member {
    let identity = Identity { role: Role::Operator, name: name(of) };
    let key =
        Key { fingerprint: Digest::of(of.as_bytes()), expires_at: NOW.plus(valid_for), authority: None };
    Member::enrolled(identity, Some(key), NOW)
}

fn federation(members: Vec<Member>) -> Federation {
    let mut federation = Federation::default();
    federation.merge(Change { members, ..Change::default() });
    federation
}

#[test]
fn members_whose_certificates_expire_soon_are_known() {
    let revocation = Revocation { at: NOW, by: name("ada"), reason: String::new(), removed: false };
    let gone = operator("cy", DAY).revoke(revocation);
    let all = federation(vec![operator("ada", DAY * 20), operator("ben", DAY * 13), gone]);
    let names = |now| all.expiring(DAY * 14, now).map(|(one, _)| one.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(NOW), ["ben"]);
    assert_eq!(names(NOW.plus(DAY * 40)), ["ada", "ben"], "expired ones too");
}

#[test]
fn the_last_operator_with_a_valid_certificate_cannot_be_revoked() {
    let both = federation(vec![operator("ada", DAY * 9), operator("ben", DAY)]);
    let revoke = |of: &str, now| {
        let of = Identity { role: Role::Operator, name: name(of) };
        both.revoke(Revoke { of, reason: String::new(), remove: false }, name("ada"), now).map(drop)
    };
    assert_eq!(revoke("ada", NOW), Ok(()));
    // The certificate of ben has expired: without ada nobody could let anybody in.
    let refusal = revoke("ada", NOW.plus(DAY)).unwrap_err();
    assert_eq!(refusal.reason, Reason::WrongState);
    assert!(refusal.message.contains("eosfed operator invite NAME"), "{refusal}");
    assert_eq!(revoke("ben", NOW.plus(DAY)), Ok(()));
}
