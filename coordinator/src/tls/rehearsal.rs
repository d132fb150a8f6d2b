//! Whether both sides of a connection would verify each other with an authority, before it is used: what the TLS
//! library refuses in somebody else's certificates is found out at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;
use eosfed_common::identity::{Identity, Role};
use eosfed_transport::keys::KeyAndRequest;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::authority::Authority;

/// Makes a certificate for the server and one for a client, and verifies them as members and the server do.
///
/// # Errors
/// If one is not accepted.
pub(crate) fn rehearse(authority: &Authority, names: &[String], now: Timestamp) -> anyhow::Result<()> {
    const MINUTE: Duration = Duration::from_secs(60);
    let time = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = certificates(&authority.server(names, now, MINUTE)?.certificate_pem)?;
    let (server, chain) = server.split_first().context("no certificate was made")?;
    let members =
        WebPkiServerVerifier::builder_with_provider(store(authority.roots_pem())?, Arc::clone(&provider))
            .build()?;
    for name in names {
        let name = ServerName::try_from(name.as_str())?;
        members
            .verify_server_cert(server, chain, &name, &[], time)
            .with_context(|| format!("members would not accept the server's certificate for {name:?}"))?;
    }
    let identity = Identity { role: Role::Operator, name: "rehearsal".parse()? };
    let request = KeyAndRequest::generate("rehearsal")?;
    let client = certificates(&authority.certify(&request.request_pem, &identity, now, MINUTE)?)?;
    let client = client.first().context("no certificate was made")?;
    WebPkiClientVerifier::builder_with_provider(store(authority.clients_pem())?, provider)
        .build()?
        .verify_client_cert(client, &[], time)
        .context("the server would not accept a member's certificate")?;
    Ok(())
}

fn store(pem: &str) -> anyhow::Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for authority in certificates(pem)? {
        store.add(authority)?;
    }
    Ok(Arc::new(store))
}

fn certificates(pem: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
}
