//! The client side of TLS: an HTTP/2 channel that connects on first use and reconnects by itself. It trusts
//! exactly one authority and presents the caller's certificate, if it has one. It connects directly or
//! through a proxy.

use std::time::Duration;

use eosfed_common::causes::with_causes;
use http::Uri;
use hyper_util::rt::TokioIo;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::keys::KeyAndCertificate;
use crate::meter::{Meter, Metered};
use crate::proxy::{self, Proxy};
use crate::traced::TraceSlot;

/// The transport of all generated clients.
pub type Transport = Metered<Channel>;

/// Timeout of the connection, and of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of keep-alives, which detect a dead peer behind a NAT that dropped the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Most bytes of a frame that the coordinator may send: a whole chunk of a download fits.
pub(crate) const FRAME: u32 = 256 << 10;

/// Why a channel cannot be set up. A failure to connect is an error of the first call instead.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address.
    #[error("cannot use the coordinator address `{url}`: {reason}; expected https://HOST:PORT")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The PEM texts.
    #[error(
        "cannot use the identity's `key.pem`, `certificate.pem` and `ca.pem` together: {reason}; all three must be of \
         one coordinator and made together"
    )]
    Identity {
        /// What is wrong with them.
        reason: String,
    },
}

/// How a coordinator is reached.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// The proxy. If absent, the connection is direct.
    pub proxy: Option<Proxy>,
    /// Time without traffic after which a keep-alive is sent, and the timeout of its answer.
    pub keep_alive: Duration,
    /// The name that the certificate must be for. If absent, it is the host of the address.
    pub server_name: Option<String>,
    /// The trace that calls belong to.
    pub trace: TraceSlot,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self { proxy: None, keep_alive: KEEP_ALIVE, server_name: None, trace: TraceSlot::default() }
    }
}

impl ChannelOptions {
    /// Connects through the proxy, if there is one.
    #[must_use]
    pub fn through(proxy: Option<Proxy>) -> Self {
        Self { proxy, ..Self::default() }
    }
}

/// A direct channel to the coordinator at `url`.
///
/// # Errors
/// If `url` is not an `https` address or a PEM text cannot be used.
pub fn open(
    url: &str,
    ca_pem: &str,
    identity: Option<&KeyAndCertificate>,
    meter: Meter,
) -> Result<Transport, ChannelError> {
    open_with(&ChannelOptions::default(), url, ca_pem, identity, meter)
}

/// A channel to the coordinator at `url` with these options.
///
/// # Errors
/// If `url` is not an `https` address or a PEM text cannot be used.
pub fn open_with(
    options: &ChannelOptions,
    url: &str,
    ca_pem: &str,
    identity: Option<&KeyAndCertificate>,
    meter: Meter,
) -> Result<Transport, ChannelError> {
    let fail = |reason: String| ChannelError::Address { url: url.to_owned(), reason };
    if !url.starts_with("https://") {
        return Err(fail("it does not start with https://".to_owned()));
    }
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem)).timeout(CONNECT_TIMEOUT);
    if let Some(name) = &options.server_name {
        tls = tls.domain_name(name);
    }
    if let Some(pair) = identity {
        tls = tls.identity(Identity::from_pem(&pair.certificate_pem, pair.key_pem.expose()));
    }
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| fail(with_causes(&error)))?
        .tls_config(tls)
        .map_err(|error| ChannelError::Identity { reason: with_causes(&error) })?
        .tcp_nodelay(true)
        .max_frame_size(FRAME)
        .http2_keep_alive_interval(options.keep_alive)
        .keep_alive_timeout(options.keep_alive)
        .keep_alive_while_idle(true);
    let channel = match options.proxy.clone() {
        None => endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy(),
        // The proxy has a shorter timeout, whose error tells what is wrong.
        Some(proxy) => {
            let connect = move |target: Uri| {
                let proxy = proxy.clone();
                async move { proxy.tunnel(&target).await.map(TokioIo::new) }
            };
            let endpoint = endpoint.connect_timeout(proxy::TUNNEL_TIMEOUT + CONNECT_TIMEOUT);
            endpoint.connect_with_connector_lazy(tower::service_fn(connect))
        }
    };
    Ok(Metered::new(channel, meter).in_trace(options.trace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_without_tls_are_refused() {
        for bad in ["http://127.0.0.1:1", "127.0.0.1:1", "", "https://"] {
            let error = open(bad, "", None, Meter::default()).unwrap_err().to_string();
            assert!(error.contains("https://HOST:PORT"), "{error}");
        }
    }
}
