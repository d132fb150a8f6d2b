//! The server's end of TLS: own handshakes on a TCP listener, so that the certificate can be
//! replaced while serving and each request knows the verified identity of its connection.
//!
//! A client certificate is verified when presented and may be absent: enrolment needs none, and
//! every other service asks [`Peer`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use eosfed_transport::identity::Identity;
use eosfed_transport::keys::KeyAndCertificate;

/// Handshakes under way at once; more wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server cannot offer TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text holds no such thing.
    #[error("cannot read the {what} from PEM: {reason}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// rustls refuses the combination.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority's certificate cannot verify clients.
    #[error("client certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The identity of the verified client certificate, if one was presented.
    pub identity: Option<Identity>,
    /// Its address.
    pub address: SocketAddr,
}

/// The server's TLS configuration, replaceable while serving.
#[derive(Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    /// TLS with this key and certificate, verifying clients against the authority.
    ///
    /// # Errors
    /// If any of the PEM texts cannot be used.
    pub fn new(server: &KeyAndCertificate, ca_pem: &str) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(config(server, ca_pem)?))))
    }

    /// Uses another key and certificate for connections from now on.
    ///
    /// # Errors
    /// As [`ServerTls::new`]; the old one then stays.
    pub fn replace(&self, server: &KeyAndCertificate, ca_pem: &str) -> Result<(), TlsError> {
        self.0.store(Arc::new(config(server, ca_pem)?));
        Ok(())
    }

    /// Accepts connections and gives those whose handshake succeeded. Ends when dropped.
    #[must_use]
    pub fn incoming(&self, listener: TcpListener) -> ReceiverStream<io::Result<Connection>> {
        let (sender, receiver) = mpsc::channel(MAX_HANDSHAKES);
        tokio::spawn(accept_loop(self.clone(), listener, sender));
        ReceiverStream::new(receiver)
    }
}

fn config(server: &KeyAndCertificate, ca_pem: &str) -> Result<ServerConfig, TlsError> {
    let pem =
        |what| move |error: rustls_pki_types::pem::Error| TlsError::Pem { what, reason: error.to_string() };
    let certificate =
        CertificateDer::from_pem_slice(server.certificate_pem.as_bytes()).map_err(pem("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).map_err(pem("private key"))?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(pem("authority"))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn accept_loop(tls: ServerTls, listener: TcpListener, sender: mpsc::Sender<io::Result<Connection>>) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close theirs.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, sender) = (TlsAcceptor::from(tls.0.load_full()), sender.clone());
        tokio::spawn(async move {
            match handshake(acceptor, stream, address).await {
                Ok(connection) => drop(sender.send(Ok(connection)).await),
                Err(error) => tracing::info!(%address, %error, "tls handshake failed"),
            }
            drop(place);
        });
    }
}

async fn handshake(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let tls = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let identity = certificate.map(|der| Identity::of_certificate(der)).transpose();
    let identity = identity.map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
    Ok(Connection { tls, peer: Peer { identity, address } })
}

/// A TLS connection whose handshake is done.
pub struct Connection {
    tls: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
