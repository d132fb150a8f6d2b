//! Wrong clocks: by minutes, which does not matter; by hours after a restart; and by years, which is
//! reported.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::PAUSE;
use eosfed_e2e::{Clock, Federation, fail, millis, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

fn clock(federation: &Federation, name: &str, seconds: i64) -> Option<Clock> {
    let clock = Clock::new(&federation.path(""), name, seconds);
    if clock.is_none() {
        println!("skipped: {}: there is no C compiler", std::thread::current().name().unwrap_or_default());
    }
    clock
}

#[test]
fn clients_twenty_minutes_fast_and_slow_take_part() {
    fast_and_slow(20 * MINUTE);
}

/// Certificates begin a day before they are made.
#[test]
fn clients_an_hour_fast_and_slow_take_part() {
    fast_and_slow(HOUR);
}

fn fast_and_slow(offset: i64) {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    let mut daemons = Vec::new();
    for (seed, name, offset) in [(1, "fast", offset), (2, "slow", -offset)] {
        let Some(clock) = clock(&federation, name, offset) else { return };
        eosfed_e2e::classes(&federation.path(&format!("{name}-data")), seed);
        let token = federation.invite(name, "1h");
        let mut join = federation.join(name, &token);
        clock.rule(&mut join);
        succeed(&mut join);
        federation.use_stub(name, STUB);
        let mut command = federation.daemon_command(name);
        clock.rule(command.env(PAUSE, "20"));
        daemons.push(federation.start(name, command));
    }
    let job = federation.submit(&rounds(2, 2, 2, "10m").text());
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    assert_eq!(done["history"].as_array().unwrap().len(), 3, "{done:#}");
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}

#[allow(clippy::disallowed_methods, reason = "the test stands outside the programs")]
fn epoch_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// The coordinator is killed in a round and comes back with a clock that has jumped.
fn jump(seconds: i64) {
    let federation = Federation::new();
    let Some(clock) = clock(&federation, "coordinator", 0) else { return };
    let ruled = || {
        let mut command = federation.coordinator_command();
        clock.rule(&mut command);
        command
    };
    let coordinator = federation.coordinator_by(ruled());
    let names = ["east", "west"];
    for (seed, name) in (1..).zip(names) {
        federation.stubbed(name, seed, STUB);
    }
    let start = |name: &str| {
        let mut command = federation.daemon_command(name);
        command.env(PAUSE, "1500");
        federation.start(name, command)
    };
    let mut daemons = names.map(|name| Some(start(name)));
    let job = federation.submit(&rounds(2, 2, 2, "10m").text());
    let at_work = |job: &serde_json::Value| {
        let participants = &job["current"]["participants"];
        job["current"]["index"] == 1 && names.iter().all(|name| participants[name]["state"] == "working")
    };
    federation.wait(&job, "both to train", at_work);
    coordinator.kill();
    clock.set(seconds);
    let coordinator = federation.coordinator_by(ruled());
    let resumed = federation.ask(&["job", "show", &job]);
    let open = &resumed["current"];
    let deadline = millis(&open["deadline"]);
    let now = epoch_millis();
    let left = deadline.saturating_sub(now.saturating_add_signed(seconds * 1000));
    assert!((60_000..=600_000).contains(&left), "{left} ms are left to the round: {resumed:#}");

    // An institution that is lost now is noticed by the new clock.
    daemons[1].take().unwrap().kill();
    clock.set(seconds + 5 * MINUTE);
    federation.wait(&job, "the lease of who is gone to end", |job| {
        job["current"]["participants"]["west"]["lease_expiries"].as_u64() >= Some(1)
            || job["history"].as_array().is_some_and(|closed| closed.len() > 1)
    });
    daemons[1] = Some(start("west"));
    let done = federation.wait(&job, "the end", |job| job["state"] == "finished");
    // The second jump of the clock may have ended an attempt, but no round.
    let complete = done["history"].as_array().unwrap().iter().filter(|round| round["phase"] == "complete");
    assert_eq!(complete.map(|round| round["index"].as_u64()).collect::<Vec<_>>(), [0, 1, 2].map(Some));
    assert!(daemons.into_iter().flatten().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}

#[test]
fn a_coordinator_whose_clock_jumps_ahead_continues() {
    jump(3 * HOUR);
}

#[test]
fn a_coordinator_whose_clock_jumps_back_continues() {
    jump(-3 * HOUR);
}

/// A site at work is killed; its certificate expires; it is told what to do, joins again, and goes on with
/// its name and with the work of its journal.
#[test]
fn an_expired_institution_is_told_what_to_do_and_returns_with_its_name_and_journal() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    let policy = federation.path("west/policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let alone = text.replace("min_institutions = 2", "min_institutions = 1");
    assert_ne!(text, alone, "it takes part alone");
    std::fs::write(&policy, alone).unwrap();
    let mut daemon = federation.daemon_command("west");
    daemon.env(PAUSE, "60000");
    let daemon = federation.start("west", daemon);
    let job = federation.submit(&rounds(1, 1, 1, "10m").text());
    let works = |job: &serde_json::Value| {
        job["current"]["index"] == 1 && job["current"]["participants"]["west"]["state"] == "working"
    };
    federation.wait(&job, "west to train", works);
    let journal = || std::fs::read_to_string(federation.path("west/journal.json")).unwrap();
    federation.until("the journal to know the work", || journal().contains(&job));
    daemon.kill();
    drop(coordinator);
    // Both clocks are right; the certificate has expired.
    let Some(clock) = clock(&federation, "later", 60 * 24 * HOUR) else { return };
    let ruled = |mut command: std::process::Command| {
        clock.rule(&mut command);
        command
    };
    let _coordinator = federation.start("coordinator", ruled(federation.coordinator_command()));
    let answers = || ruled(federation.eosfed(&["job", "list"])).output().unwrap().status.success();
    federation.until("the coordinator to answer", answers);
    let daemon = federation.start("west", ruled(federation.daemon_command("west")));
    federation
        .until("the daemon to say what to do", || daemon.log().contains("eosfed institution re-enrol west"));
    assert!(daemon.log().contains("has expired"), "{}", daemon.log());
    daemon.kill();
    assert!(journal().contains(&job), "the work is still in the journal");

    // A token for another institution does not take the folder.
    let other = federation.path("other.token").display().to_string();
    succeed(&mut ruled(federation.eosfed(&["institution", "invite", "east", "--token-file", &other])));
    let join = |token: &str| {
        let mut join = federation.program("eosfed-client");
        join.args(["join", "--token-file", token, "--state"]).arg(federation.path("west"));
        ruled(join)
    };
    assert!(fail(&mut join(&other), 1).contains("is the folder of institution `west`"));
    let token = federation.path("again.token").display().to_string();
    succeed(&mut ruled(federation.eosfed(&["institution", "re-enrol", "west", "--token-file", &token])));
    succeed(&mut join(&token));
    assert!(journal().contains(&job));
    let mut daemon = federation.daemon_command("west");
    daemon.env(PAUSE, "20");
    let _daemon = federation.start("west", ruled(daemon));
    federation.until("the job to finish", || {
        let shown = succeed(&mut ruled(federation.eosfed(&["job", "show", &job, "--output", "json"])));
        serde_json::from_slice::<serde_json::Value>(&shown.stdout).unwrap()["state"] == "finished"
    });
}

#[test]
fn a_clock_that_is_wrong_by_years_is_reported() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    let Some(clock) = clock(&federation, "west", 0) else { return };
    for (years, word) in [(-6, "not valid yet"), (15, "expired")] {
        clock.set(years * YEAR);
        let mut check = federation.program("eosfed-client");
        clock.rule(check.args(["check", "--state"]).arg(federation.path("west")));
        let output = check.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{said}");
        assert!(!output.status.success());
        for part in ["clock", word, "certificate"] {
            assert!(said.contains(part), "`{part}` is not said:\n{said}");
        }

        let mut run = federation.daemon_command("west");
        clock.rule(&mut run);
        let name = format!("west-{years}");
        let daemon = federation.start(&name, run);
        federation.until("the daemon to say what is wrong", || daemon.log().contains("clock"));
        println!("{}", daemon.log());
        assert!(daemon.log().contains(word), "{}", daemon.log());
        drop(daemon);

        eosfed_e2e::classes(&federation.path("late-data"), 2);
        let token = federation.invite("late", "1h");
        let mut join = federation.join("late", &token);
        clock.rule(&mut join);
        let said = fail(&mut join, 1);
        println!("{said}");
        assert!(said.contains(word) && said.contains("clock"), "{said}");

        let mut operator = federation.eosfed(&["job", "list"]);
        clock.rule(&mut operator);
        let output = operator.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        println!("{said}");
        assert!(!output.status.success() && said.contains(word) && said.contains("clock"), "{said}");
    }
    drop(coordinator);

    // The opposite case: the coordinator's clock is wrong, and its own certificate has that time.
    clock.set(-6 * YEAR);
    let mut command = federation.coordinator_command();
    clock.rule(&mut command);
    let _coordinator = federation.start("coordinator", command);
    federation.until("the coordinator to be seen with its clock", || {
        let mut check = federation.program("eosfed-client");
        let output = check.args(["check", "--state"]).arg(federation.path("west")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.contains("the coordinator's certificate has expired")
    });
}
