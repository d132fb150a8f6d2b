//! The daemon behind an HTTP proxy: what passes through it, how it can fail, and the errors for that.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eosfed_client::coordinator::{Coordinator as _, GrpcCoordinator};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_e2e::connect::ConnectProxy;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::proxy::Proxy;

use crate::world::{World, training, until};

/// A name of a tensor, which stands in the clear in files of weights.
const TENSOR: &[u8] = b"stages.0.blocks.0";

async fn behind(proxy: &ConnectProxy) -> World {
    let mut world = World::new(training(), &crate::good()).await;
    world.way = ChannelOptions::through(Some(Proxy::new(&proxy.url(), None).unwrap()));
    world
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_goes_through_a_proxy_that_cannot_read_it() {
    let proxy = ConnectProxy::start(0);
    let world = behind(&proxy).await;
    world.run().await;
    assert_eq!(world.fake.get().updates.len(), 1);
    let expected = world.url().trim_start_matches("https://");
    assert!(proxy.targets().iter().all(|target| target == expected) && !proxy.targets().is_empty());
    let seen = proxy.switches.seen.lock().unwrap();
    assert!(seen.len() > 13_000_000, "all of it went this way: {}", seen.len());
    assert!(contains(&std::fs::read(&crate::WEIGHTS.1).unwrap(), TENSOR), "or this would show nothing");
    assert!(!contains(&seen, TENSOR));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_is_cut_in_an_upload_is_opened_again_and_the_upload_goes_on() {
    let proxy = ConnectProxy::start(0);
    let world = behind(&proxy).await;
    proxy.switches.cut_at.store(6_000_000, Ordering::SeqCst);
    world.run().await;
    let inner = world.fake.get();
    assert_eq!(inner.updates.len(), 1);
    assert!(proxy.targets().len() >= 2, "{:?}", proxy.targets());
    let [first, .., last] = inner.offsets[..] else { panic!("two uploads: {:?}", inner.offsets) };
    assert!(first == 0 && last >= 1 << 20, "{:?}", inner.offsets);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_waits_for_a_proxy_that_is_down_or_refuses() {
    let proxy = ConnectProxy::start(0);
    let (port, world) = (proxy.port(), behind(&proxy).await);
    drop(proxy);
    let refusal = world.coordinator().hello().await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unavailable);
    assert!(
        refusal.message.contains("cannot be reached") && refusal.message.contains("`proxy`"),
        "{refusal}"
    );
    let (_cancel, task) = world.start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let proxy = ConnectProxy::start(port);
    proxy.switches.refuse.store(503, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.fake.get().tokens.is_empty());
    proxy.switches.refuse.store(0, Ordering::SeqCst);
    until(|| world.fake.get().updates.len() == 1).await;
    task.await.unwrap().unwrap();
}

async fn greeting(
    world: &World,
    credentials: Option<&Path>,
    proxy: &ConnectProxy,
) -> Result<String, Refusal> {
    let way = ChannelOptions::through(Some(Proxy::new(&proxy.url(), credentials).unwrap()));
    world.coordinator_by(way).hello().await.map(|greeting| greeting.institution)
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_status_and_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let proxy = ConnectProxy::start(0);
    let world = World::new(training(), "exit 1").await;
    for (status, words) in
        [(403, "allow CONNECT"), (502, "cannot reach the coordinator"), (418, "ask its administrator")]
    {
        proxy.switches.refuse.store(status, Ordering::SeqCst);
        let refusal = greeting(&world, None, &proxy).await.unwrap_err();
        let said = refusal.message;
        assert_eq!(refusal.reason, Reason::Unavailable, "{said}");
        assert!(said.contains(&format!("status {status}")) && said.contains(words), "{said}");
    }
    proxy.switches.refuse.store(0, Ordering::SeqCst);
    "Basic d2VzdDo1ZWNyZXQ=".clone_into(&mut proxy.switches.authorization.lock().unwrap());
    let said = greeting(&world, None, &proxy).await.unwrap_err().message;
    assert!(said.contains("status 407") && said.contains("set `proxy_credentials_file`"), "{said}");
    let file = world.path("credentials");
    std::fs::write(&file, "west:wr0ng\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = greeting(&world, Some(&file), &proxy).await.unwrap_err().message;
    assert!(said.contains("check user and password") && !said.contains("wr0ng"), "{said}");
    std::fs::write(&file, "west:5ecret\n").unwrap();
    assert_eq!(greeting(&world, Some(&file), &proxy).await.unwrap(), "west");
}

#[tokio::test]
async fn a_server_that_is_no_http_proxy_is_recognised() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for (says, words) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "as HTTP proxies do"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01", "as HTTP proxies do"),
        (b"HTTP/1.1 20", "closed the connection"),
        (b"", "closed the connection"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let server = tokio::spawn(async move {
            let (mut caller, _) = listener.accept().await.unwrap();
            let read = caller.read(&mut [0; 1024]).await.unwrap();
            caller.write_all(says).await.unwrap();
            read
        });
        let error = proxy.tunnel(&"https://coordinator:7443".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&proxy.to_string()), "{error}");
        assert!(server.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_died_silently_is_found_and_replaced() {
    let proxy = ConnectProxy::start(0);
    let world = World::new(training(), "exit 1").await;
    let way = ChannelOptions {
        server_name: None,
        proxy: Some(Proxy::new(&proxy.url(), None).unwrap()),
        keep_alive: Duration::from_millis(250),
        ..ChannelOptions::default()
    };
    let coordinator: GrpcCoordinator = world.coordinator_by(way);
    coordinator.hello().await.unwrap();
    proxy.switches.frozen.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    let refusal = coordinator.hello().await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Unavailable);
    let waited = asked.elapsed();
    assert!(
        waited < Duration::from_secs(10),
        "found by its silence, not by the timeout of a call: {waited:?}"
    );
    proxy.switches.frozen.store(false, Ordering::SeqCst);
    coordinator.hello().await.unwrap();
    assert_eq!(proxy.targets().len(), 2);
}
