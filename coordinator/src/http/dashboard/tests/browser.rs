//! The pages in a real browser; `make dashboard-test` runs this. Needs chromium and node's npm for axe-core.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::middleware::from_fn_with_state;
use eosfed_common::assignment::{Directive, Progress};
use eosfed_common::identity::Role;
use eosfed_common::ids::AssignmentId;
use eosfed_web::{Hosts, guard};
use tokio::net::TcpListener;

use super::super::{Dashboard, routes};
use super::world::{Size, World, lease_of};
use super::{LARGE, SMALL, addresses};
use crate::engine::Core;

/// Serves a world on a port of its own; gives the address and a link into it.
async fn serve(world: &World) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = routes(world.dashboard.clone()).layer(from_fn_with_state(Hosts::of_this_machine(), guard));
    tokio::spawn(eosfed_web::serve(listener, routes, || {}, eosfed_web::LIMITS));
    let link = world.link(Role::Operator, "ada").await;
    (format!("{url}/login?token={link}"), url)
}

/// The next step of an institution that is at work.
async fn step(world: &World) {
    let engine = &world.dashboard.engine;
    let (institution, token) = engine.with_job(&world.job, lease_of).unwrap();
    let round = engine.with_job(&world.job, |job| job.current().unwrap().id()).unwrap();
    let id = AssignmentId { job: world.job.clone(), round: round.round, attempt: round.attempt, institution };
    let progress = Progress { step: 399, steps: 400, points: Vec::new() };
    let told =
        engine.call(async move |core: &Core| core.heartbeat(&id, &token, progress).await).await.unwrap();
    assert!(matches!(told, Directive::Continue(_)), "{told:?}");
}

fn script() -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/dashboard/browser.py");
    let mut command = Command::new("python3");
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium; `make dashboard-test` runs it"]
async fn the_pages_in_a_real_browser() {
    if std::env::var_os("EOSFED_SCREENSHOTS").is_some() {
        let picture = World::friendly(Size { institutions: 8, rounds: 12 }).await;
        return look(&[("picture", &picture)]).await;
    }
    let empty = World::empty().await;
    let large = World::filled(LARGE).await;
    let wide = World::filled(Size { institutions: 200, rounds: 3 }).await;
    // It is made last and seen first, so that its times are recent.
    let small = World::filled(SMALL).await;
    look(&[("small", &small), ("empty", &empty), ("large", &large), ("wide", &wide)]).await;
}

/// Lets the browser look at these worlds. The one called `small` takes a step meanwhile.
async fn look(worlds: &[(&str, &World)]) {
    let mut order = serde_json::Map::new();
    for (name, world) in worlds {
        let (login, url) = serve(world).await;
        let mut value =
            serde_json::json!({ "login": login, "url": url, "pages": addresses(world), "job": world.job });
        if *name == "small" {
            value["crowded"] = true.into();
            value["live"] = serde_json::json!([format!("/jobs/{}", world.job), "399 / 400"]);
        }
        order.insert((*name).to_owned(), value);
    }
    let mut taken = Vec::new();
    let mut child = script();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", serde_json::Value::Object(order)).unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    for line in output.lines() {
        let line = line.unwrap();
        println!("{line}");
        if let Some((_, small)) = worlds.iter().find(|_| line == "STEP small") {
            step(small).await;
        }
        if let Some((_, small)) = worlds.iter().find(|_| line == "FLOOD small") {
            let Dashboard { streams, engine, .. } = &small.dashboard;
            taken.extend(std::iter::from_fn(|| streams.open(engine.changes(), || true)));
            writeln!(input, "READY").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "the browser has found something");
}
