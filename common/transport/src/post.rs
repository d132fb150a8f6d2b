//! One HTTP POST to a program that is no coordinator: over TLS that is verified, through a proxy if one is set,
//! with bounds on the answer. Redirects are not followed. The caller bounds the time.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use eosfed_common::printable::Printable;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::proxy::{Proxy, ProxyError};

/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How much of an answer is read for the log, in bytes.
const MAX_ANSWER: usize = 1 << 10;
/// How much of it is shown.
const MAX_SHOWN: usize = 200;

/// Why something could not be posted.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The file of authorities cannot be used.
    #[error("`ca_file` {0}: {1}")]
    Authorities(String, String),
    /// There are no authorities.
    #[error("this system has no certificate authorities; install ca-certificates or set `ca_file`")]
    NoAuthorities,
    /// TLS is not possible.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection failed.
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    /// The proxy refuses.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The receiver does not speak HTTP.
    #[error("{0}")]
    Http(String),
}

impl From<hyper::Error> for PostError {
    fn from(error: hyper::Error) -> Self {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Self::Http(format!("{error}{cause}"))
    }
}

/// Where to post.
#[derive(Debug, Clone)]
pub struct Receiver {
    url: Uri,
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<Proxy>,
}

impl Receiver {
    /// The receiver at `url`, `http` or `https`. Its certificate is verified by the authorities of `ca_file`,
    /// or of the system.
    ///
    /// # Errors
    /// If there are no authorities to verify it by.
    pub fn new(url: Uri, ca_file: Option<&Path>, proxy: Option<Proxy>) -> Result<Self, PostError> {
        let tls = (url.scheme_str() == Some("https")).then(|| tls(ca_file)).transpose()?;
        Ok(Self { url, tls, proxy })
    }

    /// Posts a body. Gives the status, and the start of the answer as one line.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<(StatusCode, String), PostError> {
        let request = self.request(headers, body)?;
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else { return exchange(stream, request).await };
        let name = ServerName::try_from(self.host().to_owned())
            .map_err(|error| PostError::Tls(error.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        exchange(stream.map_err(|error| PostError::Tls(error.to_string()))?, request).await
    }

    /// The host without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    async fn connect(&self) -> Result<TcpStream, PostError> {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        Ok(match &self.proxy {
            Some(proxy) => proxy.tunnel(&self.url).await?,
            None => TcpStream::connect((self.host(), self.url.port_u16().unwrap_or(usual))).await?,
        })
    }

    fn request(&self, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, PostError> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        let wrong = |error: http::Error| PostError::Http(error.to_string());
        let host = HeaderValue::try_from(host).map_err(|error| wrong(error.into()))?;
        let request = Request::builder().method(Method::POST).uri(path).body(Full::new(body));
        let mut request = request.map_err(wrong)?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), PostError> {
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, start_of(answer.into_body()).await))
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        // The end of the connection ends the answer, so the answer says what went wrong.
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            // The answer may have come before.
            Err(error) => answered.await.map_err(|_: PostError| error.into()),
        },
    }
}

/// The first bytes of an answer, as one line. What follows is not read.
async fn start_of(body: Incoming) -> String {
    let mut limited = Limited::new(body, MAX_ANSWER);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = limited.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    Printable::escaped(String::from_utf8_lossy(&bytes).trim(), MAX_SHOWN).to_string()
}

/// TLS that trusts the authorities of this file, or those of the system.
fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, PostError> {
    let roots = match ca_file {
        Some(path) => {
            let wrong = |why: String| PostError::Authorities(path.display().to_string(), why);
            of_file(path).map_err(wrong)?
        }
        None => of_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| PostError::Tls(error.to_string()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn of_file(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        roots.add(one.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, PostError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A store of many authorities may have one that this library does not read.
    let _ = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(PostError::NoAuthorities) } else { Ok(roots) }
}
