mod browser;
mod world;

use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use eosfed_common::identity::Role;
use eosfed_web::{Hosts, MAX_STREAMS, guard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::routes;
use world::{Size, World};

fn router(world: &World) -> Router {
    routes(world.dashboard.clone()).layer(from_fn_with_state(Hosts::of_this_machine(), guard))
}

/// The status, the headers as text, and the body of an answer.
async fn ask(router: &Router, address: &str, headers: &[(&str, &str)]) -> (StatusCode, String, String) {
    let mut request = Request::builder().uri(address).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, said) = (answer.status(), format!("{:?}", answer.headers()));
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, said, String::from_utf8_lossy(&body).into_owned())
}

/// All pages of a federation, one of each kind.
fn addresses(world: &World) -> Vec<String> {
    let job = &world.job;
    let fixed = [
        "/",
        "/institutions",
        "/institutions/west",
        "/jobs",
        "/jobs?state=paused",
        "/specialists",
        "/scores",
        "/lineage",
        "/releases",
        "/releases/1",
        "/energy",
        "/events",
        "/events?kind=job_submitted",
        "/storage",
    ];
    let of_jobs = [format!("/jobs/{job}"), format!("/jobs/{job}/rounds/1"), "/jobs/j-0000000e".to_owned()];
    let specialist = world.dashboard.engine.read(|state| {
        let first = state.registry.specialists.keys().next();
        first.map(|(name, version)| format!("/specialists/{name}@{version}"))
    });
    fixed.into_iter().map(str::to_owned).chain(of_jobs).chain(specialist).collect()
}

const SMALL: Size = Size { institutions: 6, rounds: 12 };
const LARGE: Size = Size { institutions: 200, rounds: 1000 };

#[tokio::test]
async fn nothing_is_seen_without_a_session() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    for address in addresses(&world).iter().map(String::as_str).chain(["/live"]) {
        for cookie in ["", "eosfed-session=", "eosfed-session=0123", "eosfed-session=../../etc", "other=1"] {
            let (status, _, body) = ask(&router, address, &[("cookie", cookie)]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{address} with {cookie:?}");
            assert!(body.contains("eosfed dashboard open") && !body.contains("land cover"), "{address}");
        }
    }
}

#[tokio::test]
async fn an_operator_sees_every_page_under_a_strict_policy() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Operator, "ada").await;
    for address in addresses(&world) {
        let (status, headers, body) = ask(&router, &address, &[("cookie", &cookie)]).await;
        assert_eq!(status, StatusCode::OK, "{address}: {body}");
        for needed in
            ["default-src 'none'; script-src 'self'", "frame-ancestors 'none'", "no-store", "nosniff"]
        {
            assert!(headers.contains(needed), "{address} has no {needed}: {headers}");
        }
        assert!(!body.contains("<script>alert") && !body.contains("<img"), "{address}");
    }
}

#[tokio::test]
async fn a_reader_sees_what_is_released_only() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Reader, "rita").await;
    let open = ["/jobs", "/jobs?state=paused", "/specialists", "/releases", "/releases/1"];
    for address in addresses(&world) {
        let (status, _, body) = ask(&router, &address, &[("cookie", &cookie)]).await;
        let is_open = open.contains(&address.as_str())
            || address.starts_with("/specialists/")
            || (address.starts_with("/jobs/") && !address.contains("/rounds/"));
        let wanted = if is_open { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(status, wanted, "{address}");
        assert!(!body.contains("Scores at institutions") && !body.contains("id=\"now\""), "{address}");
    }
}

#[tokio::test]
async fn a_release_shows_what_its_heads_have_learned_to_select() {
    let world = World::friendly(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Reader, "rita").await;
    let (_, _, release) = ask(&router, "/releases/1", &[("cookie", &cookie)]).await;
    // The strongest of six, in the row of its specialist and first in that of the head.
    for needed in ["0.920", "0.770", "flood extent", "mean_iou", "has learned", "+0.233", "better without it"]
    {
        assert!(release.contains(needed), "{needed} is not on {release}");
    }
}

#[tokio::test]
async fn an_institution_that_shares_no_policy_has_a_page_that_says_so() {
    let world = World::friendly(SMALL).await;
    let cookie = world.cookie(Role::Operator, "ada").await;
    let (_, _, west) = ask(&router(&world), "/institutions/west", &[("cookie", &cookie)]).await;
    assert!(west.contains("shares nothing of its policy"), "{west}");
}

#[tokio::test]
async fn a_link_is_used_once_and_not_from_another_site() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let link = world.link(Role::Operator, "ada").await;
    let address = format!("/login?token={link}");
    let (status, headers, _) = ask(&router, &address, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{headers}");
    let (status, headers, _) = ask(&router, &address, &[("sec-fetch-site", "none")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(headers.contains("HttpOnly; SameSite=Strict; Path=/"), "{headers}");
    assert_eq!(ask(&router, &address, &[]).await.0, StatusCode::UNAUTHORIZED, "used");
    let cookie = world.cookie(Role::Operator, "ada").await;
    assert_eq!(
        ask(&router, &address, &[("cookie", &cookie)]).await.0,
        StatusCode::SEE_OTHER,
        "logged in already"
    );
    let (status, headers, _) = ask(&router, "/logout", &[("cookie", &cookie)]).await;
    assert!(status == StatusCode::UNAUTHORIZED && headers.contains("Max-Age=0"), "{headers}");
    assert_eq!(ask(&router, "/", &[("cookie", &cookie)]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_revoked_operator_sees_nothing_more() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Reader, "rita").await;
    assert_eq!(ask(&router, "/releases", &[("cookie", &cookie)]).await.0, StatusCode::OK);
    let revoke = crate::domain::federation::members::Revoke {
        of: eosfed_common::identity::Identity { role: Role::Reader, name: "rita".parse().unwrap() },
        reason: String::new(),
        remove: false,
    };
    let revoke = async move |core: &crate::engine::Core| core.revoke(revoke, "ada".parse().unwrap()).await;
    world.dashboard.engine.call(revoke).await.unwrap();
    assert_eq!(ask(&router, "/releases", &[("cookie", &cookie)]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn hostile_addresses_get_a_sentence() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Operator, "ada").await;
    let long = format!("/jobs/{}", "x".repeat(4000));
    for address in [
        "/jobs/../../etc/passwd",
        "/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/jobs/%00",
        "/institutions/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/specialists/a@99999999999999999999",
        "/releases/4294967296",
        "/releases/-1",
        "/jobs?after=%7B",
        "/jobs?state=%3Cscript%3E",
        "/jobs/latest/rounds/0?from=18446744073709551615",
        "/jobs/latest?from=18446744073709551615",
        "/events?before=18446744073709551615&kind=nothing",
        "/events?job=%E2%80%AE",
        "/assets/..%2f..%2fstyle.css",
        "/assets/nothing.js",
        "/nowhere",
        &long,
    ] {
        let (status, _, body) = ask(&router, address, &[("cookie", &cookie)]).await;
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{address}: {body}");
        assert!(!body.contains("<script>alert") && body.len() < 100_000, "{address}: {body}");
    }
    let foreign = Request::builder().uri("/").header("host", "evil.example").header("cookie", &cookie);
    let answer = router.clone().oneshot(foreign.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "a name that was bound to this machine");
}

#[tokio::test]
async fn streams_of_changes_are_bounded_and_pages_go_on() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Operator, "ada").await;
    let open = async || {
        let request = Request::builder().uri("/live").header("host", "localhost").header("cookie", &cookie);
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let mut streams = Vec::new();
    let mut refused = 0;
    for _ in 0..10_000 {
        let answer = open().await;
        if answer.status() == StatusCode::OK { streams.push(answer) } else { refused += 1 }
    }
    assert_eq!((streams.len(), refused), (MAX_STREAMS, 10_000 - MAX_STREAMS));
    assert_eq!(ask(&router, "/", &[("cookie", &cookie)]).await.0, StatusCode::OK);
    // A stream that nobody reads any more makes room.
    drop(streams);
    let mut tries = 0;
    while open().await.status() != StatusCode::OK {
        tries += 1;
        assert!(tries < 100, "the streams were not given back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The same over real connections, all of which their holder keeps.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_open_streams_leave_room_for_pages() {
    let world = World::filled(SMALL).await;
    let cookie = world.cookie(Role::Operator, "ada").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(eosfed_web::serve(listener, router(&world), || {}, eosfed_web::LIMITS));
    let status = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut head = [0; 12];
        let status = match stream.read_exact(&mut head).await {
            Ok(_) => String::from_utf8_lossy(&head[9..]).into_owned(),
            Err(_) => "closed".to_owned(),
        };
        (status, stream)
    };
    let mut found = std::collections::BTreeMap::<String, usize>::new();
    let mut kept = Vec::new();
    for _ in 0..10_000 {
        let (status, stream) = status("/live").await;
        *found.entry(status).or_default() += 1;
        // The test itself has a limit of open files.
        if kept.len() < 500 {
            kept.push(stream);
        }
    }
    assert_eq!(found.get("200"), Some(&MAX_STREAMS), "{found:?}");
    assert_eq!(found.get("503"), Some(&(10_000 - MAX_STREAMS)), "each is told why: {found:?}");
    assert_eq!(status("/").await.0, "200", "pages go on");
}

#[tokio::test]
async fn hostile_headers_get_a_sentence_or_nothing() {
    let world = World::filled(SMALL).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Operator, "ada").await;
    let long = "x".repeat(8000);
    for (name, value) in [
        ("cookie", "eosfed-session=\u{e9}; ;;=;"),
        ("cookie", long.as_str()),
        ("cookie", "eosfed-session=' OR 1=1 --"),
        ("authorization", "Basic YWRhOmFkYQ=="),
        ("x-forwarded-user", "ada"),
        ("x-real-ip", "127.0.0.1"),
        ("x-client-cert", "CN=operator:ada"),
    ] {
        let (status, _, body) = ask(&router, "/", &[(name, value)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {body}");
    }
    for (name, value) in [
        ("range", "bytes=0-1,5-9999999"),
        ("accept", "*/*;q=-1"),
        ("if-none-match", "*"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-host", "evil.example"),
        ("origin", "https://evil.example"),
    ] {
        let (status, headers, body) = ask(&router, "/", &[("cookie", &cookie), (name, value)]).await;
        assert!(status == StatusCode::OK && !body.contains("evil.example"), "{name}: {status}");
        assert!(!headers.contains("access-control-allow-origin"), "{name}: {headers}");
    }
    for host in ["localhost, evil.example", "localhost\\evil", "evil.example#localhost", "[::1"] {
        let request = Request::builder().uri("/").header("host", host).header("cookie", &cookie);
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let twice = Request::builder().uri("/").header("host", "localhost").header("host", "evil.example");
    let answer = router.clone().oneshot(twice.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "two hosts");
}

/// Every page of 200 institutions and 1,000 rounds, within 300 ms and 300 kB. The debug build is slower.
#[tokio::test]
async fn pages_of_a_large_federation_are_small_and_fast() {
    let world = World::filled(LARGE).await;
    let router = router(&world);
    let cookie = world.cookie(Role::Operator, "ada").await;
    let mut figures = Vec::new();
    for address in addresses(&world) {
        let started = Instant::now();
        let (status, _, body) = ask(&router, &address, &[("cookie", &cookie)]).await;
        let took = started.elapsed();
        assert_eq!(status, StatusCode::OK, "{address}");
        assert!(body.len() < 300_000, "{address} has {} bytes", body.len());
        figures.push(format!("{:>5} ms {:>7} B  {address}", took.as_millis(), body.len()));
    }
    println!("{}", figures.join("\n"));
}
