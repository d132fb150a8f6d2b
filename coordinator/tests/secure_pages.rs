//! The dashboard and monitoring on an address that other machines can reach: TLS, and who is let in.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::io;
use std::sync::Arc;

use eosfed_coordinator::settings;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::operator::IdentityFolder;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SETTINGS: &str = "\n[http]\nlisten = \"0.0.0.0:0\"\n[http.tls]\n";

/// A connection that trusts the coordinator's authority, with a certificate of the client or without.
async fn connect(server: &Server, pair: Option<&KeyAndCertificate>) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let [_, authority] = server.state().authority();
    for one in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(one.unwrap()).unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match pair {
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(pair.key_pem.expose().as_bytes()).unwrap();
            config.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port(server))).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn port(server: &Server) -> u16 {
    let url = std::fs::read_to_string(server.state().http_address()).unwrap();
    url.strip_prefix("https://127.0.0.1:").unwrap().parse().unwrap()
}

/// The status and the whole answer to a request.
async fn ask(server: &Server, pair: Option<&KeyAndCertificate>, path: &str, more: &str) -> (u16, String) {
    let mut stream = connect(server, pair).await.unwrap();
    let host = if more.contains("host:") { String::new() } else { "host: 127.0.0.1\r\n".to_owned() };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{more}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end without a message of TLS is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

fn operator(server: &Server) -> KeyAndCertificate {
    IdentityFolder(server.state().operator()).read().unwrap().pair
}

#[tokio::test]
async fn only_people_of_the_federation_are_let_in() {
    let server = Server::start_with(SETTINGS).await;
    for path in ["/", "/metrics", "/readyz", "/jobs", "/live"] {
        assert_eq!(ask(&server, None, path, "").await.0, 401, "{path} without a certificate");
    }
    assert_eq!(ask(&server, None, "/healthz", "").await.0, 200);
    let ada = operator(&server);
    for path in ["/", "/metrics", "/readyz", "/jobs"] {
        let (status, answer) = ask(&server, Some(&ada), path, "").await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert!(!answer.contains("Log out"), "there is no session to end");
    }
    server.enrol("east").await;
    let east = server.pair("east");
    for path in ["/", "/metrics"] {
        assert_eq!(ask(&server, Some(&east), path, "").await.0, 401, "{path} as an institution");
    }
    // A page of another site asks with the certificate of the browser.
    let foreign = "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n";
    assert_eq!(ask(&server, Some(&ada), "/live", foreign).await.0, 401);
    let followed = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    assert_eq!(ask(&server, Some(&ada), "/", followed).await.0, 200);
    assert_eq!(ask(&server, Some(&ada), "/", "host: evil.example\r\n").await.0, 421);
}

#[tokio::test]
async fn a_link_logs_in_over_tls_and_its_cookie_stays_there() {
    let server = Server::start_with(SETTINGS).await;
    let link = OperatorClient::new(server.operator())
        .open_dashboard(v1::OpenDashboardRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(link.url, format!("https://127.0.0.1:{}", port(&server)));
    let (status, answer) = ask(&server, None, &format!("/login?token={}", link.token), "").await;
    assert!(status == 303 && answer.contains("; Secure"), "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(ask(&server, None, "/metrics", &cookie).await.0, 200);
    let (status, answer) = ask(&server, None, "/", &cookie).await;
    assert!(status == 200 && answer.contains("Log out"), "{answer}");
}

#[tokio::test]
async fn plain_http_and_strangers_get_nothing() {
    let server = Server::start_with(SETTINGS).await;
    let mut plain = TcpStream::connect(("127.0.0.1", port(&server))).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.windows(5).any(|part| part == b"alive"), "{answer:?}");
    // A certificate of another authority.
    let other = Server::start_with(SETTINGS).await;
    let (status, answer) = match connect(&server, Some(&operator(&other))).await {
        Ok(_) => ask(&server, Some(&operator(&other)), "/", "").await,
        Err(_) => (0, String::new()),
    };
    assert_eq!(status, 0, "{answer}");
    // One address has a part of all connections.
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(TcpStream::connect(("127.0.0.1", port(&server))).await.unwrap());
    }
    assert!(connect(&server, None).await.is_err(), "this address has as many as it may");
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_without_tls() {
    let server = Server::start().await;
    let (folder, _) = server.stop().await;
    let state = folder.path().join("state");
    let file = state.join("coordinator.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "\n[http]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let said = format!("{:#}", settings::load(&state).unwrap_err());
    assert!(
        said.contains("coordinator.toml") && said.contains("has no TLS") && said.contains("0.0.0.0:0"),
        "{said}"
    );
}
