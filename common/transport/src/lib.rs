//! The shared code of programs that call the coordinator: keys, TLS, HTTP proxies, the meter of sent bytes,
//! refusals as gRPC status, transfer of blobs, and the conversion of messages in [`wire`].

pub mod allocator;
pub mod authority;
pub mod body;
pub mod certificate;
pub mod channel;
pub mod compression;
pub mod enrollment;
pub mod identity_files;
pub mod issued;
pub mod join;
pub mod keys;
pub mod meter;
pub mod operator;
pub mod otlp;
pub mod post;
pub mod protocol;
pub mod proxy;
pub mod reach;
pub mod renewal;
pub mod status;
pub mod traced;
pub mod transfer;
mod validity;
pub mod wire;

/// Installs the process's one cryptography provider; call once at the start of a program.
pub fn install_crypto_provider() {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
