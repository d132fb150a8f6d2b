//! `eosfed-client run`.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use eosfed_client::coordinator::GrpcCoordinator;
use eosfed_client::daemon::{
    Daemon, DaemonError, Intervals, Parts, Programs, SystemDisk, TaskSettings, Traces, Watcher, beside,
};
use eosfed_client::egress::{DataSetPolicies, DataSetPolicyFile, PolicyFile, PolicySource};
use eosfed_client::imagery::FileImagery;
use eosfed_client::journal::{Journal as _, SiteJournal};
use eosfed_client::offload::Blocking;
use eosfed_client::settings::{MAX_DEVICES, SampleSettings, Settings, load_policies, load_policy};
use eosfed_client::site::{Credentials, Site, SiteError};
use eosfed_client::trainer::TrainerCommand;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::exit;
use eosfed_common::service;
use eosfed_common::stdout::print_failure;
use eosfed_common::task::DecodedSamples;
use eosfed_common::telemetry::{LogControl, init};
use eosfed_data::SampleCache;
use eosfed_transport::allocator::give_back_freed_memory;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::meter::Meter;
use eosfed_transport::otlp::{Collector, Exporter};
use eosfed_transport::traced::TraceSlot;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::check::{of_this_machine, policy};
use super::manager::Manager;
use super::shared::{runtime, settings, site, site_log, trainer_command};

/// Poll for work, train and submit. On SIGTERM or SIGINT the trainer is stopped, its checkpoint is kept,
/// and the next start continues from it; a second signal ends the daemon at once.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The state folder that `join` has made.
    #[arg(long)]
    state: PathBuf,
    /// A data set to use instead of the one in client.toml.
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// End after one assignment, however it ends.
    #[arg(long)]
    once: bool,
}

impl Run {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        match self.work() {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                print_failure(error.as_ref());
                Ok(ExitCode::from(exit_code(&error)))
            }
        }
    }

    fn work(self) -> anyhow::Result<()> {
        let site = site(&self.state)?;
        let credentials = site.credentials()?;
        let settings = settings(&site, self.dataset.as_deref())?;
        let file = site.settings();
        let logging = init(settings.log, &settings.log_level.to_string());
        let _lock = site.lock()?;
        load_policy(&site.policy())?;
        settings.dataset.policies().try_for_each(|(_, own)| load_policies(&site.policy(), own).map(drop))?;
        let samples = decoded_samples(&site, &settings)?;
        let mut trainer = trainer_command(&settings).map_err(anyhow::Error::msg)?;
        if let (Some(sandbox), Some(samples)) = (&mut trainer.sandbox, &samples) {
            sandbox.settings.writable.push(samples.folder.clone());
        }
        give_back_freed_memory();
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let traces = traces(&settings)?;
        let proxy = settings.proxy()?;
        // Calls of several lanes go over one connection, so they belong to no one trace.
        let one = settings.trainer.places().len() == 1;
        let trace = if one { traces.place.clone() } else { TraceSlot::default() };
        let options = ChannelOptions { trace, ..ChannelOptions::through(proxy) };
        let meter = Meter::default();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            institution = %credentials.institution,
            coordinator = %settings.coordinator,
            proxy = options.proxy.as_ref().map(tracing::field::display),
            dataset = %settings.dataset,
            "eosfed-client"
        );
        log_expiry(&credentials);
        log_problems(&site, &settings);
        let coordinator =
            GrpcCoordinator::with_options(options, &settings.coordinator, &credentials, meter.clone())?;
        let log = site_log(&site, &settings);
        let places = settings.trainer.places();
        let threads = settings.trainer.threads_of_each(processors());
        let manager = Manager::default();
        let device_of = |lane: usize| places.get(lane).or_else(|| places.last()).copied().unwrap_or_default();
        let watcher = |lane: usize| -> Arc<dyn Watcher> {
            let several = places.len() > 1 || lane > 0;
            if several {
                Arc::new(manager.of_lane(lane, device_of(lane).to_string()))
            } else {
                Arc::new(manager.clone())
            }
        };
        let parts = |lane: usize, place: TraceSlot| Parts::<Programs> {
            coordinator: coordinator.clone(),
            trainer: TrainerCommand { trace: place.clone(), lane, ..trainer.clone() },
            imagery: FileImagery {
                dataset: settings.dataset.clone(),
                samples: samples.clone(),
                blocking: Blocking::ThreadPool,
            },
            journal: SiteJournal::of(&site, lane),
            policy: Arc::new(PolicyFile(site.policy())),
            data_set_policies: data_set_policies(&site, &settings),
            disk: Arc::new(SystemDisk),
            log: log.clone(),
            watcher: watcher(lane),
            site: site.clone(),
            credentials: credentials.clone(),
            meter: meter.clone(),
            traces: Traces { place, ..traces.clone() },
            task: TaskSettings {
                dataset: settings.dataset.clone(),
                // A lane without a device of its own only ends what it has begun.
                device: device_of(lane),
                threads,
                pretrained: settings.trainer.pretrained.clone(),
                samples: samples.clone(),
                carbon_intensity: settings.energy.carbon_intensity_g_per_kwh,
            },
            intervals: Intervals::with_heartbeat(Duration::from_secs(settings.heartbeat_seconds)),
            blocking: Blocking::ThreadPool,
            clock: Arc::new(SystemClock),
            rng: ChaCha12Rng::from_rng(&mut rand::rng()),
            once: self.once,
        };
        let cancel = CancellationToken::new();
        let wanted = if self.once { 1 } else { places.len() };
        let daemons = lanes(&site, wanted, &traces, &cancel, parts)?;
        runtime.block_on(async move {
            let signals = tokio::spawn(cancel_on_signal(cancel.clone()));
            let reloading = tokio::spawn(reload_on_hangup(file, logging));
            let result = all(daemons, &cancel).await;
            signals.abort();
            reloading.abort();
            traces.trainer.flush(FLUSH).await;
            traces.daemon.flush(FLUSH).await;
            result
        })?;
        // A computation of statistics may still run; its result is no longer needed.
        drop(_inside);
        runtime.shutdown_timeout(Duration::from_secs(1));
        tracing::info!("ended");
        Ok(())
    }
}

/// The data sets with names, and where the policies come from that some have of their own.
fn data_set_policies(site: &Site, settings: &Settings) -> DataSetPolicies {
    let joined = |own: &PathBuf| {
        Arc::new(DataSetPolicyFile { site: site.policy(), own: own.clone() }) as Arc<dyn PolicySource>
    };
    let several = settings.dataset.several().iter();
    several.map(|one| (one.name.clone(), one.policy.as_ref().map(joined))).collect()
}

/// The number of processors of this machine.
fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |found| u32::try_from(found.get()).unwrap_or(u32::MAX))
}

/// A daemon for each of `wanted` devices, and for each journal beyond them that still holds work.
fn lanes(
    site: &Site,
    wanted: usize,
    traces: &Traces,
    cancel: &CancellationToken,
    parts: impl Fn(usize, TraceSlot) -> Parts<Programs>,
) -> Result<Vec<Daemon<Programs>>, DaemonError> {
    let first = Daemon::new(parts(0, traces.place.clone()), cancel.clone())?;
    let mut others = Vec::new();
    let journals = SiteJournal::all(site);
    let held = |lane: &usize| {
        let journal = journals.iter().find(|one| one.lane() == *lane && *lane >= wanted);
        Ok::<_, DaemonError>(match journal {
            Some(journal) => journal.load()?.held().is_some(),
            None => false,
        })
    };
    for lane in 1..MAX_DEVICES {
        let ends = lane >= wanted;
        if ends && !held(&lane)? {
            continue;
        }
        if ends {
            tracing::warn!(
                lane = lane + 1,
                "`trainer.devices` has fewer devices than before; the work is ended"
            );
        }
        others.push(first.beside(parts(lane, TraceSlot::default()), lane, ends)?);
    }
    Ok(std::iter::once(first).chain(others).collect())
}

/// Runs the lanes until all have ended. The failure of one ends the others.
async fn all(daemons: Vec<Daemon<Programs>>, cancel: &CancellationToken) -> Result<(), DaemonError> {
    let run = |daemon: Daemon<Programs>| -> Pin<Box<dyn Future<Output = Result<(), DaemonError>> + Send>> {
        let cancel = cancel.clone();
        Box::pin(async move { daemon.run().await.inspect_err(|_| cancel.cancel()) })
    };
    beside(daemons.into_iter().map(run).collect()).await.into_iter().collect()
}

/// Where decoded samples are kept. The folder is made, because the sandbox lets the trainer write to folders
/// that are there; what has not been used for long is removed from it.
fn decoded_samples(site: &Site, settings: &Settings) -> anyhow::Result<Option<DecodedSamples>> {
    let SampleSettings { days, .. } = settings.trainer.samples;
    let Some(samples) = settings.trainer.samples.kept(&site.samples()) else { return Ok(None) };
    let cache = SampleCache { folder: samples.folder.clone(), bytes: samples.bytes };
    let unused = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let removed = cache
        .prepare(SystemClock.now().since(Timestamp(0)).saturating_sub(unused))
        .with_context(|| format!("the folder of decoded samples, {}", samples.folder.display()))?;
    if removed > 0 {
        tracing::info!(removed, days, "files of decoded samples that were not used were removed");
    }
    Ok(Some(samples))
}

/// How long the daemon waits at its end for the collector of its traces.
const FLUSH: Duration = Duration::from_secs(1);

/// Where spans go, if the settings or the environment name a collector.
fn traces(settings: &Settings) -> anyhow::Result<Traces> {
    let collector = match &settings.telemetry.otlp {
        Some(base) => Some(Collector::new(base).context("`otlp` of `[telemetry]`")?),
        None => Collector::of_environment(|name| std::env::var(name).ok())
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?,
    };
    let daemon = Exporter::start(collector.clone(), "eosfed-client")?;
    Ok(Traces { daemon, trainer: Exporter::start(collector, "eosfed-trainer")?, place: TraceSlot::default() })
}

/// The exit code of a daemon that has ended with an error: whether a service manager should start it again.
fn exit_code(error: &anyhow::Error) -> u8 {
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(DaemonError::Refused(_)), _) => exit::REFUSED,
        (Some(_), _) | (_, Some(SiteError::Locked { .. })) => exit::FAILED,
        (None, _) => exit::of_start(error.as_ref()),
    }
}

/// Says in the log that the certificate was not renewed and ends soon, or that it has expired, and what to do.
fn log_expiry(credentials: &Credentials) {
    let certificate = Certificate::of_pem(&credentials.pair.certificate_pem).ok();
    if let Some(text) = certificate.and_then(|one| one.expiry_warning(SystemClock.now())) {
        tracing::warn!("{text}");
    }
}

/// Looks at what a job will need, and says in the log what is wrong. The daemon does not wait for it: what is
/// missing may come before there is work.
fn log_problems(site: &Site, settings: &Settings) {
    let (site, settings) = (site.clone(), settings.clone());
    let look = move || {
        let findings =
            [("policy".to_owned(), policy(&site))].into_iter().chain(of_this_machine(&site, &settings));
        for (what, finding) in findings {
            match finding {
                Ok(found) => tracing::debug!(what, "{found}"),
                Err(problem) => tracing::warn!(what, "a job will not run here as it is: {problem}"),
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("check".to_owned()).spawn(look) {
        tracing::warn!(%error, "what a job will need was not looked at");
    }
}

/// Reads what is logged from the settings again with each SIGHUP. The rest takes effect at the next start.
async fn reload_on_hangup(path: PathBuf, logging: LogControl) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
    while hangup.recv().await.is_some() {
        match Settings::load(&path) {
            Ok(settings) => match logging.set(&settings.log_level) {
                Ok(()) => tracing::info!(level = %settings.log_level, "what is logged has changed"),
                Err(why) => {
                    tracing::warn!(level = %settings.log_level, why, "what is logged has not changed");
                }
            },
            Err(error) => {
                tracing::error!(%error, "the settings cannot be read; what is logged has not changed");
            }
        }
    }
    Ok(())
}

async fn cancel_on_signal(cancel: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending on a signal; the journal and the trainer's checkpoint are kept");
    service::stopping("stops the training program, which keeps its checkpoint");
    cancel.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("ending at once on a second signal; the journal is kept");
    std::process::exit(exit::DONE.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use eosfed_common::refusal::{Reason, Refusal};

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let folder = || "/srv/east".into();
        let refused = Refusal::new(Reason::Unauthenticated, "access was revoked");
        for (error, code) in [
            (DaemonError::Refused(refused).into(), exit::REFUSED),
            (DaemonError::Site(SiteError::NotJoined { path: folder() }).into(), exit::FAILED),
            (SiteError::Locked { path: folder() }.into(), exit::FAILED),
            (SiteError::NotJoined { path: folder() }.into(), exit::CONFIG),
            (anyhow::anyhow!("cannot find `eosfed-trainer`"), exit::CONFIG),
        ] {
            assert_eq!(exit_code(&error), code, "{error:#}");
        }
    }
}
