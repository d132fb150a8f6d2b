//! Notifications by HTTP: one POST for each, over TLS that is verified. Redirects are not followed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use eosfed_common::clock::Timestamp;
use eosfed_common::printable::Printable;
use eosfed_common::service;
use eosfed_transport::proxy::Proxy;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::delivery::{Delivery, Failure};
use super::settings::{WebhookSettings, WebhookUrl};
use super::{roots, signature};

/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How much of an answer is read for the log, in bytes.
const MAX_ANSWER: usize = 1 << 10;
/// How much of it is shown.
const MAX_SHOWN: usize = 200;

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    url: WebhookUrl,
    secret: Option<PathBuf>,
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<Proxy>,
}

impl Webhook {
    /// The webhook of these settings, whose files are read once to check them.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub(super) fn new(settings: &WebhookSettings) -> anyhow::Result<Self> {
        let secret = settings.secret_file.as_ref().map(|path| find(path)).transpose()?;
        if let Some(path) = &secret {
            signature::read(path).map_err(anyhow::Error::msg).context("`secret_file`")?;
        }
        let tls = settings.url.is_https().then(|| roots::tls(settings.ca_file.as_deref())).transpose()?;
        let credentials = settings.proxy_credentials_file.as_deref();
        let proxy = settings.proxy.as_deref().map(|url| Proxy::new(url, credentials)).transpose()?;
        Ok(Self { url: settings.url.clone(), secret, tls, proxy })
    }

    /// Posts a notification. Gives what the receiver has said.
    pub(super) async fn post(&self, delivery: &Delivery, now: Timestamp) -> Result<String, Failure> {
        let request = self.request(delivery, now)?;
        let again = |error: anyhow::Error| Failure::Again(format!("{}: {error:#}", self.url));
        let stream = self.connect().await.map_err(again)?;
        let Some(tls) = &self.tls else { return self.exchange(stream, request).await };
        let name = ServerName::try_from(self.url.host().to_owned());
        let name = name.map_err(|error| Failure::Lasting(format!("{}: {error}", self.url)))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        let stream = stream.context("TLS").map_err(again)?;
        self.exchange(stream, request).await
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        Ok(match &self.proxy {
            Some(proxy) => proxy.tunnel(&self.url.0).await?,
            None => TcpStream::connect((self.url.host(), self.url.port())).await?,
        })
    }

    fn request(&self, delivery: &Delivery, now: Timestamp) -> Result<Request<Full<Bytes>>, Failure> {
        let again = |why: String| Failure::Again(why);
        let path = self.url.0.path_and_query().map_or("/", |path| path.as_str());
        let host = self.url.0.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("eosfed-coordinator/", env!("CARGO_PKG_VERSION")))
            .header("eosfed-event", delivery.event.name())
            .header("eosfed-delivery", &delivery.id);
        if let Some(path) = &self.secret {
            let secrets = signature::read(path).map_err(again)?;
            let value = signature::header(&secrets, now.0 / 1000, &delivery.body);
            request = request.header(signature::HEADER, value);
        }
        let body = Full::new(Bytes::copy_from_slice(&delivery.body));
        request.body(body).map_err(|error| again(error.to_string()))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<String, Failure> {
        let again = |error: hyper::Error| Failure::Again(format!("{}: {error}", self.url));
        let mut builder = hyper::client::conn::http1::Builder::new();
        let (mut sender, connection) =
            builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(again)?;
        let mut connection = std::pin::pin!(connection);
        let answered = async {
            let answer = sender.send_request(request).await.map_err(again)?;
            let status = answer.status();
            Ok((status, start_of(answer.into_body()).await))
        };
        let mut answered = std::pin::pin!(answered);
        let (status, text) = tokio::select! {
            // The end of the connection ends the answer, so the answer says what went wrong.
            biased;
            answer = &mut answered => answer?,
            ended = &mut connection => match ended {
                Ok(()) => answered.await?,
                // The answer may have come before.
                Err(error) => answered.await.map_err(|_| again(error))?,
            },
        };
        judge(&self.url, status, &text)
    }
}

/// An absolute path, or the file of a credential of this name.
fn find(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let Some(found) = path.to_str().and_then(service::credential) else {
        bail!(
            "`secret_file` {} is no absolute path, and the service manager has given no credential of this name",
            path.display()
        );
    };
    Ok(found)
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

fn judge(url: &WebhookUrl, status: StatusCode, text: &str) -> Result<String, Failure> {
    let said = match text {
        "" => format!("{url} answers {status}"),
        text => format!("{url} answers {status}: {text}"),
    };
    match status {
        status if status.is_success() => Ok(said),
        status if status.is_redirection() => {
            Err(Failure::Lasting(format!("{said}; redirects are not followed, so correct `webhook`")))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Again(said))
        }
        status if status.is_client_error() => Err(Failure::Lasting(said)),
        _ => Err(Failure::Again(said)),
    }
}
