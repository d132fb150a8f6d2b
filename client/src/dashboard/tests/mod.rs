mod browser;
mod world;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use eosfed_common::digest::Digest;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tower::ServiceExt as _;

use crate::privacy::Charge;
use crate::site_log::{Entry, EntryKind};
use crate::spent::Spent;
use world::{WEIGHTS, World};

/// The pages, one of each kind.
const ADDRESSES: [&str; 10] = [
    "/",
    "/decisions",
    "/decisions?kind=refused",
    "/left",
    "/budgets",
    "/policy",
    "/log",
    "/log?job=j-0a1b2c3d",
    "/log?before=5",
    "/log/4",
];

/// Text that wants to be more than text.
fn hostile() -> String {
    format!(
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u{5e9}\u{5dc}\u{5d5}\u{5dd} {}",
        "w".repeat(200)
    )
}

async fn ask(router: &Router, address: &str, cookie: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::builder().uri(address).header("host", "localhost").header("cookie", cookie);
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec())
}

async fn page(router: &Router, address: &str, cookie: &str) -> (StatusCode, String) {
    let (status, _, body) = ask(router, address, cookie).await;
    (status, String::from_utf8(body).unwrap())
}

/// The pages and the cookie of a session that was begun with the link.
async fn open(world: &World) -> (Router, String) {
    let link = world.pages.link(&mut ChaCha12Rng::seed_from_u64(1));
    let router = world.pages.clone().routes();
    let (status, headers, _) = ask(&router, &link, "").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(ask(&router, &link, "").await.0, StatusCode::UNAUTHORIZED, "a link is used once");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (router, cookie)
}

#[tokio::test]
async fn nothing_is_seen_without_a_session() {
    let world = World::filled("land cover");
    let router = world.pages.clone().routes();
    for address in ADDRESSES.into_iter().chain(["/live", "/kept/28"]) {
        for cookie in ["", "eosfed-client-session=", "eosfed-client-session=0123", "eosfed-session=1"] {
            let (status, body) = page(&router, address, cookie).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{address}");
            assert!(body.contains("eosfed-client dashboard") && !body.contains("land cover"), "{body}");
        }
    }
    let foreign = Request::builder().uri("/").header("host", "evil.example").body(Body::empty()).unwrap();
    let answer = router.oneshot(foreign).await.unwrap();
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn every_page_is_strict_small_and_shows_hostile_text_as_text() {
    let world = World::filled(&hostile());
    let (router, cookie) = open(&world).await;
    for address in ADDRESSES {
        let (status, headers, body) = ask(&router, address, &cookie).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, StatusCode::OK, "{address}: {body}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(!body.contains("<script>alert") && !body.contains("<img"), "{address}");
        assert!(body.len() < 300_000, "{address} has {} bytes", body.len());
    }
}

#[tokio::test]
async fn the_pages_say_what_was_asked_decided_and_by_whom() {
    let world = World::filled("land cover of the coast");
    let (router, cookie) = open(&world).await;
    let (_, decisions) = page(&router, "/decisions", &cookie).await;
    for needed in [
        "land cover of the coast",
        "`may_leave` lacks `frozen_weights`",
        "approved by m.duval",
        "1 batch to a step",
        // Neither times nor digests break.
        "until <time",
        "terms: <code class=\"whole\" title=\"sha256:",
        "the result was accepted",
    ] {
        assert!(decisions.contains(needed), "{needed} is not on {decisions}");
    }
    assert!(!decisions.contains("the file of weights"), "what has left is on another page");
    let (_, refused) = page(&router, "/decisions?kind=refused", &cookie).await;
    assert!(refused.contains("lacks `krum`") && !refused.contains("approved by"), "{refused}");
    let (_, overview) = page(&router, "/", &cookie).await;
    for needed in ["university-of-the-coast", "daemon does not run", "submitting", "56.3 MB"] {
        assert!(overview.contains(needed), "{needed} is not on {overview}");
    }
    let (_, budgets) = page(&router, "/budgets", &cookie).await;
    let report = crate::report::status(&world.site, world.pages.clock.now()).unwrap();
    assert_eq!(report.limits.as_ref().unwrap().used.jobs[0].used.sent_bytes, 56_304_128);
    for needed in ["upload_mb_per_day", "56.3 MB", "600 MB", "of 8.000 at delta", "j-0a1b2c3d"] {
        assert!(budgets.contains(needed), "{needed} is not on {budgets}");
    }
    let (_, policy) = page(&router, "/policy", &cookie).await;
    assert!(policy.contains("imagery and labels never leave"), "{policy}");
}

#[tokio::test]
async fn budgets_say_which_data_sets_they_are_for() {
    let world = World::filled("land cover");
    let (router, cookie) = open(&world).await;
    let (_, one) = page(&router, "/budgets", &cookie).await;
    assert!(!one.contains("data set"), "one without a name: {one}");
    let table = |name: &str| format!("\n[[dataset]]\nname = \"{name}\"\npath = \"/srv/{name}\"\n");
    let settings = "coordinator = \"https://coordinator.example.org:7443\"\n".to_owned();
    std::fs::write(world.site.settings(), settings + &table("coast") + &table("inland")).unwrap();
    let earlier = Spent::new(&world.site).spending().unwrap().updates()[0].clone();
    let assignment = "j-0000000b.0.1.university-of-the-coast".parse().unwrap();
    let dataset = Some("inland".parse().unwrap());
    let charge = Charge { digest: Digest::of(b"of inland"), assignment, dataset, ..earlier };
    world.site.charge(charge).unwrap();
    let (_, several) = page(&router, "/budgets", &cookie).await;
    for needed in ["its data sets coast and inland have them together", "Spent by data sets", ">inland<"] {
        assert!(several.contains(needed), "{needed} is not on {several}");
    }
}

#[tokio::test]
async fn what_has_left_is_given_out_byte_for_byte_or_said_to_be_gone() {
    let world = World::filled("land cover");
    let (router, cookie) = open(&world).await;
    let (_, left) = page(&router, "/left", &cookie).await;
    assert!(left.contains(&Digest::of(WEIGHTS).to_string()), "{left}");
    assert_eq!(left.matches("no longer kept here").count(), 3, "those of the rounds before: {left}");
    let download = left.split("href=\"").find_map(|rest| rest.strip_prefix("/kept/")).unwrap();
    let number: String = download.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("/kept/{number}");
    let (status, headers, body) = ask(&router, &address, &cookie).await;
    assert_eq!((status, &*body), (StatusCode::OK, WEIGHTS));
    assert!(headers["content-disposition"].to_str().unwrap().contains("j-0a1b2c3d.3.1"), "{headers:?}");
    // Bytes of the same number that are others.
    std::fs::write(world.file(), WEIGHTS.to_ascii_uppercase()).unwrap();
    let (status, said) = page(&router, &address, &cookie).await;
    assert!(status == StatusCode::NOT_FOUND && said.contains("no file here has its digest"), "{said}");
    std::fs::remove_file(world.file()).unwrap();
    let (status, said) = page(&router, &address, &cookie).await;
    assert!(status == StatusCode::NOT_FOUND && said.contains("no longer kept"), "{said}");
    assert_eq!(page(&router, "/left", &cookie).await.1.matches("no longer kept here").count(), 4);
    // An upload that was cut off: its weights were withheld, and are kept.
    let withheld = world.site.withheld(&World::id(3));
    std::fs::create_dir_all(withheld.parent().unwrap()).unwrap();
    std::fs::write(&withheld, WEIGHTS).unwrap();
    assert_eq!(ask(&router, &address, &cookie).await.2, WEIGHTS);
}

#[tokio::test]
async fn an_entry_is_shown_as_it_is_stored() {
    let world = World::filled("land cover");
    let (router, cookie) = open(&world).await;
    let mut stored = Vec::new();
    crate::site_log::Follower::new(&world.site.log()).each(|line| stored.push(line.to_owned())).unwrap();
    let (_, shown) = page(&router, "/log/4", &cookie).await;
    assert!(shown.contains(&stored[4].replace('"', "&quot;")), "{shown}");
    let address = format!("/log/{}", stored.len());
    assert_eq!(page(&router, &address, &cookie).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn long_logs_come_in_pages_of_which_each_is_small() {
    let world = World::empty();
    for number in 0..200 {
        let why = format!("{number} {}", "<&>".repeat(1300));
        world.note(1, Entry::of(&World::id(0), EntryKind::Waits { why }));
    }
    let (router, cookie) = open(&world).await;
    let mut address = "/log".to_owned();
    let mut seen = 0;
    loop {
        let (status, body) = page(&router, &address, &cookie).await;
        assert!(status == StatusCode::OK && body.len() < 300_000, "{} bytes", body.len());
        seen += body.matches("<span class=\"badge warn\">waits</span>").count();
        let Some(next) = body.split("href=\"").find_map(|rest| {
            rest.starts_with("/log?before=").then(|| rest.split('"').next().unwrap().to_owned())
        }) else {
            break;
        };
        address = next;
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn damage_is_shown_and_hostile_addresses_get_a_sentence() {
    let world = World::filled("land cover");
    let (router, cookie) = open(&world).await;
    std::fs::write(world.site.policy(), "allow = 7").unwrap();
    std::fs::write(world.site.path().join("privacy.json"), "{}").unwrap();
    for address in ["/", "/policy", "/budgets"] {
        let (status, body) = page(&router, address, &cookie).await;
        assert!(status == StatusCode::OK && body.contains("policy.toml"), "{address}: {body}");
    }
    let long = format!("/log/{}", "9".repeat(4000));
    for address in [
        "/log/-1",
        "/log/%00",
        "/log/..%2f..%2fkey.pem",
        "/kept/..%2fkey.pem",
        "/kept/0",
        "/kept/18446744073709551615",
        "/log?before=x",
        "/log?job=%3Cscript%3E",
        "/log?kind=lunch",
        "/decisions?kind=sent",
        "/assets/..%2fkey.pem",
        "/key.pem",
        &long,
    ] {
        let (status, body) = page(&router, address, &cookie).await;
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{address}: {body}");
        assert!(
            !body.contains("PRIVATE KEY") && !body.contains("<script>") && body.len() < 50_000,
            "{address}"
        );
    }
    std::fs::write(world.site.path().join("journal.json"), "{}").unwrap();
    let (status, said) = page(&router, "/", &cookie).await;
    assert!(status == StatusCode::INTERNAL_SERVER_ERROR && said.contains("journal.json"), "{said}");
}

#[tokio::test]
async fn an_institution_without_a_log_is_told_what_comes() {
    let world = World::empty();
    let (router, cookie) = open(&world).await;
    for address in ["/", "/decisions", "/left", "/budgets", "/policy", "/log"] {
        assert_eq!(page(&router, address, &cookie).await.0, StatusCode::OK, "{address}");
    }
    assert!(page(&router, "/left", &cookie).await.1.contains("Nothing has left yet"));
}
