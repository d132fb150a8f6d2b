//! `eosfed identity show`: what the identity folder holds. It needs no coordinator.

use std::path::Path;
use std::process::ExitCode;

use anyhow::ensure;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Identity;
use eosfed_common::outln;
use eosfed_transport::certificate::{Certificate, fingerprints};
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::operator::{IdentityFolder, PersonalIdentity};

use eosfed_transport::proxy::Proxy;
use eosfed_transport::renewal::renew_now;

use super::arguments::Output;
use super::connection::{default_folder, warn_of_expiry};
use super::document::IdentityShown;
use super::print;

pub(super) fn show(folder: Option<&Path>, output: Output) -> anyhow::Result<ExitCode> {
    let folder = folder.map_or_else(default_folder, |folder| Ok(folder.to_owned()))?;
    let PersonalIdentity { pair, ca_pem, url } = IdentityFolder(folder.clone()).read()?;
    let certificate = Certificate::of_pem(&pair.certificate_pem)?;
    let Certificate { identity: Identity { role, name }, fingerprint, not_after, .. } = certificate.clone();
    let shown = IdentityShown {
        role: role.to_string(),
        name: name.to_string(),
        coordinator: url,
        key: fingerprint,
        expires_at: not_after,
        authorities: fingerprints(&ca_pem),
        folder,
    };
    match output {
        Output::Json => print::json(&shown)?,
        Output::Table => text(&shown),
    }
    warn_of_expiry(&certificate, SystemClock.now());
    Ok(ExitCode::SUCCESS)
}

/// Renews the certificate, and shows the identity.
pub(super) async fn renew(
    folder: Option<&Path>,
    proxy: Option<Proxy>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let options = ChannelOptions::through(proxy);
    let renewed = renew_now(&super::connection::folder(folder)?, &options, SystemClock.now()).await?;
    ensure!(
        renewed.is_some(),
        "nothing was renewed: the certificate has expired, or another command renews it at this moment"
    );
    show(folder, output)
}

fn text(shown: &IdentityShown) {
    let IdentityShown { role, name, coordinator, key, expires_at, authorities, folder } = shown;
    let verb = if *expires_at > SystemClock.now() { "ends" } else { "has ended" };
    outln!("{role} `{name}`, in {}", folder.display());
    outln!("  coordinator:  {coordinator}");
    outln!("  certificate:  {verb} {} ({expires_at})", print::when(*expires_at));
    outln!("  key:          {key}");
    for authority in authorities {
        outln!("  authority:    {authority}");
    }
}
