use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use eosfed_common::identity::Identity;
use eosfed_coordinator::tls::Authority;
use eosfed_testkit::signing;
use eosfed_transport::keys::KeyAndRequest;

use super::*;

const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn identity(valid_for: Duration) -> (KeyAndCertificate, String) {
    let authority = Authority::open(&Authority::create(NOW).unwrap()).unwrap();
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
    let identity = Identity::institution("west".parse().unwrap());
    let certificate_pem = authority.certify(&request_pem, &identity, NOW, valid_for).unwrap();
    (KeyAndCertificate { key_pem, certificate_pem }, authority.certificate_pem().to_owned())
}

/// A folder as `join` makes it.
fn private_folder() -> tempfile::TempDir {
    let owner_only = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(owner_only).tempdir().unwrap()
}

#[test]
fn an_identity_is_kept_and_private() {
    let folder = private_folder();
    let site = Site::at(folder.path());
    assert!(matches!(site.credentials(), Err(SiteError::NotJoined { .. })));
    let (pair, ca) = identity(Duration::from_secs(3000));
    site.replace_identity(&pair, &ca).unwrap();
    let kept = site.credentials().unwrap();
    assert_eq!((kept.institution.as_str(), kept.ca_pem), ("west", ca));
    assert_eq!(kept.not_after, NOW.plus(Duration::from_secs(3000)));
    let mode = std::fs::metadata(folder.path().join("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn renewal_is_due_in_the_last_third() {
    let folder = private_folder();
    let site = Site::at(folder.path());
    let (pair, ca) = identity(Duration::from_secs(3000));
    site.replace_identity(&pair, &ca).unwrap();
    assert!(site.credentials().unwrap().due_for_renewal(NOW), "no signing key is enrolled");
    let pending = site.pending_signing_key(|| signing::institution("west")).unwrap();
    let again = site.pending_signing_key(|| signing::institution("another")).unwrap();
    assert_eq!(again.public(), pending.public(), "the key of a try whose answer got lost");
    site.replace_signing_key(&pending).unwrap();
    assert!(!folder.path().join("signing.key.new").exists());
    let kept = site.credentials().unwrap();
    assert!(!kept.due_for_renewal(NOW.plus(Duration::from_secs(1800))));
    assert!(kept.due_for_renewal(NOW.plus(Duration::from_secs(2100))));
    assert!(kept.due_for_renewal(NOW.plus(Duration::from_secs(4000))));
}

#[test]
fn an_interrupted_replacement_is_completed() {
    let folder = private_folder();
    let site = Site::at(folder.path());
    let ((old, ca), (new, _)) = (identity(Duration::from_secs(10)), identity(Duration::from_secs(20)));
    site.replace_identity(&old, &ca).unwrap();
    let KeyAndCertificate { key_pem, certificate_pem } = &new;
    let pending = serde_json::json!({ "key_pem": key_pem.expose(), "certificate_pem": certificate_pem });
    site.write_json("identity.new", &pending).unwrap();
    // The crash came after the key and before the certificate.
    site.write("key.pem", new.key_pem.expose().as_bytes()).unwrap();
    let kept = site.credentials().unwrap().pair;
    assert_eq!((kept.key_pem, kept.certificate_pem), (new.key_pem, new.certificate_pem));
    assert!(!folder.path().join("identity.new").exists());
}

#[test]
fn two_daemons_do_not_share_a_folder() {
    let folder = private_folder();
    let site = Site::at(folder.path());
    let lock = site.lock().unwrap();
    assert!(matches!(site.lock(), Err(SiteError::Locked { .. })));
    drop(lock);
    assert!(site.lock().is_ok());
}

#[test]
fn damaged_files_are_named_in_errors() {
    let folder = private_folder();
    let site = Site::at(folder.path());
    site.write("sent.json", b"{\"weights\": 1").unwrap();
    let error = site.sent().unwrap_err().to_string();
    assert!(error.contains("sent.json") && error.contains("move it away"), "{error}");
    for name in ["key.pem", "certificate.pem", "ca.pem"] {
        site.write(name, b"nonsense").unwrap();
    }
    let error = site.credentials().err().unwrap().to_string();
    assert!(error.contains("certificate.pem") && error.contains("--force"), "{error}");
}

#[test]
fn a_state_folder_that_others_may_read_is_refused_with_the_command_that_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = Site::at(folder.path()).credentials().err().unwrap().to_string();
    assert!(said.contains("0755") && said.contains("chmod 700"), "{said}");
}

#[test]
fn a_lock_is_seen_while_it_is_held_and_is_not_taken_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::at(folder.path());
    assert!(!site.is_locked().unwrap(), "there is no lock file");
    let lock = site.lock().unwrap();
    assert!(site.is_locked().unwrap());
    drop(lock);
    assert!(!site.is_locked().unwrap());
    assert!(site.lock().is_ok());
}

#[test]
fn lines_of_the_table_of_locks_are_read() {
    let line = "1: FLOCK  ADVISORY  WRITE 4711 fe:01:123456 0 EOF";
    assert!(is_lock_on(line, 123_456) && !is_lock_on(line, 23_456));
    for other in [
        "1: POSIX  ADVISORY  WRITE 4711 fe:01:123456 0 EOF",
        "1: -> FLOCK ADVISORY WRITE 1 fe:01:123456 0 EOF",
        "",
    ] {
        assert!(!is_lock_on(other, 123_456), "{other}");
    }
}
