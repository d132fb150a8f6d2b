//! A network with faults: a TCP proxy in front of a coordinator. Its connections can be cut, at once or after
//! a number of bytes, or become silent without being closed. It counts the bytes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often a silent or waiting connection checks for changes.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// No limit.
const NEVER: u64 = u64::MAX;

/// The mode of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Bytes are forwarded.
    Pass,
    /// All connections are closed, including new ones.
    Cut,
    /// Connections stay open, and nothing is forwarded.
    Silent,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    mode: Mutex<Mode>,
    /// Connections that were made before the last call of `forget` stay silent.
    lost: AtomicU64,
    made: AtomicU64,
    /// Connections that were accepted during silence and are not forwarded.
    waiting: AtomicU64,
    ended: AtomicBool,
    up: AtomicU64,
    down: AtomicU64,
    cut_up_at: AtomicU64,
    cut_down_at: AtomicU64,
}

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Forwards everything to `target` on this machine.
    pub fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target,
            mode: Mutex::new(Mode::Pass),
            lost: AtomicU64::new(0),
            made: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            cut_up_at: AtomicU64::new(NEVER),
            cut_down_at: AtomicU64::new(NEVER),
        });
        let accepting = Arc::clone(&shared);
        spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that were forwarded to the coordinator.
    pub fn up(&self) -> u64 {
        self.shared.up.load(Ordering::SeqCst)
    }

    /// Bytes that were forwarded from the coordinator.
    pub fn down(&self) -> u64 {
        self.shared.down.load(Ordering::SeqCst)
    }

    /// Forwards everything.
    pub fn pass(&self) {
        self.shared.set(Mode::Pass);
    }

    /// Closes every connection, and new ones until [`Proxy::pass`].
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }

    /// Cuts connections after this number of further bytes to the coordinator.
    pub fn cut_after_up(&self, bytes: u64) {
        self.shared.cut_up_at.store(self.up() + bytes, Ordering::SeqCst);
    }

    /// Cuts connections after this number of further bytes from the coordinator.
    pub fn cut_after_down(&self, bytes: u64) {
        self.shared.cut_down_at.store(self.down() + bytes, Ordering::SeqCst);
    }

    /// Connections that were accepted and are not forwarded.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    pub fn is_cut(&self) -> bool {
        self.shared.mode() == Mode::Cut
    }

    /// Forwards nothing until [`Proxy::pass`]. All connections stay open.
    pub fn fall_silent(&self) {
        self.shared.set(Mode::Silent);
    }

    /// Behaves like a router that has lost its state: existing connections forward nothing and are never
    /// closed; new ones work.
    pub fn forget(&self) {
        self.shared.lost.store(self.shared.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn has_lost(&self, number: u64) -> bool {
        number <= self.lost.load(Ordering::SeqCst)
    }

    /// Counts forwarded bytes, and cuts at the limit.
    fn count(&self, upward: bool, bytes: usize) {
        let (counter, limit) =
            if upward { (&self.up, &self.cut_up_at) } else { (&self.down, &self.cut_down_at) };
        let total = counter.fetch_add(bytes as u64, Ordering::SeqCst) + bytes as u64;
        if total >= limit.load(Ordering::SeqCst) {
            limit.store(NEVER, Ordering::SeqCst);
            self.set(Mode::Cut);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.made.fetch_add(1, Ordering::SeqCst) + 1;
        let shared = Arc::clone(shared);
        spawn(move || open(client, &shared, number));
    }
}

fn open(client: TcpStream, shared: &Arc<Shared>, number: u64) {
    shared.waiting.fetch_add(1, Ordering::SeqCst);
    while (shared.mode() == Mode::Silent || shared.has_lost(number)) && !shared.ended.load(Ordering::SeqCst) {
        sleep(CHECK_INTERVAL);
    }
    shared.waiting.fetch_sub(1, Ordering::SeqCst);
    if shared.mode() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target)) else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(CHECK_INTERVAL)).unwrap();
    }
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let sharing = Arc::clone(shared);
    spawn(move || carry(back.0, back.1, &sharing, number, false));
    carry(client, server, shared, number, true);
}

/// Transfers bytes from one end to the other until either closes or the network is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared, number: u64, upward: bool) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let silent = shared.mode() == Mode::Silent || shared.has_lost(number);
        if shared.ended.load(Ordering::SeqCst) || shared.mode() == Mode::Cut {
            break;
        }
        if silent {
            sleep(CHECK_INTERVAL);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
                shared.count(upward, read);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
