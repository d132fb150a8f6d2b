//! Signatures of webhooks: HMAC-SHA256 of the time and the body, by a secret that the receiver knows too.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use eosfed_common::secret::Secret;
use eosfed_common::service;
use ring::hmac;

/// The header of a signature: `t=SECONDS,v1=HEX`, with one `v1` for each secret.
pub(super) const HEADER: &str = "eosfed-signature";
/// Most secrets in a file: the present one and, while it is replaced, the next.
const MAX_SECRETS: usize = 2;
/// Fewest bytes of a secret.
const LEAST: usize = 16;
/// Largest file of secrets, in bytes.
const MAX_BYTES: u64 = 4 << 10;

/// The secrets of a file, one on each line, which only this program's user can read. The file is read for each
/// notification, so that a secret can be replaced while the coordinator serves.
///
/// # Errors
/// A sentence with the file, the rule and what was found.
pub(super) fn read(path: &Path) -> Result<Vec<Secret>, String> {
    let fail = |reason: String| format!("{}: {reason}", path.display());
    let of_system = |error: std::io::Error| fail(error.to_string());
    let file = std::fs::File::open(path).map_err(of_system)?;
    let mode = file.metadata().map_err(of_system)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !service::is_credential(path) {
        return Err(fail(format!("only its owner may read it, found mode `{mode:o}`; use chmod 600")));
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(of_system)?;
    let text = Secret::new(text);
    let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<_> = lines.map(|line| Secret::new(line.to_owned())).collect();
    if secrets.is_empty() || secrets.len() > MAX_SECRETS || text.expose().len() as u64 > MAX_BYTES {
        let found = secrets.len();
        return Err(fail(format!("it must hold one secret, or two on a line each; found {found}")));
    }
    match secrets.iter().map(|secret| secret.expose().len()).find(|&length| length < LEAST) {
        Some(length) => Err(fail(format!("a secret must have at least {LEAST} bytes, found {length}"))),
        None => Ok(secrets),
    }
}

/// The value of the header, for a body that is sent at this time in seconds since 1970.
pub(super) fn header(secrets: &[Secret], seconds: u64, body: &[u8]) -> String {
    let sign = |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{seconds}.").as_bytes());
        context.update(body);
        format!(",v1={}", hex::encode(context.sign()))
    };
    format!("t={seconds}{}", secrets.iter().map(sign).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_signature_is_the_hmac_of_the_time_and_the_body() {
        // python3 -c "import hmac; print(hmac.new(b'whsec_0123456789abcdef', b'1795000000.{\"id\":\"x\"}', 'sha256').hexdigest())"
        let expected = "a9af1fbbdf4072e538ca73145e82de8484dc03666e176f78d57578c333a5ecb1";
        let one = header(&[secret("whsec_0123456789abcdef")], 1_795_000_000, b"{\"id\":\"x\"}");
        assert_eq!(one, format!("t=1795000000,v1={expected}"));
        let two =
            header(&[secret("whsec_0123456789abcdef"), secret("another")], 1_795_000_000, b"{\"id\":\"x\"}");
        assert!(two.starts_with(&format!("{one},v1=")), "{two}");
    }

    #[test]
    fn secrets_are_lines_of_a_file_that_only_its_owner_reads() {
        use std::fs::{Permissions, set_permissions, write};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let with = |text: &str, mode: u32| {
            write(&path, text).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(&path)
        };
        assert_eq!(with("0123456789abcdef\n", 0o600).unwrap(), [secret("0123456789abcdef")]);
        assert_eq!(with("0123456789abcdef\nfedcba9876543210", 0o400).unwrap().len(), 2);
        for (text, mode, word) in [
            ("0123456789abcdef", 0o640, "`640`"),
            ("", 0o600, "found 0"),
            ("0123456789abcdef\n0123456789abcdef\n0123456789abcdef\n", 0o600, "found 3"),
            ("5ecret", 0o600, "found 6"),
            (&"x".repeat(5000), 0o600, "one secret"),
        ] {
            let said = with(text, mode).unwrap_err();
            assert!(said.contains(word) && said.contains("/secret: ") && !said.contains("5ecret"), "{said}");
        }
        assert!(read(&folder.path().join("missing")).unwrap_err().contains("missing"));
    }
}
