//! The client's end of TLS: a lazily connected, self-healing HTTP/2 channel that trusts exactly
//! one authority and presents the caller's certificate, if it has one.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::authority::KeyAndCertificate;
use super::meter::{Meter, Metered};

/// What all generated clients run over.
pub type Transport = Metered<Channel>;

/// For the connection and, again, for the handshake on it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds a dead peer behind a NAT that forgot the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why a channel cannot be set up. Being unable to connect is not among the reasons: that shows
/// in the first call.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the coordinator address `{url}`: {reason}; expected https://HOST:PORT")]
pub struct ChannelError {
    url: String,
    reason: String,
}

/// A channel to the coordinator at `url`.
///
/// # Errors
/// If `url` is not an `https` address or a PEM text cannot be used.
pub fn open(
    url: &str,
    ca_pem: &str,
    identity: Option<&KeyAndCertificate>,
    meter: Meter,
) -> Result<Transport, ChannelError> {
    let fail = |reason: String| ChannelError { url: url.to_owned(), reason };
    if !url.starts_with("https://") {
        return Err(fail("it does not start with https://".to_owned()));
    }
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem)).timeout(CONNECT_TIMEOUT);
    if let Some(pair) = identity {
        tls = tls.identity(Identity::from_pem(&pair.certificate_pem, &pair.key_pem));
    }
    let describe = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        fail(format!("{error}{cause}"))
    };
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(describe)?
        .tls_config(tls)
        .map_err(describe)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    Ok(Metered::new(endpoint.connect_lazy(), meter))
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
