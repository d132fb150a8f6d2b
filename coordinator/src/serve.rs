//! `eosfed-coordinator serve`: the daemon, from its state folder to its last call.

mod members;
mod monitoring;
mod reload;

use std::fs::{self, File};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use eosfed_common::clock::{Clock, SystemClock};
use eosfed_common::files::write_atomically;
use eosfed_common::service;
use eosfed_common::signing::CoordinatorKeys;
use eosfed_common::telemetry::LogControl;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::otlp::{Collector, Exporter};
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::authority_files;
use crate::disk::DiskGuard;
use crate::engine::{Handle, Options};
use crate::grpc::{Context, serve as serve_calls};
use crate::metrics::Metrics;
use crate::notify::{Around, Notifier};
use crate::overview::Overviews;
use crate::progress;
use crate::sessions::Sessions;
use crate::settings::{Busy, Settings, StateFolder};
use crate::signing_keys;
use crate::storage::{FileBlobs, STAGING, SledStore};
use crate::tls::authority::AuthorityError;
use crate::tls::{Authority, LiveConnections, ServerTls};
use crate::traces;
use crate::traffic::Traffic;
use members::{enrol_first_operator, warn_of_expiry};

/// The server's certificate lives shortly and is made anew while serving.
pub(crate) const SERVER_VALIDITY: Duration = Duration::from_secs(30 * 86_400);
const RENEWAL: Duration = Duration::from_secs(10 * 86_400);
/// How long calls under way may take to end once the coordinator was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a coordinator that ends waits for the collector of its traces.
const FLUSH: Duration = Duration::from_secs(1);

/// Everything that serving needs, opened and checked.
pub struct Coordinator {
    state: StateFolder,
    settings: ArcSwap<Settings>,
    reload: Arc<Notify>,
    logging: Option<LogControl>,
    authority: Arc<Authority>,
    signing: Arc<CoordinatorKeys>,
    engine: Handle,
    metrics: Arc<Metrics>,
    notifier: Notifier,
    _lock: File,
}

impl Coordinator {
    /// Takes the state folder, opens the store and takes up what was under way.
    ///
    /// # Errors
    /// If another coordinator has the folder, or anything in it cannot be used.
    pub async fn open(state: StateFolder, settings: Settings) -> anyhow::Result<Self> {
        let Some(lock) = state.take_lock()? else {
            return Err(Busy(state.0.display().to_string()).into());
        };
        let authority = authority_files::open(&state)?;
        let signing = Arc::new(signing_keys::read_or_make(&state)?);
        let store =
            SledStore::open(&state.store()).with_context(|| format!("{}", state.store().display()))?;
        let blobs = FileBlobs::open(&state.blobs())
            .with_context(|| format!("cannot use the blob folder {}", state.blobs().display()))?;
        let rng = ChaCha12Rng::from_rng(&mut rand::rng());
        let metrics = Arc::<Metrics>::default();
        let notifier = Notifier::open(&settings.notify, state.notifications(), Arc::clone(&metrics))?;
        let options = Options {
            metrics: Arc::clone(&metrics),
            retention: settings.retention(),
            ..Options::new(state.blobs().join(STAGING), signing.key().clone())
        };
        let engine =
            Handle::start(Box::new(store), Arc::new(blobs), Arc::new(SystemClock), rng, options).await?;
        enrol_first_operator(&state, &engine).await?;
        Ok(Self {
            state,
            settings: ArcSwap::from_pointee(settings),
            reload: Arc::default(),
            logging: None,
            authority: Arc::new(authority),
            signing,
            engine,
            metrics,
            notifier,
            _lock: lock,
        })
    }

    /// Signs certificates.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Changes the federation.
    pub(crate) const fn engine(&self) -> &Handle {
        &self.engine
    }

    /// Has what is logged follow the settings when they are read again.
    #[must_use]
    pub fn with_logging(mut self, logging: LogControl) -> Self {
        self.logging = Some(logging);
        self
    }

    /// Tells the serving coordinator to read its settings again.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Listens and serves until `stop` resolves. `ready` is told the address.
    ///
    /// # Errors
    /// If the address cannot be listened on or the transport fails.
    pub async fn serve(
        self,
        ready: impl FnOnce(&str),
        stop: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let Self {
            state,
            settings,
            reload: _,
            logging: _,
            authority,
            signing,
            engine,
            metrics,
            notifier,
            _lock,
        } = &self;
        let settings = settings.load_full();
        let listener = eosfed_web::listen(settings.listen).with_context(|| {
            format!("cannot listen on {}; change `listen` in {}", settings.listen, state.settings().display())
        })?;
        let url = format!("https://{}", listener.local_addr()?);
        let tls = ServerTls::new(&self.server_certificate(&settings.names)?, authority.clients_pem())?;
        write_atomically(&state.address(), url.as_bytes())
            .with_context(|| format!("cannot write {}", state.address().display()))?;
        // The operator's tools on this machine find the coordinator also on a port of its own choice.
        if settings.public_url.is_none() && state.operator().exists() {
            IdentityFolder(state.operator()).set_url(&url)?;
        }
        let exporter = exporter(&settings)?;
        let stopping = CancellationToken::new();
        let disk = DiskGuard::new(state.blobs(), settings.disk);
        let traffic = Traffic::new(Arc::new(SystemClock));
        let mut context = Context {
            engine: engine.clone(),
            authority: Arc::clone(authority),
            signing: Arc::clone(signing),
            public_url: settings.public_url.clone().unwrap_or_else(|| url.clone()).into(),
            traffic: traffic.clone(),
            live: LiveConnections::new(Arc::new(SystemClock)),
            disk: disk.clone(),
            metrics: Arc::clone(metrics),
            exporter: exporter.clone(),
            stopping: stopping.clone(),
            overviews: Overviews::new(engine.clone(), traffic, state.0.clone())
                .with_backups(settings.backup.folder.clone()),
            sessions: Sessions::default(),
            dashboard_url: None,
        };
        let around = self.around(&context);
        let monitoring = self.monitoring(&mut context, &tls, stopping.clone()).await?;
        tracing::info!(url, public_url = %context.public_url, "ready");
        ready(&url);
        let doing = format!("serves {url}");
        service::ready(&doing);
        let stopped = stopping.clone();
        let serving = serve_calls(context, &tls, listener, async move {
            stop.await;
            tracing::info!("stopping");
            service::stopping("waits for the calls under way");
            stopping.cancel();
        });
        let drained = async move {
            stopped.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => served?,
            () = drained => tracing::info!("calls that were still under way are cut off"),
            renewal = self.renew(&tls) => renewal?,
            () = self.reload_when_told(&tls, &doing) => {}
            () = progress::prove(engine) => {}
            () = warn_of_expiry(engine, authority) => {}
            () = disk.warn() => {}
            () = monitoring => {}
            () = notifier.run(around) => {}
            () = traces::export(engine, &exporter) => {}
        }
        exporter.flush(FLUSH).await;
        for address in [state.address(), state.http_address()] {
            let _ = fs::remove_file(address);
        }
        Ok(())
    }

    /// What notifications follow from.
    fn around(&self, calls: &Context) -> Around {
        Around {
            engine: self.engine.clone(),
            traffic: calls.traffic.clone(),
            disk: calls.disk.clone(),
            authority_ends: self.authority.ends_at(),
            started_at: self.engine.now(),
            coordinator: Arc::clone(&calls.public_url),
        }
    }

    fn server_certificate(&self, names: &[String]) -> anyhow::Result<KeyAndCertificate> {
        let made = self.authority.server(names, SystemClock.now(), SERVER_VALIDITY);
        if let Err(ended @ AuthorityError::Ended(_)) = made {
            return Err(ended.into());
        }
        made.with_context(|| format!("`names` {names:?} of {}", self.state.settings().display()))
    }

    /// Replaces the server's certificate in time, for ever.
    async fn renew(&self, tls: &ServerTls) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(SERVER_VALIDITY - RENEWAL).await;
            tls.replace(
                &self.server_certificate(&self.settings.load().names)?,
                self.authority.clients_pem(),
            )?;
            tracing::info!("the server's certificate was renewed");
        }
    }
}

/// Exports traces, if the settings or the environment name a collector.
fn exporter(settings: &Settings) -> anyhow::Result<Exporter> {
    let collector = match &settings.telemetry.otlp {
        Some(base) => Some(Collector::new(base).context("`otlp` of `[telemetry]`")?),
        None => Collector::of_environment(|name| std::env::var(name).ok())
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?,
    };
    Ok(Exporter::start(collector, "eosfed-coordinator")?)
}
