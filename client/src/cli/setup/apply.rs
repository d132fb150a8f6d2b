//! Writes what was answered. Settings and policy come first and the token last, because the token works once:
//! whatever ends the setup in between, another run goes on from what is there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use eosfed_client::settings::Settings;
use eosfed_client::site::Site;
use eosfed_common::outln;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_transport::proxy::Proxy;
use nix::sys::signal::{SigSet, Signal};

use super::gather::{Plan, Present};
use crate::cli::join::{enrol, point, print_joined};

/// The mode of folders above the state folder.
const ABOVE: u32 = 0o755;

/// Does all of it. A Ctrl-C meanwhile takes effect when it is done.
pub(super) fn apply(site: &Site, plan: &Plan, present: &Present) -> anyhow::Result<()> {
    let mut held = SigSet::empty();
    held.add(Signal::SIGINT);
    held.thread_block().context("cannot hold back Ctrl-C")?;
    let done = write(site, plan, present).and_then(|()| join(site, plan));
    held.thread_unblock().context("cannot listen to Ctrl-C again")?;
    done
}

/// Makes the folder, and writes settings and policy.
fn write(site: &Site, plan: &Plan, present: &Present) -> anyhow::Result<()> {
    make_above(site.path())?;
    create_private_folder(site.path()).with_context(|| site.path().display().to_string())?;
    check_private(site.path())?;
    if let Some(policy) = &plan.policy {
        site.write("policy.toml", policy.text.as_bytes())?;
        outln!("\nwritten: {}", site.policy().display());
    }
    let Some(token) = &plan.token else { return Ok(()) };
    if present.settings.is_some() {
        return point(site, &token.url);
    }
    let proxy = plan.proxy.as_ref();
    let credentials = proxy.and_then(|proxy| proxy.credentials.as_deref());
    let settings = Settings::commented(
        &token.url,
        plan.dataset.as_ref(),
        proxy.map(|proxy| proxy.url.as_str()),
        credentials,
    );
    site.write("client.toml", settings.as_bytes())?;
    outln!("written: {}", site.settings().display());
    Ok(())
}

/// Uses the token.
fn join(site: &Site, plan: &Plan) -> anyhow::Result<()> {
    let Some(token) = &plan.token else { return Ok(()) };
    let _lock = site.lock()?;
    let proxy: Option<Proxy> = Settings::load(&site.settings())?.proxy()?;
    let signing_key = enrol(site, token, proxy)
        .context("settings and policy are written; run this command again to join")?;
    print_joined(site, token, &signing_key)
}

/// Makes the folders above the state folder, which others may enter: under systemd the daemon is another user
/// than the one who sets it up. The unit gives that user the state folder itself.
fn make_above(state: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = state.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        let made = std::fs::create_dir(folder)
            .and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(ABOVE)));
        made.with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
