//! A dishonest institution, `mallory`, as a process of its own against a real coordinator, beside an honest
//! one. It has joined like any other; it just runs another program.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use eosfed_e2e::hostile::Answer;
use eosfed_e2e::plans::{RGB, one_shot, rounds};
use eosfed_e2e::{Federation, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// A new job of mallory's alone; gives its assignment.
fn work(federation: &Federation, specialist: &str) -> (String, String) {
    let job = federation.submit(&one_shot(&[(specialist, "mallory", &RGB)]).without("release").text());
    federation.wait(&job, "the offer", |job| job["state"] == "running");
    (format!("{job}.0.1.mallory"), job)
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[test]
fn a_dishonest_institution_gets_nothing_and_stops_nobody() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    federation.set_policy("west", "min_institutions = 2", "min_institutions = 1");
    federation.institution("mallory", 2);
    let west = federation.daemon("west");
    // West's update, which nobody has released.
    let honest = federation.submit(&rounds(1, 1, 1, "10m").without("release").text());
    let finished = federation.wait(&honest, "west's update", |job| job["state"] == "finished");
    let history = finished["history"].as_array().unwrap();
    let digest = history.last().unwrap()["participants"]["west"]["weights"].as_str().unwrap();
    let size = std::fs::metadata(federation.blob(digest)).unwrap().len().to_string();
    let before = bytes_below(&federation.path("coordinator"));

    heartbeats_cannot_fill_the_store(&federation);
    uploads_are_few(&federation);
    a_digest_gives_no_right(&federation, digest, &size);
    texts_cannot_forge_lines(&federation, coordinator.log().len());

    let grown = bytes_below(&federation.path("coordinator")).saturating_sub(before);
    assert!(grown < 64 << 20, "the coordinator's folder has grown by {grown} bytes");
    // It starts again, and works.
    assert!(coordinator.terminate().success());
    let coordinator = federation.coordinator();
    let again = federation.submit(&rounds(1, 1, 1, "10m").without("release").set("name", "again").text());
    federation.wait(&again, "west's next update", |job| job["state"] == "finished");
    assert!(west.terminate().success());
    assert!(coordinator.terminate().success());
}

/// Attack 5.
fn heartbeats_cannot_fill_the_store(federation: &Federation) {
    let (assignment, job) = work(federation, "mallory-a");
    let answers = federation.attack("mallory", &["heartbeats", &assignment]);
    let refused = |call: &str| answers.iter().rfind(|answer| answer.call == call).unwrap();
    assert_eq!(refused("long names").answer, "OutOfRange", "{:?}", refused("long names"));
    assert_eq!(refused("beyond the range").answer, "MALFORMED");
    assert_eq!(refused("flood").answer, "TOO_LARGE", "{:?}", refused("flood"));
    // Its lease ends. Each lease has its own quota of uploads.
    succeed(&mut federation.eosfed(&["job", "cancel", &job]));
}

/// Attack 6.
fn uploads_are_few(federation: &Federation) {
    let (assignment, job) = work(federation, "mallory-b");
    let before = bytes_below(&federation.path("coordinator/blobs"));
    let answers = federation.attack("mallory", &["uploads", &assignment]);
    let let_in = answers.iter().filter(|answer| answer.call == "upload" && answer.answer == "OK").count();
    assert_eq!((let_in, answers.len()), (8, 41), "{answers:?}");
    succeed(&mut federation.eosfed(&["job", "cancel", &job]));
    federation
        .until("the uploads to be removed", || bytes_below(&federation.path("coordinator/blobs")) <= before);
}

/// Attack 16.
fn a_digest_gives_no_right(federation: &Federation, digest: &str, size: &str) {
    let (assignment, _) = work(federation, "mallory-c");
    let answers = federation.attack("mallory", &["steal", &assignment, digest, size]);
    let found: Vec<_> = answers.iter().map(|one| (one.call.as_str(), one.answer.as_str())).collect();
    assert_eq!(
        found[..3],
        [("accept", "OK"), ("stat", "NOT KNOWN"), ("download", "NOT_FOUND")],
        "{answers:?}"
    );
    assert!(found[3].0 == "submit" && found[3].1 != "OK", "{answers:?}");
}

/// Attack 17: neither the log nor what people see of the job has a line or a character of the attacker's.
fn texts_cannot_forge_lines(federation: &Federation, logged: usize) {
    let (assignment, job) = work(federation, "mallory-d");
    let answers = federation.attack("mallory", &["escape", &assignment]);
    assert!(answers.iter().any(|one| one.call == "heartbeat" && one.answer == "MALFORMED"), "{answers:?}");
    let log = std::fs::read_to_string(federation.path("coordinator.log")).unwrap();
    let shown = succeed(&mut federation.eosfed(&["job", "show", &job])).stdout;
    let shown = String::from_utf8(shown).unwrap();
    let events = succeed(&mut federation.eosfed(&["audit", "list", "--job", &job])).stdout;
    for text in [&log[logged..], &shown, &String::from_utf8(events).unwrap()] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{text}");
    }
}

fn assert_refused(answers: &[Answer]) {
    assert!(!answers.is_empty() && answers.iter().all(|one| one.answer == "UNAUTHENTICATED"), "{answers:?}");
}

/// A call over an open connection is refused, or meets its end: the connection is closed at the same time.
fn assert_refused_or_closed(answer: &Answer) {
    let closed = answer.answer == "Unknown" && answer.message == "transport error";
    assert!(closed || answer.answer == "UNAUTHENTICATED", "{answer:?}");
}

/// A greeting over a connection that stays open until it is told to greet again.
struct Greeting(Child);

impl Greeting {
    fn of(mut command: Command) -> (Self, Answer) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        child.stdout = Some(output.into_inner());
        (Self(child), Answer::of(&line))
    }

    fn again(mut self) -> Answer {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().unwrap();
        Answer::of(String::from_utf8(output.stdout).unwrap().trim_end())
    }
}

/// Attack 2: a stolen key counts until its owner enrols again, and then never.
#[test]
fn a_stolen_key_ends_with_a_new_enrolment_and_a_revocation_closes_connections() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.institution("mallory", 2);
    let stolen = federation.path("stolen");
    std::fs::create_dir(&stolen).unwrap();
    for file in ["key.pem", "certificate.pem", "ca.pem"] {
        std::fs::copy(federation.path("mallory").join(file), stolen.join(file)).unwrap();
    }
    let (thief, answer) = Greeting::of(federation.attack_command(&stolen, &["greet"]));
    assert_eq!(answer.answer, "OK");
    // Its owner enrols again.
    let token = federation.path("again.token");
    let again = ["institution", "re-enrol", "mallory", "--valid-for", "1h", "--token-file"];
    succeed(federation.eosfed(&again).arg(&token));
    succeed(federation.join("mallory", &token).arg("--force"));
    assert_refused_or_closed(&thief.again());
    assert_refused(&federation.attack_as(&stolen, &["greet"]));

    // The owner's connection is closed within a second of a revocation.
    let (owner, answer) = Greeting::of(federation.attack_command(&federation.path("mallory"), &["greet"]));
    assert_eq!(answer.answer, "OK");
    let started = Instant::now();
    succeed(&mut federation.eosfed(&["institution", "revoke", "mallory", "--reason", "a test"]));
    let refused = owner.again();
    println!("refused {:?} after the revocation began", started.elapsed());
    assert_refused_or_closed(&refused);
    assert_refused(&federation.attack("mallory", &["greet"]));
    assert!(coordinator.log().contains("a connection is closed"));
    // It survives a restart.
    assert!(coordinator.terminate().success());
    let coordinator = federation.coordinator();
    let refused = federation.attack("mallory", &["greet"]);
    assert_refused(&refused);
    assert!(refused[0].message.contains("was revoked"), "{refused:?}");
    assert!(coordinator.terminate().success());
}
