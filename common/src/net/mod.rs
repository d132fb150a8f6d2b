//! The network shell that programs share: certificates, TLS on both ends, the way through a proxy, the meter of what is
//! sent, refusals as gRPC status, and blob transfer. What messages mean is in [`crate::wire`].

pub mod acceptor;
pub mod authority;
pub mod channel;
pub mod identity;
pub mod join;
pub mod limits;
pub mod meter;
pub mod protocol;
pub mod proxy;
pub mod status;
pub mod transfer;
mod validity;

/// Installs the process's one cryptography provider; call once at the start of a program.
pub fn install_crypto_provider() {
    // An error means that one is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
