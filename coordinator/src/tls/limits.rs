//! How many handshakes and connections there may be, for each address, for each member and in total.

use std::net::IpAddr;
use std::time::Duration;

/// The limits of an acceptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Handshakes under way in total.
    pub(super) max_handshakes: usize,
    /// Handshakes under way from one address.
    pub(super) max_handshakes_per_address: usize,
    /// Time for a handshake.
    pub(super) handshake_timeout: Duration,
    /// Age from which a handshake gives way to a newer one when there are too many.
    pub(super) eviction_age: Duration,
    /// Connections without a certificate in total. They serve for enrolment only.
    pub(super) max_anonymous: usize,
    /// Connections without a certificate from one address.
    pub(super) max_anonymous_per_address: usize,
    /// How long a connection without a certificate may last.
    pub(super) anonymous_timeout: Duration,
    /// Connections of one member.
    pub(super) max_connections_per_member: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_handshakes: 1024,
            max_handshakes_per_address: 512,
            handshake_timeout: Duration::from_secs(10),
            eviction_age: Duration::from_secs(1),
            max_anonymous: 64,
            max_anonymous_per_address: 16,
            anonymous_timeout: Duration::from_secs(30),
            max_connections_per_member: 64,
        }
    }
}

/// What limits for an address are counted by: an IPv4 address, or the 64 bits of an IPv6 address that
/// one site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source([u8; 8]);

impl Source {
    /// The source that an address counts for.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([0, 0, 0, 0, a, b, c, d])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_one_source_whatever_address_of_its_network_it_uses() {
        let source = |address: &str| Source::of(address.parse().unwrap());
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
