//! Every command that prints JSON, on a real federation: what it prints keeps to its published schema.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use eosfed_e2e::plans::{head, one_shot, rounds};
use eosfed_e2e::{Federation, fail, millis, schemas, succeed};
use serde_json::Value;

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// The head that both train in one round.
fn brightness() -> String {
    head()
        .set_toml("head.composition.selection", "{ kind = \"smooth\", penalty = 0.05, scale = false }")
        .rounds(1, "{ name = \"fed-avg\" }")
        .set("training.epochs", 1)
        .text()
}

/// A job that fails at west: the stub trains in rounds only.
fn own() -> String {
    one_shot(&[("west-red", "west", &["red"]), ("north-red", "north", &["red"])]).text()
}

/// A federation, and the commands that were run in it.
struct Commands {
    federation: Federation,
    run: RefCell<BTreeSet<&'static str>>,
}

impl Commands {
    /// Runs a command; `ask` checks what it prints.
    fn ask(&self, arguments: &[&str]) -> Value {
        let printed = self.federation.ask(arguments);
        self.run.borrow_mut().insert(schemas::check("eosfed", arguments, &printed));
        printed
    }

    fn plan(&self, name: &str, plan: &str) -> String {
        self.path(name, |path| fs::write(path, plan).unwrap())
    }

    fn path(&self, name: &str, with: impl FnOnce(&str)) -> String {
        let path = self.federation.path(name).to_str().unwrap().to_owned();
        with(&path);
        path
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn every_command_prints_json_of_its_published_schema() {
    let federation = Federation::new();
    let settings = federation.path("coordinator/coordinator.toml");
    let sample = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, sample + "\n[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let _coordinator = federation.coordinator();
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
    }
    let _daemons = ["east", "west"].map(|name| federation.daemon(name));
    let commands = Commands { federation, run: RefCell::default() };
    let ask = |arguments: &[&str]| commands.ask(arguments);
    let folder = |name: &str| commands.path(name, |_| ());

    institutions(&commands);
    people(&commands);
    let job = trained(&commands);
    released(&commands);
    controlled(&commands, &job);

    let plan = commands.plan("head.toml", &brightness());
    let finished = ask(&["job", "submit", &plan, "--watch"]);
    assert_eq!(finished["state"], "finished", "{finished:#}");
    let trained = text(&finished["id"]);
    ask(&["job", "head", &trained, "--to", &folder("head")]);
    ask(&["release", "prune", "--from-job", &trained, "--top-k", "1"]);

    let stored = ask(&["storage", "show"]);
    assert_eq!(stored["next"]["rounds"], 0, "{stored:#}");
    assert_eq!(ask(&["storage", "prune"])["files"], 0, "nothing is beyond the limits");
    let would = ask(&["storage", "prune", "--job", &trained, "--dry-run"]);
    let pruned = ask(&["storage", "prune", "--job", &trained]);
    assert!(pruned["files"].as_u64() > Some(0) && pruned["files"] == would["files"], "{pruned:#}");
    assert_eq!(ask(&["storage", "prune", "--older-than", "1h", "--to-size", "5GB"])["rounds"], 0);
    ask(&["job", "head", &trained, "--to", &folder("head again")]);
    ask(&["release", "pull", "--to", &folder("release again")]);

    assert_eq!(ask(&["status"])["institutions"]["enrolled"], 2, "north is only invited");
    let energy = ask(&["energy"]);
    let spent = energy["institutions"].as_array().unwrap();
    assert_eq!((spent.len(), &spent[0]["energy"]["source"]), (2, &"unavailable".into()), "{energy:#}");
    let west = ask(&["energy", "--name", "we", "--since", "1h"]);
    assert_eq!(
        west["institutions"],
        serde_json::json!([spent.iter().find(|one| one["institution"] == "west")])
    );
    assert_eq!((&west["total"], &west["jobs"]), (&energy["total"], &energy["jobs"]), "sums are of all");
    let first = ask(&["energy", "--limit", "1"]);
    assert_eq!(
        (first["institutions"].as_array().unwrap().len(), &first["more_institutions"]),
        (1, &1.into())
    );
    let jobs = ask(&["job", "list"]);
    let with_energy = jobs.as_array().unwrap().iter().filter(|job| job["energy"].is_object()).count();
    assert_eq!(energy["reported"], with_energy, "{energy:#}");
    assert_eq!(ask(&["watch", "--looks", "1"])["overview"]["institutions"]["enrolled"], 2);
    assert!(text(&ask(&["dashboard", "open"])["url"]).contains("/login?token="));
    ask(&["audit", "list", "--limit", "10000"]);
    let file = folder("events.jsonl");
    let exported = ask(&["audit", "export", &file]);
    ask(&["audit", "verify"]);
    ask(&["audit", "verify", "--release", "1"]);
    ask(&["audit", "verify", &file]);
    let lines = fs::read_to_string(&file).unwrap();
    lines.lines().for_each(|line| schemas::check_event(&serde_json::from_str(line).unwrap()));
    assert_eq!(exported["events"], lines.lines().count());

    ask(&["institution", "re-enrol", "east"]);
    ask(&["institution", "revoke", "east", "--reason", "a test"]);
    ask(&["institution", "remove", "west"]);
    assert_eq!(ask(&["institution", "list"]).as_array().map(Vec::len), Some(2), "without west");

    let run = commands.run.into_inner();
    let missing: Vec<_> =
        schemas::commands("eosfed").into_iter().filter(|command| !run.contains(command)).collect();
    assert!(missing.is_empty(), "these commands were not run: {missing:?}");
}

fn institutions(commands: &Commands) {
    let invited = commands.ask(&["institution", "invite", "north"]);
    assert!(invited["token"].is_string());
    let file = commands.path("north.token", |_| ());
    let invited = commands.ask(&["institution", "invite", "north", "--token-file", &file]);
    assert!(invited["token"].is_null() && invited["token_file"] == file.as_str());
    assert_eq!(commands.ask(&["institution", "list"]).as_array().unwrap().len(), 3);
    let asked = std::time::Instant::now();
    let samples = loop {
        let east = commands.ask(&["institution", "show", "east"]);
        if let Some(statement) = east["data"]["statement"].as_object() {
            break statement["samples"].clone();
        }
        assert!(asked.elapsed() < eosfed_e2e::WAIT_TIMEOUT, "east states nothing: {east:#}");
    };
    let all: u64 = samples.as_object().unwrap().values().map(|part| part.as_u64().unwrap()).sum();
    assert_eq!(all, 40, "{samples:#}");
    let shared = loop {
        let east = commands.ask(&["institution", "show", "east"]);
        if let Some(shared) = east["policy"]["summary"].as_object() {
            break shared.clone();
        }
        assert!(asked.elapsed() < eosfed_e2e::WAIT_TIMEOUT, "east shares nothing: {east:#}");
    };
    assert_eq!((&shared["institution"], &shared["max_epochs"]), (&"east".into(), &100.into()));
}

/// An operator and a reader: invited, joined, invited again and revoked.
fn people(commands: &Commands) {
    for role in ["operator", "reader"] {
        let token = commands.path(&format!("{role}.token"), |_| ());
        let identity = commands.path(&format!("{role}.identity"), |_| ());
        commands.ask(&[role, "invite", "ann", "--token-file", &token]);
        let joined = commands.ask(&["join", "--token-file", &token, "--identity", &identity]);
        assert_eq!((&joined["role"], &joined["name"]), (&role.into(), &"ann".into()));
        let shown = commands.ask(&["identity", "show", "--identity", &identity]);
        assert_eq!((&shown["role"], &shown["name"]), (&role.into(), &"ann".into()), "{shown:#}");
        assert_eq!(shown["authorities"].as_array().map(Vec::len), Some(1), "{shown:#}");
        let renewed = commands.ask(&["identity", "renew", "--identity", &identity]);
        assert_ne!(renewed["key"], shown["key"]);
        commands.ask(&[role, "re-enrol", "ann"]);
        let listed = commands.ask(&[role, "list"]);
        let ann = listed.as_array().unwrap().iter().find(|one| one["name"] == "ann").unwrap();
        assert_eq!(ann["invited_by"], "operator:ada", "{listed:#}");
        let ends = ["certificate_expires_at", "invited_until"].map(|end| millis(&ann[end]));
        assert!(ends.iter().all(|end| *end > 1_700_000_000_000), "{listed:#}");
        commands.ask(&[role, "revoke", "ann", "--reason", "a test"]);
        commands.ask(&[role, "remove", "ann"]);
        let left = commands.ask(&[role, "list"]);
        assert!(left.as_array().unwrap().iter().all(|one| one["name"] != "ann"), "{left:#}");
    }
}

/// A job that makes a specialist and a release.
fn trained(commands: &Commands) -> String {
    let plan = commands.plan("rounds.toml", &rounds(1, 2, 2, "10m").text());
    commands.ask(&["job", "check", &plan]);
    let job = text(&commands.ask(&["job", "submit", &plan])["job"]);
    let watched = commands.ask(&["job", "watch", &job]);
    assert_eq!(watched["state"], "finished", "{watched:#}");
    assert_eq!(commands.ask(&["job", "show", &job]), watched);
    let round = commands.ask(&["job", "show", &job, "--round", "2"]);
    assert_eq!(round, watched["history"][1]);
    assert_eq!(round["participants"]["east"]["curve"].as_array().unwrap().len(), 4, "{round:#}");
    assert_eq!(commands.ask(&["job", "show", &job, "--round", "2", "--attempt", "1"]), round);
    let none = ["job", "show", &job, "--round", "2", "--attempt", "2", "--output", "json"];
    assert!(fail(&mut commands.federation.eosfed(&none), 1).contains("no attempt 2 at round 2"));
    for (filter, count) in [
        ("--state=finished", 1),
        ("--state=paused", 0),
        ("--kind=rounds", 1),
        ("--kind=statistics", 0),
        ("--since=1h", 1),
        ("--since=2099-01-01", 0),
    ] {
        assert_eq!(commands.ask(&["job", "list", filter]).as_array().unwrap().len(), count, "{filter}");
    }
    let plotted = commands.ask(&["job", "plot", &job, "--file", &commands.path("curves.png", |_| ())]);
    let drawn = &plotted["curves"]["loss"][0];
    let numbers: Vec<_> = drawn["rounds"].as_array().unwrap().iter().map(|part| &part["round"]).collect();
    // The first measures the bands.
    assert_eq!((&drawn["institution"], numbers), (&"east".into(), vec![&2.into()]), "{plotted:#}");
    assert_eq!(drawn["rounds"][0]["points"].as_array().unwrap().len(), 4, "{plotted:#}");
    // Nobody scores the average of the last round.
    assert_eq!(plotted["curves"]["mean_after_aggregation"], serde_json::json!([]), "{plotted:#}");
    job
}

fn released(commands: &Commands) {
    let listed = commands.ask(&["specialist", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["release"]), (&"shared".into(), &1.into()));
    assert_eq!((&listed[0]["institutions"], &listed[0]["excluded"]), (&2.into(), &false.into()));
    for (filter, count) in
        [("--task=regression", 0), ("--band=red", 1), ("--institution=north", 0), ("--since=1h", 1)]
    {
        assert_eq!(
            commands.ask(&["specialist", "list", filter]).as_array().unwrap().len(),
            count,
            "{filter}"
        );
    }
    let card = commands.ask(&["specialist", "show", "shared"]);
    assert_eq!(card["weights"], listed[0]["weights"]);
    let created = commands.ask(&["release", "create", "--specialist", "shared@1", "--note", "again"]);
    let mut shown = commands.ask(&["release", "show", "2"]);
    let ablations = shown.as_object_mut().unwrap().remove("ablations");
    assert_eq!((shown, ablations), (created.clone(), Some(serde_json::json!([]))));
    ablated(commands, &created);
    assert_eq!(commands.ask(&["release", "list"]).as_array().unwrap().len(), 2);
    let folder = commands.path("release", |_| ());
    commands.ask(&["release", "pull", "2", "--to", &folder]);
    let mut file: Value =
        serde_json::from_slice(&fs::read(format!("{folder}/release.json")).unwrap()).unwrap();
    for time in ["/created_at", "/specialists/0/provenance/frozen_at"] {
        let printed = created.pointer(time).unwrap();
        assert_eq!(file.pointer(time), Some(&millis(printed).into()), "what is signed has milliseconds");
        *file.pointer_mut(time).unwrap() = printed.clone();
    }
    assert_eq!(file, created);
    let verified = commands.ask(&["release", "verify", &folder]);
    assert_eq!(verified["release"], 2);
    assert!(text(&verified["signed_by"]).starts_with("ed25519:") && verified["ledger"].is_string());
    let verified = commands.ask(&["specialist", "verify", &format!("{folder}/shared")]);
    assert_eq!(verified["institutions"], serde_json::json!(["east", "west"]));
}

/// What a specialist contributes to a head over release 2, as the trainer writes it.
fn ablated(commands: &Commands, release: &Value) {
    let weights = &release["specialists"][0]["weights"];
    let file = serde_json::json!({
        "head": "top5", "release": 2, "task": "classification", "part": "test", "samples": 40,
        "metric": "macro_f1", "unit": "", "larger_is_better": true, "all": 0.75,
        "ablations": [{ "specialist": "shared", "digest": weights, "weight": 1.0, "without": 0.25, "change": -0.5 }],
    });
    let folder = commands.path("ablation", |path| fs::create_dir(path).unwrap());
    fs::write(format!("{folder}/ablation.json"), file.to_string()).unwrap();
    let shown = commands.ask(&["release", "ablation", "2", &folder]);
    let [one] = &shown["ablations"].as_array().unwrap()[..] else { panic!("{shown:#}") };
    assert_eq!((&one["recorded_by"], &one["all"]), (&"ada".into(), &0.75.into()));
    let wanted = serde_json::json!({
        "specialist": "shared@1", "weights": weights, "selection": 1.0, "score": 0.25, "gain": 0.5,
    });
    assert_eq!(one["without"], serde_json::json!([wanted]));
    assert_eq!(commands.ask(&["release", "show", "2"]), shown);
}

fn controlled(commands: &Commands, job: &str) {
    let forked = commands.ask(&["job", "fork", job, "--round", "2"]);
    let fork = text(&forked["job"]);
    assert_eq!((&forked["origin"], &forked["round"]), (&job.into(), &1.into()));
    let fork = commands.federation.wait(&fork, "the fork to end", |job| job["state"] == "finished");
    let of = |job: &Value| job["release"].as_u64();
    let origin = commands.ask(&["job", "show", job]);
    assert!(of(&origin).is_some() && of(&fork).is_none(), "only the fork waits for an operator: {fork:#}");
    let one_shot = text(&commands.ask(&["job", "submit", &commands.plan("one-shot.toml", &own())])["job"]);
    let failed = |job: &Value| job["current"]["participants"]["west"]["state"] == "failed";
    commands.federation.wait(&one_shot, "west to fail", failed);
    let explained = commands.ask(&["job", "explain", &one_shot]);
    assert!(explained.to_string().contains("its work has failed"), "{explained:#}");
    commands.ask(&["job", "retry", &one_shot, "west"]);
    commands.ask(&["job", "cancel", &one_shot]);
    let long = commands.plan("long.toml", &rounds(100, 2, 2, "10m").text());
    let long = text(&commands.ask(&["job", "submit", &long])["job"]);
    commands.ask(&["job", "pause", &long]);
    commands.ask(&["job", "resume", &long]);
    let cancelled = commands.ask(&["job", "cancel", &long]);
    assert_eq!(cancelled["done"], "cancelled");
}

#[test]
fn every_command_of_an_institution_prints_json_of_its_published_schema() {
    let federation = Federation::new();
    let _coordinator = federation.coordinator();
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
    }
    let policy = federation.path("east/policy.toml");
    let lax = fs::read_to_string(&policy).unwrap();
    let privacy = "privacy = { clip = 0.1, noise_multiplier = 0.8, max_epsilon = 100.0, delta = 1e-5 }\n";
    fs::write(&policy, format!("{privacy}{lax}")).unwrap();
    let state = federation.path("east").to_str().unwrap().to_owned();
    let policy_text = policy.to_str().unwrap().to_owned();
    let data = federation.path("east-data").to_str().unwrap().to_owned();
    let run = RefCell::new(BTreeSet::new());
    let print = |arguments: &[&str]| {
        let output = succeed(federation.program("eosfed-client").args(arguments).args(["--output", "json"]));
        String::from_utf8(output.stdout).unwrap()
    };
    let check = |arguments: &[&str], printed: &str| {
        let printed: Value = serde_json::from_str(printed).unwrap();
        run.borrow_mut().insert(schemas::check("eosfed-client", arguments, &printed));
        printed
    };
    let ask = |arguments: &[&str]| check(arguments, &print(arguments));
    ask(&["status", "--state", &state]);
    let daemons = ["east", "west"].map(|name| federation.daemon(name));
    let job = federation.submit(&rounds(2, 2, 2, "10m").text());
    federation.wait(&job, "the job to end", |job| job["state"] == "finished");
    let healthy = ask(&["health", "--state", &state]);
    assert_eq!((&healthy["ok"], &healthy["institution"]), (&true.into(), &"east".into()), "{healthy:#}");
    // A policy that cannot be read is waited for.
    fs::write(&policy, "no policy").unwrap();
    federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.until("east to wait", || {
        let status = ask(&["status", "--state", &state]);
        status["waiting_for"]["condition"] == "policy_unclear"
    });
    fs::write(&policy, format!("{privacy}{lax}")).unwrap();
    drop(daemons);
    let spent = ask(&["privacy", "--state", &state]);
    assert_eq!((&spent["updates"], &spent["jobs"][0]["job"]), (&2.into(), &job.as_str().into()));
    let summary = ask(&["data", "inspect", &data]);
    assert_eq!(summary["bands"].as_array().map(Vec::len), Some(3), "{summary:#}");
    let formats = ask(&["data", "formats"]);
    assert_eq!(formats["compressions"][0]["name"], "none", "{formats:#}");
    let log = ["log", "--state", &state, "-n", "10000"];
    let kinds: BTreeSet<String> = print(&log).lines().map(|line| text(&check(&log, line)["kind"])).collect();
    for kind in ["started", "asked", "accepted", "noise_added", "sending", "sent", "ended", "waits"] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    let verified = ask(&["log", "verify", "--state", &state]);
    assert_eq!(verified["entries"].as_u64(), Some(print(&log).lines().count() as u64), "{verified:#}");
    let newest = text(&verified["newest"]);
    assert_eq!(ask(&["log", "verify", "--state", &state, "--noted", &newest]), verified);
    let unwell = |arguments: &[&str]| {
        let output =
            federation.program("eosfed-client").args(arguments).args(["--output", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        check(arguments, &String::from_utf8(output.stdout).unwrap())
    };
    let unwell = unwell(&["health", "--state", &state]);
    assert!(unwell["ok"] == false && text(&unwell["problem"]).contains("holds"), "no daemon: {unwell:#}");
    let folder = federation.path("undescribed");
    for class in ["dark", "bright"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        let name = format!("{class}/1-0.png");
        fs::copy(federation.path("east-data").join(&name), folder.join(&name)).unwrap();
    }
    let proposed = ask(&["data", "init", folder.to_str().unwrap()]);
    assert!(text(&proposed["file"]).ends_with("undescribed/dataset.toml"), "{proposed:#}");
    let (image, part) = (folder.join("dark/1-0.png"), federation.path("part"));
    let (image, part) = (image.to_str().unwrap(), part.to_str().unwrap());
    // Its `--output` is the folder.
    let crop =
        ["data", "crop", "--image", image, "--window", "4,8,16,12", "--output", part, "--format", "json"];
    let output = succeed(federation.program("eosfed-client").args(crop));
    let cropped = check(&crop, &String::from_utf8(output.stdout).unwrap());
    assert_eq!((&cropped[0]["bands"], &cropped[0]["window"]["top"]), (&3.into(), &8.into()), "{cropped:#}");
    let explained = ask(&["policy", "explain", "--policy", &policy_text]);
    assert!(explained["plan"].is_null() && explained["policy"]["may_leave"].is_array(), "{explained:#}");
    let plan = federation.path("explained.toml").to_str().unwrap().to_owned();
    fs::write(&plan, rounds(1, 2, 2, "10m").text()).unwrap();
    let explain = ["policy", "explain", "--policy", &policy_text, "--plan", &plan, "--state", &state];
    let explained = ask(&explain);
    assert_eq!(explained["plan"]["refused"], false, "{explained:#}");
    assert_eq!(explained["plan"]["privacy"]["has_room"], true, "{explained:#}");
    ask(&["jobs", "--state", &state]);
    let checked = ask(&["check", "--state", &state]);
    assert_eq!((&checked["ok"], &checked["findings"][0]["what"]), (&true.into(), &"identity".into()));
    // What is refused is said in the document and by the exit code.
    fs::write(&policy, format!("{privacy}{}", lax.replace("\"fed-avg\"", "\"median\""))).unwrap();
    let output =
        federation.program("eosfed-client").args(explain).args(["--output", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let refused = check(&explain, &String::from_utf8(output.stdout).unwrap());
    let training = &refused["plan"]["assignments"][1];
    assert_eq!(refused["plan"]["refused"], true);
    assert!(training["objections"].to_string().contains("`allow.strategies` lacks `fed-avg`"), "{refused:#}");
    let run = run.into_inner();
    assert_eq!(run, schemas::commands("eosfed-client"));
}
