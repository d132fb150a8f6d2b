//! Notifications by HTTP: one POST for each, over TLS that is verified. Redirects are not followed.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use eosfed_common::clock::Timestamp;
use eosfed_common::service;
use eosfed_transport::post::Receiver;
use eosfed_transport::proxy::Proxy;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::delivery::{Delivery, Failure};
use super::settings::{WebhookSettings, WebhookUrl};
use super::signature;

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    url: WebhookUrl,
    secret: Option<PathBuf>,
    receiver: Receiver,
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
        let credentials = settings.proxy_credentials_file.as_deref();
        let proxy = settings.proxy.as_deref().map(|url| Proxy::new(url, credentials)).transpose()?;
        let receiver = Receiver::new(settings.url.0.clone(), settings.ca_file.as_deref(), proxy)?;
        Ok(Self { url: settings.url.clone(), secret, receiver })
    }

    /// Posts a notification. Gives what the receiver has said.
    pub(super) async fn post(&self, delivery: &Delivery, now: Timestamp) -> Result<String, Failure> {
        let headers = self.headers(delivery, now)?;
        let posted = self.receiver.post(headers, Bytes::copy_from_slice(&delivery.body)).await;
        let (status, text) = posted.map_err(|error| Failure::Again(format!("{}: {error}", self.url)))?;
        judge(&self.url, status, &text)
    }

    fn headers(&self, delivery: &Delivery, now: Timestamp) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let agent = concat!("eosfed-coordinator/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.insert("eosfed-event", HeaderValue::from_static(delivery.event.name()));
        let mut more = vec![("eosfed-delivery", delivery.id.clone())];
        if let Some(path) = &self.secret {
            let secrets = signature::read(path).map_err(Failure::Again)?;
            more.push((signature::HEADER, signature::header(&secrets, now.0 / 1000, &delivery.body)));
        }
        for (name, value) in more {
            let value = HeaderValue::try_from(value).map_err(|error| Failure::Lasting(error.to_string()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
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
