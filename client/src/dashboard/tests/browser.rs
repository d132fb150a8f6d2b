//! The institution's page in a real browser; `make dashboard-test` runs this. Needs chromium, and npm for axe-core.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use eosfed_common::clock::SystemClock;
use tokio::net::TcpListener;

use super::super::{SitePages, serve};
use super::world::World;
use super::{ADDRESSES, hostile};
use crate::site_log::{Entry, EntryKind};

/// Serves the pages of a world; gives what the script asks for.
async fn served(world: &World) -> serde_json::Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (pages, watching) = SitePages::new(&world.site, Arc::new(SystemClock));
    let login = format!("{url}{}", pages.link(&mut rand::rng()));
    tokio::spawn(serve(listener, pages, watching));
    serde_json::json!({ "login": login, "url": url, "pages": ADDRESSES })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium; `make dashboard-test` runs it"]
async fn the_institutions_page_in_a_real_browser() {
    let site = World::filled("land cover of the coast");
    if std::env::var_os("EOSFED_SCREENSHOTS").is_some() {
        return look(&[("site-picture", &site)]).await;
    }
    let hostile = World::filled(&hostile());
    let empty = World::empty();
    look(&[("site", &site), ("site-hostile", &hostile), ("site-empty", &empty)]).await;
}

/// Lets the browser look at these worlds. The log of the one called `site` grows meanwhile.
async fn look(worlds: &[(&str, &World)]) {
    let mut order = serde_json::Map::new();
    for (name, world) in worlds {
        let mut told = served(world).await;
        if *name == "site" {
            told["live"] = serde_json::json!(["/decisions", "a new line of the log"]);
        }
        order.insert((*name).to_owned(), told);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/dashboard/browser.py");
    let mut command = Command::new("python3");
    let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", serde_json::Value::Object(order)).unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        if let Some((_, site)) = worlds.iter().find(|_| line == "STEP site") {
            let why = "a new line of the log".to_owned();
            site.note(0, Entry::of(&World::id(3), EntryKind::Waits { why }));
        }
    }
    assert!(child.wait().unwrap().success(), "the browser has found something");
}
