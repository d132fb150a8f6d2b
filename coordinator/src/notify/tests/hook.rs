//! A receiver of webhooks for tests: real sockets, with or without TLS, and scripted answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What was posted.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// An answer; 200 when none is left.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A status, and lines of the head.
    Status(u16, String),
    /// None.
    Silence,
    /// Bytes without end.
    Flood,
}

/// The receiver.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub(super) port: u16,
    pub(super) certificate_pem: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Hook {
    /// Listens on loopback, by TLS with a certificate for 127.0.0.1 or without.
    pub(super) async fn start(tls: bool, answers: impl IntoIterator<Item = Answer>) -> Self {
        eosfed_transport::install_crypto_provider();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self {
            port: listener.local_addr().unwrap().port(),
            certificate_pem: made.cert.pem(),
            posted: Arc::default(),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
        };
        let serving = hook.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (hook, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match tls {
                        false => hook.answer(stream).await,
                        true => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                hook.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        hook
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(posted) = read(&mut stream).await else { return };
        self.posted.lock().unwrap().push(posted);
        let answer = self.answers.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Status(200, String::new())) {
            Answer::Status(status, lines) => {
                let text = format!("HTTP/1.1 {status} Scripted\r\n{lines}content-length: 4\r\n\r\nsaid");
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
            Answer::Silence => tokio::time::sleep(Duration::from_secs(600)).await,
            Answer::Flood => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
            }
        }
    }

    /// What was posted so far.
    pub(super) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Waits for this number of posts.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Posted> {
        for _ in 0..1500 {
            let posted = self.posted();
            if posted.len() >= count {
                return posted;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {count} were posted: {:?}", self.posted().len(), self.posted());
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Posted> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("POST ") && first.ends_with(" HTTP/1.1"), "{first}");
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Posted { path: first.split(' ').nth(1).unwrap().to_owned(), headers, body })
}
