//! The listener for monitoring and the dashboard.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use eosfed_common::files::write_atomically;
use eosfed_common::private::check_private;
use eosfed_common::secret::Secret;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_web::Hosts;
use tokio_util::sync::CancellationToken;

use super::Coordinator;
use crate::grpc::Context;
use crate::http::{self, dashboard::Dashboard};
use crate::settings::HttpSettings;
use crate::tls::ServerTls;

impl Coordinator {
    /// Listens for monitoring, if the settings say so. The future that it gives serves for ever.
    pub(super) async fn monitoring(
        &self,
        calls: &mut Context,
        own: &ServerTls,
        stopping: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let settings = self.settings.load_full();
        let (listener, tls) = match &settings.http {
            Some(http) => (Some(http::bind(http.listen)?), self.http_tls(http, own)?),
            None => (None, None),
        };
        if let Some(listener) = &listener {
            let url = http_url(listener.local_addr()?, tls.is_some(), &settings.names);
            let file = self.state.http_address();
            let written = write_atomically(&file, url.as_bytes());
            written.with_context(|| format!("cannot write {}", file.display()))?;
            tracing::info!(url, "monitoring and the dashboard");
            calls.dashboard_url = Some(url.into());
        }
        let context = http::Context {
            engine: self.engine.clone(),
            metrics: Arc::clone(&self.metrics),
            traffic: calls.traffic.clone(),
            live: calls.live.clone(),
            authority_ends: self.authority.ends_at(),
            events_from: self.engine.ledger_end().await,
            disk: calls.disk.clone(),
            state: self.state.0.clone(),
            store: self.state.store(),
            blobs: self.state.blobs(),
            dashboard: Dashboard {
                secure: tls.is_some(),
                ..Dashboard::new(
                    self.engine.clone(),
                    calls.traffic.clone(),
                    calls.sessions.clone(),
                    calls.overviews.clone(),
                )
            },
            hosts: if tls.is_some() { Hosts::named(&settings.names) } else { Hosts::of_this_machine() },
            tls,
            stopping,
        };
        Ok(async move {
            match listener {
                Some(listener) => http::serve(listener, context).await,
                None => std::future::pending().await,
            }
        })
    }

    /// TLS of the listener for monitoring: the coordinator's own, or that of configured files.
    fn http_tls(&self, http: &HttpSettings, own: &ServerTls) -> anyhow::Result<Option<ServerTls>> {
        let Some(settings) = &http.tls else { return Ok(None) };
        let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
            return Ok(Some(own.clone()));
        };
        check_private(key)?;
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {} of `http.tls`", path.display()))
        };
        let pair =
            KeyAndCertificate { key_pem: Secret::new(read(key)?), certificate_pem: read(certificate)? };
        let tls = ServerTls::new(&pair, self.authority.clients_pem());
        tls.map(Some)
            .with_context(|| format!("{} and {} of `http.tls`", certificate.display(), key.display()))
    }
}

/// Where the listener for monitoring is found. With TLS, it is by the first name of its certificate.
fn http_url(address: SocketAddr, secure: bool, names: &[String]) -> String {
    match names.first().filter(|_| secure) {
        Some(name) => format!("https://{name}:{}", address.port()),
        None => format!("{}://{address}", if secure { "https" } else { "http" }),
    }
}
