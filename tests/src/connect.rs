//! A small HTTP proxy that implements `CONNECT` only, on its own port of the loopback interface, with
//! switches for the failures of proxies.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The switches and the records of the proxy.
#[derive(Debug, Default)]
pub struct Switches {
    /// The status of every answer; 0: tunnels are opened.
    pub refuse: AtomicU16,
    /// The header `Proxy-Authorization` that callers must send; empty: none.
    pub authorization: Mutex<String>,
    /// A tunnel is cut, once, after this number of upstream bytes; 0: never.
    pub cut_at: AtomicU64,
    /// Tunnels stay open and transfer nothing.
    pub frozen: AtomicBool,
    /// The targets of tunnels.
    pub targets: Mutex<Vec<String>>,
    /// All upstream bytes.
    pub seen: Mutex<Vec<u8>>,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct ConnectProxy {
    port: u16,
    pub switches: Arc<Switches>,
    listener: Option<JoinHandle<()>>,
}

impl ConnectProxy {
    /// Starts on this port. 0 takes a free port.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        let listener = std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A caller that disconnects early does not affect the others.
                std::thread::spawn(move || client.and_then(|client| serve(client, &shared)));
            }
        });
        Self { port, switches, listener: Some(listener) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The targets of tunnels so far.
    pub fn targets(&self) -> Vec<String> {
        self.switches.targets.lock().unwrap().clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.switches.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends: nobody connects to this port any more.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.listener.take().map(JoinHandle::join);
        for stream in self.switches.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut client: TcpStream, switches: &Arc<Switches>) -> std::io::Result<()> {
    switches.open.lock().unwrap().push(client.try_clone()?);
    let head = head(&mut client)?;
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let wanted = switches.authorization.lock().unwrap().clone();
    let known = wanted.is_empty() || head.contains(&format!("Proxy-Authorization: {wanted}\r\n"));
    let status = match switches.refuse.load(Ordering::SeqCst) {
        0 if target.is_empty() => 400,
        0 if known => 200,
        0 => 407,
        status => status,
    };
    if status != 200 {
        return client.write_all(format!("HTTP/1.1 {status} No\r\n\r\n<h1>No</h1>").as_bytes());
    }
    switches.targets.lock().unwrap().push(target.to_owned());
    let Ok(server) = TcpStream::connect(target) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    };
    switches.open.lock().unwrap().push(server.try_clone()?);
    client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: a test\r\n\r\n")?;
    let from = server.try_clone()?;
    let to = client.try_clone()?;
    let shared = Arc::clone(switches);
    std::thread::spawn(move || pump(from, to, &shared, false));
    pump(client, server, switches, true);
    Ok(())
}

/// The head of a request, read byte by byte so that no later bytes are consumed.
fn head(client: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        if client.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Transfers bytes until either end closes.
fn pump(mut from: TcpStream, mut to: TcpStream, switches: &Switches, up: bool) {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        total += read as u64;
        if switches.frozen.load(Ordering::SeqCst) {
            continue;
        }
        if up {
            switches.seen.lock().unwrap().extend_from_slice(&buffer[..read]);
            let cut = switches.cut_at.load(Ordering::SeqCst);
            if cut > 0 && total > cut {
                switches.cut_at.store(0, Ordering::SeqCst);
                break;
            }
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
