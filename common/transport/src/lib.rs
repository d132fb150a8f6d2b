//! What programs that call the coordinator share: keys, TLS, the way through a proxy, the meter of what
//! is sent, refusals as gRPC status, transfer of blobs, and in [`wire`] what messages mean.

pub mod channel;
pub mod enrollment;
pub mod identity;
pub mod join;
pub mod keys;
pub mod meter;
pub mod operator;
pub mod protocol;
pub mod proxy;
pub mod status;
pub mod transfer;
mod validity;
pub mod wire;

/// Installs the process's one cryptography provider; call once at the start of a program.
pub fn install_crypto_provider() {
    // An error means that one is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
