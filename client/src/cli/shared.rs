//! What several commands need.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use eosfed_client::sandbox::Sandbox;
use eosfed_client::settings::{Settings, TrainerSettings, find_program};
use eosfed_client::site::Site;
use eosfed_client::site_log::SiteLog;
use eosfed_client::trainer::TrainerCommand;
use eosfed_common::clock::SystemClock;
use eosfed_transport::traced::TraceSlot;

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A runtime for the commands that speak to the coordinator.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// The settings of a state folder, with the data set replaced if one is given.
pub(super) fn settings(site: &Site, dataset: Option<&Path>) -> anyhow::Result<Settings> {
    let mut settings = Settings::load(&site.settings())?;
    if let Some(dataset) = dataset {
        settings.dataset = dataset.to_owned().into();
    }
    // The training program may run elsewhere: a relative path would mean something else there.
    settings.dataset = settings
        .dataset
        .with_paths(|path| std::path::absolute(path).with_context(|| path.display().to_string()))?;
    Ok(settings)
}

/// A state folder by its absolute path.
pub(super) fn site(state: &Path) -> anyhow::Result<Site> {
    Ok(Site::at(&std::path::absolute(state).with_context(|| state.display().to_string())?))
}

/// The site log of a state folder.
pub(super) fn site_log(site: &Site, settings: &Settings) -> SiteLog {
    SiteLog::new(&site.log(), settings.site_log, Arc::new(SystemClock))
}

/// The training program as the settings name it, in its sandbox.
pub(super) fn trainer_command(settings: &Settings) -> Result<TrainerCommand, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let TrainerSettings { program, launcher, sandbox, limits, .. } = &settings.trainer;
    let program = find_program(program, own.parent(), &path)?;
    let sandbox = Some(Sandbox { program: own, settings: sandbox.clone() });
    let trace = TraceSlot::default();
    Ok(TrainerCommand {
        launcher: launcher.clone(),
        program,
        sandbox,
        limits: limits.clone(),
        trace,
        lane: 0,
    })
}
