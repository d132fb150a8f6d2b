//! Addresses that only programs of the same machine can reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

/// An address of the loopback interface, with a port. Settings take it for listeners without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "SocketAddr")]
#[schemars(with = "String")]
pub struct LoopbackAddress(SocketAddr);

/// An address that other machines can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this listener has no TLS, so its address must be of this machine's loopback interface, such as 127.0.0.1:{port}; \
     found `{0}`. Other machines reach it through an SSH tunnel, or through a proxy with TLS and a login",
    port = .0.port()
)]
pub struct NotLoopback(SocketAddr);

impl TryFrom<SocketAddr> for LoopbackAddress {
    type Error = NotLoopback;

    fn try_from(address: SocketAddr) -> Result<Self, NotLoopback> {
        if address.ip().to_canonical().is_loopback() { Ok(Self(address)) } else { Err(NotLoopback(address)) }
    }
}

impl LoopbackAddress {
    /// 127.0.0.1 with this port.
    #[must_use]
    pub const fn localhost(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// The address. Port 0 takes a free port.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        listen: LoopbackAddress,
    }

    fn read(address: &str) -> Result<SocketAddr, String> {
        let sample: Result<Sample, _> = toml::from_str(&format!("listen = \"{address}\""));
        sample.map(|sample| sample.listen.get()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_addresses_of_the_machine_itself_are_taken() {
        for own in ["127.0.0.1:7444", "127.9.9.9:1", "[::1]:0", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(read(own).unwrap(), own.parse().unwrap());
        }
        for other in ["0.0.0.0:7444", "[::]:7444", "192.0.2.1:7444", "[2001:db8::1]:7444"] {
            let said = read(other).unwrap_err();
            assert!(said.contains("has no TLS") && said.contains(other), "{said}");
        }
    }
}
