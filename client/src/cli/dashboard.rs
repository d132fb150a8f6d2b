//! `eosfed-client dashboard`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use eosfed_client::dashboard::{SitePages, serve};
use eosfed_common::clock::SystemClock;
use eosfed_common::loopback::LoopbackAddress;
use eosfed_common::outln;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::shared::{runtime, site};

/// Show this institution's side in a browser of this machine: what was asked, what was decided by which rule
/// and by whose approval, what has left, and what is used of the budgets. Prints a link that can be used
/// once, and serves until it is interrupted. Reads the state folder only, also while a daemon runs, and
/// changes nothing.
#[derive(Debug, Args)]
pub(super) struct DashboardCommand {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// The address to listen on, of this machine's loopback interface; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: LoopbackAddress,
}

fn loopback(text: &str) -> Result<LoopbackAddress, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| format!("`{text}` is not an address with a port, such as 127.0.0.1:7445"))?;
    LoopbackAddress::try_from(address).map_err(|error| error.to_string())
}

impl DashboardCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        site.credentials()?;
        let address = self.listen.get();
        runtime()?.block_on(async move {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}; choose another address with `--listen`")
            })?;
            let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
            let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
            let (pages, watching) = SitePages::new(&site, Arc::new(SystemClock));
            outln!("http://{}{}", listener.local_addr()?, pages.link(&mut rand::rng()));
            outln!("The link can be used once, within two minutes, in a browser of this machine.");
            outln!("Ctrl-C ends the page; start the command again for another link.");
            tokio::select! {
                () = serve(listener, pages, watching) => {}
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            anyhow::Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
