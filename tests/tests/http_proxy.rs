//! Institutions and operators behind an HTTP proxy, with the real programs.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::Ordering;

use eosfed_e2e::connect::ConnectProxy;
use eosfed_e2e::{Federation, fail, succeed};

/// The output of `eosfed-client check`, with or without problems.
fn check(federation: &Federation) -> String {
    let mut check = federation.program("eosfed-client");
    let output = check.args(["check", "--state"]).arg(federation.path("west")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The line of one check.
fn line<'a>(said: &'a str, what: &str) -> &'a str {
    said.lines().find(|line| line.contains(&format!(" {what}: "))).unwrap_or_else(|| panic!("{what}: {said}"))
}

#[test]
fn joining_and_checking_and_operating_go_through_the_proxy() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let proxy = ConnectProxy::start(0);
    "Basic d2VzdDo1ZWNyZXQ=".clone_into(&mut proxy.switches.authorization.lock().unwrap());
    eosfed_e2e::classes(&federation.path("west-data"), 1);
    let token = federation.invite("west", "1h");
    let credentials = federation.path("credentials");
    fs::write(&credentials, "west:5ecret\n").unwrap();

    let join = |mode: u32| -> Command {
        fs::set_permissions(&credentials, fs::Permissions::from_mode(mode)).unwrap();
        let mut join = federation.join("west", &token);
        join.args(["--proxy", &proxy.url(), "--proxy-credentials-file"]).arg(&credentials);
        join
    };
    let said = fail(federation.join("west", &token).args(["--proxy", "http://west:5ecret@proxy:1"]), 1);
    assert!(said.contains("proxy_credentials_file") && !said.contains("5ecret"), "{said}");
    let said = fail(federation.join("west", &token).env("EOSFED_PROXY", proxy.url()), 1);
    assert!(said.contains("status 407") && said.contains("`proxy_credentials_file`"), "{said}");
    let said = fail(&mut join(0o644), 1);
    assert!(said.contains("`644`") && said.contains("chmod 600"), "{said}");
    assert!(!federation.path("west/certificate.pem").exists());
    // None of these calls has used up the token, which works once.
    succeed(&mut join(0o600));
    let address = format!("127.0.0.1:{}", federation.port());
    assert!(proxy.targets().len() >= 2 && proxy.targets().iter().all(|target| *target == address));
    let settings = fs::read_to_string(federation.path("west/client.toml")).unwrap();
    assert!(settings.contains(&proxy.url()) && !settings.contains("5ecret"), "{settings}");

    let said = check(&federation);
    assert!(line(&said, "proxy").starts_with("ok") && line(&said, "coordinator").starts_with("ok"), "{said}");
    proxy.switches.refuse.store(403, Ordering::SeqCst);
    let said = check(&federation);
    let found = line(&said, "proxy");
    assert!(
        found.starts_with("problem") && found.contains("403") && found.contains("allow CONNECT"),
        "{said}"
    );
    assert!(!said.contains("coordinator: "), "nothing is known of it: {said}");
    proxy.switches.refuse.store(0, Ordering::SeqCst);

    let before = proxy.targets().len();
    let through = |arguments: &[&str]| {
        let mut command = federation.eosfed(arguments);
        command.args(["--proxy", &proxy.url(), "--proxy-credentials-file"]).arg(&credentials);
        command
    };
    succeed(&mut through(&["institution", "list"]));
    assert_eq!(proxy.targets().len(), before + 1);
    let said = fail(federation.eosfed(&["job", "list"]).env("EOSFED_PROXY", proxy.url()), 69);
    assert!(said.contains("status 407"), "{said}");

    let port = proxy.port();
    drop(proxy);
    let said = check(&federation);
    assert!(line(&said, "proxy").contains("cannot be reached") && said.contains(&port.to_string()), "{said}");
    drop(coordinator);
}
