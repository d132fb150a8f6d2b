//! Connections to the coordinator through an HTTP proxy, in a tunnel that `CONNECT` opens (RFC 9110, section
//! 9.3.6). TLS is end to end inside the tunnel, so the proxy sees the target and the amount of data, but
//! neither certificates nor weights.
//!
//! User and password for the proxy are in a separate file, which is read for each connection. They are not in
//! settings, command lines, logs or values of these types.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eosfed_common::service;
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Timeout for the connection to the proxy and its answer, together. The proxy itself may be waiting for the
/// coordinator.
pub const TUNNEL_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 8 << 10;
/// Longest file of credentials, in bytes.
const MAX_CREDENTIALS: u64 = 4 << 10;

/// An HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    credentials: Option<PathBuf>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// Why a connection through a proxy failed. The message has advice and never shows user or password.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is not the address of a proxy.
    #[error("`proxy` must be http://HOST:PORT, found `{0}`")]
    Address(String),
    /// The address holds a user or password, which is not shown.
    #[error(
        "`proxy` must not hold a user name or password; put USER:PASSWORD into a file that only its owner \
         may read, and name it as `proxy_credentials_file`"
    )]
    Secret,
    /// The file of credentials cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The rule, the value found, and what to do.
        reason: String,
    },
    /// The proxy cannot be reached.
    #[error(
        "the proxy {proxy} cannot be reached: {source}; check `proxy`, the network and that the proxy runs"
    )]
    Unreachable {
        /// The proxy.
        proxy: String,
        /// The system's error.
        source: io::Error,
    },
    /// The proxy did not answer the request for a tunnel.
    #[error("the proxy {proxy} has not answered {what}; check that `proxy` is the address of an HTTP proxy")]
    Silent {
        /// The proxy.
        proxy: String,
        /// What went wrong.
        what: String,
    },
    /// The proxy refused the tunnel.
    #[error("the proxy {proxy} refuses a tunnel to {target} with status {status}; {advice}")]
    Refused {
        /// The proxy.
        proxy: String,
        /// The target.
        target: String,
        /// The HTTP status.
        status: u16,
        /// What to do.
        advice: &'static str,
    },
}

impl Proxy {
    /// The proxy at `url`, with the file of its credentials, which is checked here once.
    ///
    /// # Errors
    /// If `url` is not `http://HOST:PORT`, or the file cannot be used.
    pub fn new(url: &str, credentials: Option<&Path>) -> Result<Self, ProxyError> {
        if url.contains('@') {
            return Err(ProxyError::Secret);
        }
        let bad = || ProxyError::Address(url.chars().take(200).flat_map(char::escape_default).collect());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let plain =
            uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let host = uri.host().filter(|host| !host.is_empty());
        let (Some(host), Some(port), true) = (host, uri.port_u16(), plain) else { return Err(bad()) };
        let proxy = Self { host: host.to_owned(), port, credentials: credentials.map(Path::to_owned) };
        proxy.authorization()?;
        Ok(proxy)
    }

    /// Opens a tunnel to the `host` and `port` of an address.
    ///
    /// # Errors
    /// If the proxy cannot be reached, refuses, or does not answer like an HTTP proxy.
    pub async fn tunnel(&self, target: &Uri) -> Result<TcpStream, ProxyError> {
        let host = target.host().unwrap_or_default();
        let target = format!("{host}:{}", target.port_u16().unwrap_or(443));
        match tokio::time::timeout(TUNNEL_TIMEOUT, self.ask(&target)).await {
            Ok(answered) => answered,
            Err(_) => Err(self.silent(&format!("within {} s", TUNNEL_TIMEOUT.as_secs()))),
        }
    }

    async fn ask(&self, target: &str) -> Result<TcpStream, ProxyError> {
        let unreachable = |source| ProxyError::Unreachable { proxy: self.to_string(), source };
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((host, self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut question = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = self.authorization()? {
            question += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        question += "\r\n";
        let broken = |error: io::Error| self.silent(&format!("but broken off ({error})"));
        stream.write_all(question.as_bytes()).await.map_err(broken)?;
        let mut head = Vec::new();
        loop {
            if stream.read_buf(&mut head).await.map_err(broken)? == 0 {
                return Err(self.silent("but closed the connection"));
            }
            match answer(&head) {
                Answer::Unfinished => {}
                Answer::Status(200..=299) => return Ok(stream),
                Answer::Status(status) => {
                    let advice = advice(status, self.credentials.is_some());
                    let proxy = self.to_string();
                    let target = target.to_owned();
                    return Err(ProxyError::Refused { proxy, target, status, advice });
                }
                Answer::Unknown => return Err(self.silent("as HTTP proxies do")),
            }
        }
    }

    fn silent(&self, what: &str) -> ProxyError {
        ProxyError::Silent { proxy: self.to_string(), what: what.to_owned() }
    }

    /// The value of the header `Proxy-Authorization` (RFC 7617), if there are credentials.
    fn authorization(&self) -> Result<Option<String>, ProxyError> {
        let Some(path) = &self.credentials else { return Ok(None) };
        let fail = |reason: String| ProxyError::Credentials { path: path.clone(), reason };
        let text = read_private(path).map_err(fail)?;
        let line = text.trim_end_matches(['\r', '\n']);
        if !line.contains(':') || line.chars().any(char::is_control) {
            return Err(fail("must hold one line, USER:PASSWORD".to_owned()));
        }
        Ok(Some(format!("Basic {}", STANDARD.encode(line))))
    }
}

/// The text of a small file that only its owner can read.
fn read_private(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |error: io::Error| error.to_string();
    let file = std::fs::File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !service::is_credential(path) {
        return Err(format!("only its owner may read it, found mode `{mode:o}`; use chmod 600"));
    }
    let mut text = String::new();
    file.take(MAX_CREDENTIALS).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// The parsed part of a proxy's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The head is not complete yet.
    Unfinished,
    /// A complete head with this status.
    Status(u16),
    /// Not the head of an HTTP answer, a head that is too long, or unexpected bytes in the tunnel.
    Unknown,
}

/// Parses the answer to a `CONNECT`. This program sends the first bytes in a tunnel, so nothing may follow
/// the head of a success. A refusal may have a body.
#[must_use]
pub fn answer(bytes: &[u8]) -> Answer {
    const START: &[u8] = b"HTTP/1.";
    if !bytes.starts_with(&START[..START.len().min(bytes.len())]) {
        return Answer::Unknown;
    }
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() < MAX_HEAD { Answer::Unfinished } else { Answer::Unknown };
    };
    // `HTTP/1.x NNN` and a space or the end of the line.
    let status = match bytes.get(START.len()..START.len() + 6) {
        Some([b'0' | b'1', b' ', digits @ .., b' ' | b'\r']) => str::from_utf8(digits).ok(),
        _ => None,
    };
    match status.and_then(|digits| digits.parse().ok()) {
        Some(200..=299) if bytes.len() > end + 4 => Answer::Unknown,
        Some(status @ 100..=599) => Answer::Status(status),
        _ => Answer::Unknown,
    }
}

const fn advice(status: u16, has_credentials: bool) -> &'static str {
    match status {
        401 | 407 if has_credentials => "check user and password in `proxy_credentials_file`",
        401 | 407 => "it requires a user and a password: set `proxy_credentials_file`",
        403 | 405 | 501 => "ask its administrator to allow CONNECT to this host and port",
        502..=504 => "it cannot reach the coordinator: check the coordinator's address and that it runs",
        _ => "ask its administrator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_addresses_are_refused_and_secrets_are_not_shown() {
        for bad in
            ["", "proxy:3128", "https://proxy:3128", "http://proxy", "http://proxy:3128/x", "http://:1"]
        {
            let error = Proxy::new(bad, None).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT") && error.contains(bad), "{error}");
        }
        let error = Proxy::new("http://west:5ecret@proxy:3128", None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("5ecret"), "{error}");
        assert!(error.to_string().contains("proxy_credentials_file"), "{error}");
        for good in ["http://proxy.example.org:3128", "http://[::1]:80/"] {
            assert_eq!(Proxy::new(good, None).unwrap().to_string(), good.trim_end_matches('/'));
        }
    }

    #[test]
    fn credentials_are_one_line_that_only_the_owner_can_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let with = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Proxy::new("http://proxy:1", Some(&path))
        };
        let proxy = with("west:5ecret\n", 0o600).unwrap();
        assert_eq!(proxy.authorization().unwrap().unwrap(), "Basic d2VzdDo1ZWNyZXQ=");
        assert!(!format!("{proxy:?}{proxy}").contains("5ecret"));
        for (text, mode, word) in [
            ("west:5ecret", 0o640, "`640`"),
            ("west:5ecret", 0o604, "`604`"),
            ("5ecret", 0o600, "USER:PASSWORD"),
            ("west:5ecret\nX-Header: y", 0o600, "one line"),
            ("", 0o400, "one line"),
        ] {
            let error = with(text, mode).unwrap_err();
            assert!(error.to_string().contains(word) && error.to_string().contains("credentials"), "{error}");
            assert!(!format!("{error} {error:?}").contains("5ecret"), "{error:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(proxy.authorization().is_err(), "it is read each time");
    }

    #[test]
    fn an_answer_is_read_up_to_the_end_of_its_head() {
        let whole = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut]), Answer::Unfinished, "{cut}");
        }
        assert_eq!(answer(whole), Answer::Status(200));
        assert_eq!(answer(b"HTTP/1.0 200\r\n\r\n"), Answer::Status(200));
        assert_eq!(answer(b"HTTP/1.1 407 Who?\r\n\r\n<html>"), Answer::Status(407));
        let long = [whole[..20].to_vec(), vec![b'x'; MAX_HEAD]].concat();
        for bad in [
            &b"SSH-2.0-x\r\n"[..],
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 +20 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nearly",
            b"HTTP/1.1\r\n\r\n",
            &long,
        ] {
            assert_eq!(answer(bad), Answer::Unknown, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn each_refusal_has_its_advice() {
        assert!(advice(407, false).contains("set `proxy_credentials_file`"));
        assert!(advice(407, true).contains("password"));
        assert!(advice(403, true).contains("allow CONNECT"));
        assert!(advice(502, true).contains("coordinator"));
    }
}
