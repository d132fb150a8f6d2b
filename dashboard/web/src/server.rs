//! Connections: how many, how long, and how much of a request is read.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// The same of one address.
    pub per_address: usize,
    /// Time from the start of a request, or from the end of the one before, to the end of its headers.
    headers: Duration,
    /// Most bytes of the headers of a request, its path included.
    header_bytes: usize,
    /// Most headers of a request.
    header_count: usize,
    /// How long a connection may last, whatever it does.
    age: Duration,
}

/// The limits of a listener for one machine.
pub const LIMITS: Limits = Limits {
    connections: 128,
    per_address: 128,
    headers: Duration::from_secs(15),
    header_bytes: 16 * 1024,
    header_count: 64,
    age: Duration::from_secs(3600),
};

/// The limits of a listener that other machines can reach: one of them cannot take all connections.
pub const REMOTE_LIMITS: Limits = Limits { per_address: 32, ..LIMITS };

/// The time for headers while more than half of the connections are taken: silent ones then make room for pages.
const CROWDED: Duration = Duration::from_secs(2);

/// What a connection beyond the limits is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\
    retry-after: 2\r\nconnection: close\r\ncontent-length: 68\r\n\r\n\
    there are as many connections as there may be; try again in seconds\n";

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the system keeps until they are accepted. When there are more, it drops them, and their other ends
/// try again after a second. The library's own number is 128, which a crowd fills in milliseconds.
const BACKLOG: u32 = 1024;

/// Listens on an address.
///
/// # Errors
/// The error of the system.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A coordinator that is started again takes the address of the one before at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves over plain TCP until it is dropped; open connections are then closed. `refused` hears of each
/// connection that was closed at once.
pub async fn serve(listener: TcpListener, routes: Router, refused: impl Fn() + Send, limits: Limits) {
    let accept = move |stream, _| std::future::ready(Ok((stream, routes.clone())));
    let refused = move |stream| {
        turn_away(stream);
        refused();
    };
    serve_with(listener, accept, refused, limits).await;
}

/// Tells a connection why it is closed, as far as that needs no waiting. What it has sent is read first: the system
/// would withdraw the answer otherwise.
fn turn_away(stream: TcpStream) {
    let Ok(mut stream) = stream.into_std() else { return };
    let mut sent = [0; 4096];
    for _ in 0..4 {
        if !stream.read(&mut sent).is_ok_and(|read| read > 0) {
            break;
        }
    }
    // Whoever does not take it is closed all the same.
    let _ = stream.write(FULL);
}

/// As [`serve`], with what `accept` makes of a connection, such as one with TLS, and what is served to it. `refused`
/// gets each connection that is closed at once.
pub async fn serve_with<S, F>(
    listener: TcpListener,
    accept: impl Fn(TcpStream, SocketAddr) -> F + Send,
    refused: impl Fn(TcpStream) + Send,
    limits: Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<(S, Router)>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::default();
    let stop = CancellationToken::new();
    let _stop_connections = stop.clone().drop_guard();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = addresses.enter(address.ip(), limits.per_address);
        let (Ok(permit), Some(place)) = (Arc::clone(&free).try_acquire_owned(), place) else {
            refused(stream);
            continue;
        };
        let crowded = free.available_permits() < limits.connections / 2;
        let headers = if crowded { limits.headers.min(CROWDED) } else { limits.headers };
        let limits = Limits { headers, ..limits };
        let (accepting, stop) = (accept(stream, address), stop.clone());
        tokio::spawn(async move {
            let served = tokio::time::timeout(limits.age, async move {
                match accepting.await {
                    Ok((stream, routes)) => connection(stream, routes, limits).await,
                    Err(error) => tracing::debug!(%address, %error, "a connection has not begun"),
                }
            });
            stop.run_until_cancelled(served).await;
            drop((permit, place));
        });
    }
}

/// The number of connections of each address.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, until it is dropped.
#[derive(Debug)]
struct Place(Addresses, IpAddr);

impl Addresses {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless the address has so many.
    fn enter(&self, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, routes: Router, limits: Limits) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    builder.header_read_timeout(limits.headers);
    builder.max_buf_size(limits.header_bytes).max_headers(limits.header_count);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection has ended");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    /// A listener with these limits, its address and the number of refused connections.
    async fn start(limits: Limits) -> (SocketAddr, Arc<AtomicU64>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = Arc::<AtomicU64>::default();
        let count = Arc::clone(&refused);
        let count = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let routes = Router::new().route("/", get(async || "here"));
        let serving = tokio::spawn(serve(listener, routes, count, limits));
        (address, refused, serving)
    }

    /// What a connection answers to these bytes until it is closed.
    async fn answer(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The other side may have closed it already.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn long_and_many_headers_are_refused() {
        let (address, ..) = start(LIMITS).await;
        assert!(answer(address, ASK).await.starts_with("HTTP/1.1 200 OK"));
        let path = "x".repeat(LIMITS.header_bytes);
        let long = format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let said = answer(address, long.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 431") || said.starts_with("HTTP/1.1 414"), "{said:?}");
        let headers: String = (0..=LIMITS.header_count).map(|n| format!("x-{n}: y\r\n")).collect();
        let said = answer(address, format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 431"), "{said:?}");
    }

    #[tokio::test]
    async fn silent_and_old_connections_are_closed() {
        let second = Duration::from_secs(1);
        let (address, _, _serving) = start(Limits { headers: second, ..LIMITS }).await;
        let keep_alive = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        for beginning in [&b"GET / HT"[..], b"", keep_alive] {
            let started = Instant::now();
            let said = answer(address, beginning).await;
            let took = started.elapsed();
            assert!(took >= second && took < 5 * second, "{took:?} {said:?}");
        }
        let (address, _, _serving) = start(Limits { age: second, ..LIMITS }).await;
        let started = Instant::now();
        assert!(answer(address, keep_alive).await.contains("here"));
        assert!(started.elapsed() < 5 * second);
    }

    #[tokio::test]
    async fn silent_connections_make_room_sooner_in_a_crowd() {
        let (address, _, _serving) = start(Limits { connections: 4, ..LIMITS }).await;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let started = Instant::now();
        while !answer(address, ASK).await.starts_with("HTTP/1.1 200 ") {
            assert!(started.elapsed() < LIMITS.headers / 2, "no silent connection has made room");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(started.elapsed() >= CROWDED / 2, "what is silent is closed after a while");
    }

    #[tokio::test]
    async fn one_address_has_not_all_connections() {
        let (address, refused, _serving) = start(Limits { per_address: 1, ..LIMITS }).await;
        let first = TcpStream::connect(address).await.unwrap();
        assert!(answer(address, ASK).await.starts_with("HTTP/1.1 503 "));
        assert_eq!(refused.load(Ordering::Relaxed), 1);
        drop(first);
        let patience = Instant::now() + Duration::from_secs(10);
        while !answer(address, ASK).await.starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < patience, "the place is given back");
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_are_closed_and_counted() {
        let (address, refused, serving) = start(Limits { connections: 2, ..LIMITS }).await;
        let first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let said = answer(address, ASK).await;
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 2"), "{said}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{said}");
        assert_eq!(refused.load(Ordering::Relaxed), 1);
        drop(first);
        // The server sees the end of the first one a moment later.
        let patience = Instant::now() + Duration::from_secs(10);
        while !answer(address, ASK).await.starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < patience);
        }
        serving.abort();
        let _ = serving.await;
        let ended = second.read(&mut [0; 1]).await.unwrap();
        assert_eq!(ended, 0, "an open connection ends with the listener");
    }
}
