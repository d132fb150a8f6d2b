//! `eosfed-client setup` with the real programs: a file of answers, a person at a terminal, Ctrl-C, and a setup
//! that goes on where it was.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use eosfed_e2e::{Federation, classes, fail, succeed};

/// A federation with the data of `west` and a token for it.
struct Site {
    federation: Federation,
    token: String,
}

impl Site {
    fn new() -> Self {
        let federation = Federation::new();
        classes(&federation.path("west-data"), 1);
        let token = federation.path("west.token").to_str().unwrap().to_owned();
        Self { federation, token }
    }

    fn data(&self) -> String {
        self.federation.path("west-data").to_str().unwrap().to_owned()
    }

    fn setup(&self) -> Command {
        let mut setup = self.federation.program("eosfed-client");
        setup.args(["setup", "--state"]).arg(self.federation.path("west"));
        setup
    }

    fn answered(&self, text: &str) -> Command {
        let answers = self.federation.path("answers.toml");
        fs::write(&answers, text).unwrap();
        let mut setup = self.setup();
        setup.arg("--answers").arg(answers);
        setup
    }

    /// A person who types these lines, the last without an end.
    fn typed(&self, lines: &[&str]) -> Output {
        let mut setup = self.setup();
        let setup = setup.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = setup.spawn().unwrap();
        // A setup that ends early closes its end.
        let _ = child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes());
        child.wait_with_output().unwrap()
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.federation.path("west").join(name)).unwrap()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_file_of_answers_sets_up_an_institution_that_then_works() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let answers = format!(
        "token_file = {:?}\ndataset = {:?}\nintent = \"train-own-specialists\"\napproval = \"automatic\"\n",
        site.token,
        site.data()
    );
    let output = succeed(&mut site.answered(&answers));
    let text = said(&output);
    for phrase in
        ["the coordinator answers", "joined https://", "ok       data set", "next: start the daemon"]
    {
        assert!(text.contains(phrase), "{phrase}:\n{text}");
    }
    assert!(site.file("policy.toml").contains("# What leaves:"));
    // What is there is kept: another run changes nothing.
    let before = ["client.toml", "policy.toml", "certificate.pem", "key.pem"].map(|name| site.file(name));
    let again = said(&succeed(&mut site.answered(&answers)));
    assert!(again.contains("kept: the identity of `west`") && !again.contains("joined"), "{again}");
    assert_eq!(
        before,
        ["client.toml", "policy.toml", "certificate.pem", "key.pem"].map(|name| site.file(name))
    );
    let health = || {
        let mut health = site.federation.program("eosfed-client");
        health.args(["health", "--state"]).arg(site.federation.path("west"));
        health
    };
    assert!(fail(&mut health(), 1).contains("no `eosfed-client run` holds"));
    let daemon = site.federation.daemon("west");
    site.federation.until("the daemon to hold its folder", || health().output().unwrap().status.success());
    let listed = site.federation.ask(&["institution", "list"]).to_string();
    assert!(listed.contains("\"west\""), "{listed}");
    assert!(daemon.terminate().success());
    assert!(fail(&mut health(), 1).contains("no `eosfed-client run` holds"));
}

#[test]
fn wrong_answers_of_a_file_are_named_and_nothing_is_written() {
    let site = Site::new();
    let coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let (token, data) = (site.token.clone(), site.data());
    let person = site.federation.path("person.token");
    let invite = ["reader", "invite", "bob", "--token-file"];
    succeed(site.federation.eosfed(&invite).arg(&person));
    let person = person.to_str().unwrap();
    let right = format!("token_file = {token:?}\ndataset = {data:?}\nintent = \"join-rounds\"\n");
    for (wrong, named) in [
        (right.replace(&token, "/no/such"), "`token_file`: cannot read /no/such"),
        (right.replace(&token, person), "`token_file`: it is a token for a person"),
        (right.replace(&data, "/no/such"), "`dataset`: "),
        (right.replace(&format!("dataset = {data:?}"), ""), "`dataset` is missing"),
        (
            right.replace("intent = \"join-rounds\"", "policy = \"/no/such.toml\""),
            "cannot read /no/such.toml",
        ),
        (format!("{right}proxy = \"proxy:1\"\n"), "`proxy`: `proxy` must be http://HOST:PORT"),
        (
            format!("{right}proxy = \"http://127.0.0.1:1\"\n"),
            "the proxy http://127.0.0.1:1 cannot be reached",
        ),
    ] {
        let told = fail(&mut site.answered(&wrong), 1);
        assert!(told.contains(named) && told.contains("answers.toml"), "{named}:\n{told}");
        assert!(!site.federation.path("west").exists(), "{named}");
    }
    assert!(coordinator.terminate().success());
    let told = fail(&mut site.answered(&right), 1);
    assert!(told.contains("`proxy`") && told.contains("that the coordinator runs"), "{told}");
    assert!(!site.federation.path("west").exists());
}

#[test]
fn a_person_is_asked_again_with_the_reason() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let (token, data) = (site.token.clone(), site.data());
    let output = site.typed(&[
        "eosfed-join-v1.nonsense",
        &token,
        "/no/such/folder",
        &data,
        "",
        "everything",
        "3",
        "perhaps",
        "manual",
        "maybe",
        "yes",
    ]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in [
        "The private key is made here and never leaves.",
        "That cannot be used: this is not a join token",
        "no/such/folder",
        "found `everything`",
        "found `perhaps`",
        "expected yes or no, found `maybe`",
        "scores of others' specialists leave",
        "may leave: metrics",
        "joined https://",
    ] {
        assert!(flat.contains(phrase), "{phrase}:\n{text}");
    }
    // Words of people's own, such as paths, are not cut.
    let asked = text.split("written: ").next().unwrap().lines().filter(|line| !line.contains('/'));
    assert!(asked.into_iter().all(|line| line.chars().count() <= 100), "{text}");
    assert!(site.file("policy.toml").contains("job_kinds = [\"evaluation\"]"));
}

#[test]
fn an_end_or_a_no_before_the_last_answer_leaves_nothing() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let (token, data) = (site.token.clone(), site.data());
    let answers = [&token as &str, &data, "", "1", "manual", "no"];
    for end in 0..answers.len() {
        let output = site.typed(&[&answers[..end], &[""]].concat());
        assert_eq!(output.status.code(), Some(1), "{end}: {}", said(&output));
        assert!(said(&output).contains("nothing was changed"), "{end}: {}", said(&output));
        assert!(!site.federation.path("west").exists(), "{end}");
    }
    let output = site.typed(&answers);
    assert!(said(&output).contains("nothing was changed") && !site.federation.path("west").exists());
}

#[test]
fn a_setup_that_could_not_join_goes_on_with_a_new_token() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let answers =
        format!("token_file = {:?}\ndataset = {:?}\nintent = \"join-rounds\"\n", site.token, site.data());
    let used = fs::read_to_string(&site.token).unwrap();
    // Somebody else has used the token.
    let mut join = site.federation.program("eosfed-client");
    succeed(
        join.args(["join", "--token-file", &site.token, "--state"]).arg(site.federation.path("elsewhere")),
    );
    fs::write(&site.token, &used).unwrap();
    let told = fail(&mut site.answered(&answers), 1);
    assert!(told.contains("run this command again") && told.contains("works once"), "{told}");
    assert!(!site.federation.path("west/certificate.pem").exists());
    let policy = site.file("policy.toml");
    succeed(site.federation.eosfed(&["institution", "re-enrol", "west", "--token-file"]).arg(&site.token));
    let told = said(&succeed(&mut site.answered(&answers)));
    assert!(told.contains("kept: ") && told.contains("joined https://"), "{told}");
    assert_eq!(site.file("policy.toml"), policy);
}

#[test]
fn a_token_is_not_used_up_by_a_data_set_that_cannot_be_opened() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    // As a mail program folds it.
    let token = fs::read_to_string(&site.token).unwrap();
    let folded: Vec<_> = token.trim().as_bytes().chunks(70).map(String::from_utf8_lossy).collect();
    fs::write(&site.token, folded.join("\r\n ")).unwrap();
    let join = |dataset: &str, more: &[&str]| {
        let mut join = site.federation.program("eosfed-client");
        join.args(["join", "--token-file", &site.token, "--dataset", dataset]).args(more);
        join.arg("--state").arg(site.federation.path("west"));
        join
    };
    let told = fail(&mut join("/srv/nothing", &[]), 1);
    assert!(told.contains("/srv/nothing") && told.contains("the token is not used up"), "{told}");
    assert!(!site.federation.path("west").exists());
    succeed(&mut join(&site.data(), &[]));

    let client = |words: &[&str]| {
        let mut command = site.federation.program("eosfed-client");
        command.args(words).arg("--state").arg(site.federation.path("west"));
        command
    };
    assert!(said(&succeed(&mut client(&["jobs"]))).contains("no job has asked for work here"));
    let told = fail(&mut client(&["approve", "j-0a1b2c3d"]), 1);
    assert!(told.contains("j-0a1b2c3d waits for an approval; waiting: none"), "{told}");
    // A mount that is not there yet may be joined with.
    site.federation.invite("east", "1h");
    let token = site.federation.path("east.token");
    let mut join = site.federation.program("eosfed-client");
    join.args(["join", "--skip-data-check", "--dataset", "/srv/nothing", "--token-file"]).arg(token);
    succeed(join.arg("--state").arg(site.federation.path("east")));
}

/// A machine of its own for a command: systemd seems to run, and `systemctl` is a script that notes its words.
fn with_systemd(setup: &Command, folder: &Path, state: &str) -> Command {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    fs::write(&systemctl, format!("#!/bin/sh\necho \"$*\" >> {}/systemctl.log\n", folder.display())).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let words = std::iter::once(setup.get_program()).chain(setup.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    let script = format!(
        "set -e; mount -t tmpfs none /run; mkdir -p /run/systemd/system; mount -t tmpfs none /var/lib; \
         PATH={}:$PATH {}; stat -c '%n %a' /var/lib/eosfed /var/lib/eosfed/client {state}",
        bin.display(),
        words.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    command
}

#[test]
fn the_unit_is_enabled_and_folders_above_the_state_can_be_entered() {
    if !is_root() {
        println!("skipped: the_unit_is_enabled: only root can make a machine of its own");
        return;
    }
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let answers = site.federation.path("answers.toml");
    let text = format!(
        "token_file = {:?}\ndataset = {:?}\nintent = \"join-rounds\"\nenable = true\n",
        site.token,
        site.data()
    );
    fs::write(&answers, text).unwrap();
    let state = "/var/lib/eosfed/client/west";
    let mut setup = site.federation.program("eosfed-client");
    setup.args(["setup", "--state", state, "--answers"]).arg(&answers);
    let text = said(&succeed(&mut with_systemd(&setup, &site.federation.path(""), state)));
    assert!(text.contains("eosfed-client@west runs, and starts at every boot"), "{text}");
    for folder in ["/var/lib/eosfed 755", "/var/lib/eosfed/client 755", "/var/lib/eosfed/client/west 700"] {
        assert!(text.contains(folder), "{folder}:\n{text}");
    }
    let called = fs::read_to_string(site.federation.path("systemctl.log")).unwrap();
    assert_eq!(called.lines().last(), Some("enable --now eosfed-client@west"), "{called}");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

/// `script` gives the program a terminal of its own.
fn at_a_terminal(setup: &Command, log: &Path) -> Option<Child> {
    let words = std::iter::once(setup.get_program()).chain(setup.get_args());
    let words: Vec<String> = words.map(|word| word.to_str().unwrap().to_owned()).collect();
    Command::new("script").arg("--version").output().ok()?;
    // Whoever started the tests may ignore SIGINT, as a shell does for what runs in the background.
    let mut script = Command::new("env");
    script
        .args([
            "--default-signal=INT",
            "script",
            "--quiet",
            "--flush",
            "--return",
            "--command",
            &words.join(" "),
        ])
        .arg(log);
    script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()
}

fn wait_for(log: &Path, phrase: &str) {
    let started = Instant::now();
    while !fs::read_to_string(log).unwrap_or_default().contains(phrase) {
        assert!(started.elapsed() < Duration::from_secs(60), "{phrase}:\n{:?}", fs::read_to_string(log));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn control_c_at_a_terminal_leaves_nothing_and_the_same_answers_then_join() {
    let site = Site::new();
    let _coordinator = site.federation.coordinator();
    site.federation.invite("west", "1h");
    let (token, data) = (site.token.clone(), site.data());
    let log = site.federation.path("terminal");
    let Some(mut child) = at_a_terminal(&site.setup(), &log) else {
        println!("skipped: control_c_at_a_terminal_leaves_nothing: there is no `script`");
        return;
    };
    let mut keys = child.stdin.take().unwrap();
    wait_for(&log, "the token itself)");
    keys.write_all(format!("{token}\n{data}\n").as_bytes()).unwrap();
    wait_for(&log, "HTTP proxy");
    keys.write_all(b"\x03").unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(!site.federation.path("west").exists());

    let log = site.federation.path("terminal-2");
    let mut child = at_a_terminal(&site.setup(), &log).unwrap();
    let mut keys = child.stdin.take().unwrap();
    for (phrase, answer) in [
        ("the token itself)", token.as_str()),
        ("Data folder", &data),
        ("HTTP proxy", ""),
        ("What this institution wants to do: ", "2"),
        ("Approval of jobs", ""),
        ("Write this and join", "yes"),
    ] {
        wait_for(&log, phrase);
        keys.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    wait_for(&log, "joined https://");
    // Where systemd runs and knows the unit, it is asked whether to start it.
    let _ = keys.write_all(b"no\n");
    assert!(child.wait().unwrap().success(), "{:?}", fs::read_to_string(&log));
    assert!(site.file("policy.toml").contains("\"rounds\", \"downstream\""));
}
