//! `eosfed-coordinator health`: whether the coordinator of a state folder serves calls, for the health checks
//! of containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use eosfed_transport::channel::{ChannelOptions, open_with};
use eosfed_transport::meter::Meter;
use eosfed_transport::reach::reach;

use crate::authority_files;
use crate::settings::{Settings, StateFolder};

/// Shorter than the time that a health check of a container gets.
const LIMIT: Duration = Duration::from_secs(10);

/// Calls the coordinator by TLS, as an institution would. It listens only after its recovery, so an answer
/// means that it is ready. Gives its address.
///
/// # Errors
/// If no coordinator runs on the folder, or it does not answer in time.
pub async fn health(state: &StateFolder, settings: &Settings) -> anyhow::Result<String> {
    let path = state.address();
    let address = match std::fs::read_to_string(&path) {
        Ok(address) => address,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("no coordinator serves {}: {} is not there", state.0.display(), path.display())
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let url = callable(&address).with_context(|| path.display().to_string())?;
    let roots = authority_files::open(state)?.roots_pem().to_owned();
    let options = ChannelOptions { server_name: settings.names.first().cloned(), ..Default::default() };
    let transport = open_with(&options, &url, &roots, None, Meter::default())?;
    reach(transport, LIMIT).await.with_context(|| format!("the coordinator at {url} does not answer"))?;
    Ok(url)
}

/// The address to call for one that is listened on: nobody can call 0.0.0.0.
fn callable(address: &str) -> anyhow::Result<String> {
    let text = address.trim().strip_prefix("https://");
    let listens: SocketAddr = text.and_then(|text| text.parse().ok()).with_context(|| {
        format!(
            "expected https://ADDRESS:PORT, found `{}`",
            address.escape_debug().take(100).collect::<String>()
        )
    })?;
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(format!("https://{}", SocketAddr::new(ip, listens.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_all_interfaces_is_called_on_loopback() {
        assert_eq!(callable("https://0.0.0.0:7443").unwrap(), "https://127.0.0.1:7443");
        assert_eq!(callable("https://[::]:1\n").unwrap(), "https://[::1]:1");
        assert_eq!(callable("https://10.0.0.7:7443").unwrap(), "https://10.0.0.7:7443");
        for wrong in ["", "http://127.0.0.1:1", "https://host:1", "\u{1b}[2J"] {
            let said = callable(wrong).unwrap_err().to_string();
            assert!(said.contains("https://ADDRESS:PORT") && !said.contains('\u{1b}'), "{said}");
        }
    }
}
