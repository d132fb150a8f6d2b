//! `eosfed-client run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use eosfed_client::coordinator::GrpcCoordinator;
use eosfed_client::daemon::{Daemon, Pace, Parts, StopSender, stop};
use eosfed_client::settings::load_policy;
use eosfed_client::trainer::TrainerCommand;
use eosfed_common::clock::SystemClock;
use eosfed_common::telemetry::init;
use eosfed_transport::channel::Way;
use eosfed_transport::meter::Meter;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tokio::signal::unix::{SignalKind, signal};

use super::{runtime, settings, site, trainer_program};

/// Work: look for assignments, train, hand in. On SIGTERM or SIGINT the trainer is stopped with its
/// checkpoint kept, and the next start goes on from there.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The state folder that `join` has made.
    #[arg(long)]
    state: PathBuf,
    /// Another data set than the one in client.toml.
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// End when one assignment has come to its end, whatever that is.
    #[arg(long)]
    once: bool,
}

impl Run {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let credentials = site.credentials()?;
        let settings = settings(&site, self.dataset.as_deref())?;
        init(settings.log, "info");
        let _lock = site.lock()?;
        load_policy(&site.policy())?;
        let program = trainer_program(&settings).map_err(anyhow::Error::msg)?;
        let way = Way::through(settings.way_out()?);
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let meter = Meter::default();
        tracing::info!(
            release = env!("CARGO_PKG_VERSION"),
            institution = %credentials.institution,
            coordinator = %settings.coordinator,
            proxy = way.proxy.as_ref().map(tracing::field::display),
            dataset = %settings.dataset.display(),
            "eosfed-client"
        );
        let parts = Parts {
            coordinator: GrpcCoordinator::by(way, &settings.coordinator, &credentials, meter.clone())?,
            site,
            credentials,
            meter,
            dataset: settings.dataset,
            trainer: TrainerCommand { launcher: settings.trainer.launcher, program },
            device: settings.trainer.device,
            threads: settings.trainer.threads,
            pretrained: settings.trainer.pretrained.clone(),
            pace: Pace::with_heartbeat(Duration::from_secs(settings.heartbeat_seconds)),
            clock: Arc::new(SystemClock),
            rng: ChaCha12Rng::from_rng(&mut rand::rng()),
            once: self.once,
        };
        let (sender, wish) = stop();
        let daemon = Daemon::new(parts, wish)?;
        runtime.block_on(async move {
            let signals = tokio::spawn(raise_on_signal(sender));
            let result = daemon.run().await;
            signals.abort();
            result
        })?;
        // A statistics computation that nobody waits for any more must not hold up the end.
        drop(_inside);
        runtime.shutdown_timeout(Duration::from_secs(1));
        tracing::info!("ended");
        Ok(ExitCode::SUCCESS)
    }
}

async fn raise_on_signal(sender: StopSender) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("asked to end; the journal and the trainer's checkpoint are kept");
    sender.raise();
    Ok(())
}
