//! Connections to a coordinator on the loopback interface, from any of its addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A coordinator, and who attacks it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it listens.
    address: SocketAddr,
    /// The folder of a member's key, certificate and authority.
    identity: PathBuf,
}

impl Target {
    /// The coordinator at HOST:PORT, attacked by the member whose `key.pem`, `certificate.pem` and `ca.pem` are
    /// in the folder.
    pub(crate) fn new(address: SocketAddr, identity: PathBuf) -> anyhow::Result<Self> {
        anyhow::ensure!(address.ip().is_loopback(), "`{address}` is not an address of this machine");
        Ok(Self { address, identity })
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.identity.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A TCP connection from an address.
    pub(crate) async fn tcp(&self, from: IpAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(self.address)).await;
        connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// The first message of a TLS handshake.
    pub(crate) fn client_hello() -> anyhow::Result<Vec<u8>> {
        let config =
            ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let mut connection = ClientConnection::new(Arc::new(config), name)?;
        let mut hello = Vec::new();
        connection.write_tls(&mut hello)?;
        Ok(hello)
    }

    /// An HTTP/2 connection over TLS from an address: as the member, or without a certificate.
    pub(crate) async fn channel(&self, from: IpAddr, member: bool) -> anyhow::Result<Channel> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.read("ca.pem")?));
        if member {
            tls = tls.identity(Identity::from_pem(self.read("certificate.pem")?, self.read("key.pem")?));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address))?
            .tls_config(tls)?
            .connect_timeout(CONNECT_TIMEOUT)
            .local_address(Some(from));
        Ok(endpoint.connect().await?)
    }
}

/// The folder where a member's identity lies, for `--help`.
pub(crate) fn identity_folder(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match path.join("key.pem").is_file() {
        true => Ok(path.to_owned()),
        false => Err("it has no `key.pem`".to_owned()),
    }
}
