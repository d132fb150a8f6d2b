//! Single tries: TLS, signatures, answers that are no success, and a proxy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::hook::{Answer, Hook};
use crate::notify::delivery::{Delivery, Failure};
use crate::notify::notification::Notification;
use crate::notify::receiver::Receiver;
use crate::notify::settings::NotifySettings;

const NOW: Timestamp = Timestamp(1_795_000_000_123);
const SECRET: &str = "whsec_0123456789abcdef";

/// A receiver of these keys.
fn receiver(keys: &str) -> anyhow::Result<Receiver> {
    let settings: NotifySettings =
        toml::from_str(&format!("name = \"ops\"\ntimeout = \"1s\"\n{keys}")).unwrap();
    Receiver::open(&settings)
}

fn test() -> Delivery {
    Delivery::from(&Notification::test("https://eo.example.org", NOW))
}

/// Writes a file that only its owner reads; gives its path as TOML.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    format!("{path:?}")
}

/// HMAC-SHA256 as RFC 2104 writes it, without the library that signs.
fn hmac(secret: &[u8], message: &[u8]) -> String {
    let mut block = [0; 64];
    block[..secret.len()].copy_from_slice(secret);
    let pad = |with: u8| block.map(|byte| byte ^ with).to_vec();
    let digest = |bytes: Vec<u8>| hex::decode(Digest::of(&bytes).to_hex()).unwrap();
    let inner = digest([pad(0x36), message.to_vec()].concat());
    hex::encode(digest([pad(0x5c), inner].concat()))
}

#[tokio::test]
async fn a_notification_is_posted_by_tls_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(true, []).await;
    let ca = file(folder.path(), "ca.pem", &hook.certificate_pem);
    let secret = file(folder.path(), "secret", SECRET);
    let keys = format!(
        "webhook = \"https://127.0.0.1:{}/T0/x?y=1\"\nca_file = {ca}\nsecret_file = {secret}",
        hook.port
    );
    let said = receiver(&keys).unwrap().deliver(&test(), NOW).await.unwrap();
    assert_eq!(said, format!("https://127.0.0.1:{} answers 200 OK: said", hook.port), "without the path");
    let posted = hook.posted().remove(0);
    let body: Notification = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(body, Notification::test("https://eo.example.org", NOW));
    assert_eq!(posted.path, "/T0/x?y=1");
    assert_eq!(posted.headers["host"], format!("127.0.0.1:{}", hook.port));
    assert_eq!((&*posted.headers["eosfed-event"], &*posted.headers["eosfed-delivery"]), ("test", &*body.id));
    let message = [b"1795000000.", &posted.body[..]].concat();
    let expected = format!("t=1795000000,v1={}", hmac(SECRET.as_bytes(), &message));
    assert_eq!(posted.headers["eosfed-signature"], expected);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(true, []).await;
    let other = Hook::start(true, []).await;
    let ca = file(folder.path(), "ca.pem", &other.certificate_pem);
    let keys = format!("webhook = \"https://127.0.0.1:{}/\"\nca_file = {ca}", hook.port);
    let failed = receiver(&keys).unwrap().deliver(&test(), NOW).await.unwrap_err();
    assert!(matches!(&failed, Failure::Again(why) if why.contains("certificate")), "{failed:?}");
    // Right authority, wrong name.
    let ca = file(folder.path(), "ca.pem", &hook.certificate_pem);
    let keys = format!("webhook = \"https://localhost:{}/\"\nca_file = {ca}", hook.port);
    let failed = receiver(&keys).unwrap().deliver(&test(), NOW).await.unwrap_err();
    assert!(failed.why().contains("certificate"), "{failed:?}");
    assert!(hook.posted().is_empty());
}

#[tokio::test]
async fn answers_say_whether_another_try_helps_and_redirects_are_not_followed() {
    let elsewhere = Hook::start(false, []).await;
    let location = format!("location: http://127.0.0.1:{}/\r\n", elsewhere.port);
    let plain = |status| Answer::Status(status, String::new());
    let huge = Answer::Status(200, format!("x: {}\r\n", "y".repeat(100_000)));
    let answers = [
        Answer::Status(307, location),
        plain(404),
        plain(429),
        plain(503),
        plain(204),
        Answer::Silence,
        huge,
        Answer::Flood,
    ];
    let hook = Hook::start(false, answers).await;
    let receiver = receiver(&format!("webhook = \"http://127.0.0.1:{}/5ecret\"", hook.port)).unwrap();
    let began = Instant::now();
    let mut outcomes = Vec::new();
    for _ in 0..8 {
        let tried = receiver.deliver(&test(), NOW).await;
        outcomes.push(match &tried {
            Ok(_) => "delivered",
            Err(Failure::Again(_)) => "again",
            Err(Failure::Lasting(_)) => "lasting",
        });
        assert!(!format!("{tried:?}").contains("5ecret"), "{tried:?}");
    }
    assert_eq!(
        outcomes,
        ["lasting", "lasting", "again", "again", "delivered", "again", "again", "delivered"],
        "{:?}",
        hook.posted().len()
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(elsewhere.posted().is_empty());
}

#[tokio::test]
async fn a_webhook_is_called_through_a_proxy() {
    let hook = Hook::start(true, []).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = proxy.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut inside, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            inside.read_buf(&mut head).await.unwrap();
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let mut outside = TcpStream::connect(&target).await.unwrap();
        inside.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        head
    });
    let folder = tempfile::tempdir().unwrap();
    let ca = file(folder.path(), "ca.pem", &hook.certificate_pem);
    let credentials = file(folder.path(), "credentials", "west:5ecret");
    let keys = format!(
        "webhook = \"https://127.0.0.1:{}/\"\nca_file = {ca}\nproxy = \"http://127.0.0.1:{port}\"\nproxy_credentials_file = {credentials}",
        hook.port
    );
    receiver(&keys).unwrap().deliver(&test(), NOW).await.unwrap();
    let head = asked.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1", hook.port)), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic"), "{head}");
    assert_eq!(hook.posted().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_used_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = file(folder.path(), "empty", "");
    for (keys, word) in [
        ("webhook = \"https://a/\"\nsecret_file = \"/nowhere/secret\"".to_owned(), "/nowhere/secret"),
        (format!("webhook = \"https://a/\"\nsecret_file = {empty}"), "found 0"),
        ("webhook = \"https://a/\"\nsecret_file = \"hook\"".to_owned(), "no credential of this name"),
        ("webhook = \"https://a/\"\nca_file = \"/nowhere/ca\"".to_owned(), "`ca_file` /nowhere/ca"),
        (format!("webhook = \"https://a/\"\nca_file = {empty}"), "no certificate"),
        ("webhook = \"https://a/\"\nproxy = \"https://p\"".to_owned(), "http://HOST:PORT"),
        ("command = [\"/nowhere/program\"]".to_owned(), "/nowhere/program cannot be run"),
    ] {
        let said = format!("{:#}", receiver(&keys).unwrap_err());
        assert!(said.contains(word) && said.starts_with("`[[notify]]` `ops`: "), "{said}");
    }
}
