//! `eosfed-client check`: one line for each thing that `run` needs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use eosfed_client::coordinator::{Coordinator as _, GrpcCoordinator};
use eosfed_client::document::{CheckFinding, CheckReport};
use eosfed_client::policy::Privacy;
use eosfed_client::sandbox::{Cgroups, Enforcement, Mode, Report};
use eosfed_client::settings::Settings;
use eosfed_client::settings::load_policy;
use eosfed_client::site::Site;
use eosfed_client::spent::Spent;
use eosfed_client::trainer::Trainer as _;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::model::STRIDE;
use eosfed_common::outln;
use eosfed_data::{Dataset, Limits, Split, fits_encoders};
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::meter::Meter;

use super::shared::{Output, runtime, settings, site, trainer_command};

/// Check settings, policy, data set, training program, proxy and coordinator. Changes nothing.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Format of the answer.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What was found in order, or what is wrong.
pub(super) type Finding = Result<String, String>;

impl Check {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let report = check(&site(&self.state)?)?;
        match self.output {
            Output::Json => outln!("{}", serde_json::to_string_pretty(&report)?),
            Output::Text => print(&report),
        }
        Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Prints a line for each finding.
pub(super) fn print(report: &CheckReport) {
    for CheckFinding { what, ok, message } in &report.findings {
        outln!("{} {what}: {message}", if *ok { "ok      " } else { "problem " });
    }
}

/// Looks at each thing that `run` needs.
pub(super) fn check(site: &Site) -> anyhow::Result<CheckReport> {
    let settings = settings(site, None).map_err(|error| format!("{error:#}"));
    let mut findings = vec![
        ("identity", identity(site)),
        ("settings", settings.clone().map(|_| site.settings().display().to_string())),
        ("policy", policy(site)),
        ("privacy", privacy(site)),
    ];
    if let Ok(settings) = &settings {
        findings.push(("data set", dataset(&settings.dataset)));
        findings.push(("trainer", trainer(settings)));
        findings.push(("sandbox", sandbox(settings)));
        findings.push(("limits", limits(settings)));
        let runtime = runtime()?;
        let proxy = settings.proxy.is_some().then(|| runtime.block_on(proxy(settings)));
        findings.extend(proxy.clone().map(|finding| ("proxy", finding)));
        // Without a tunnel through the proxy, the coordinator cannot be checked.
        if !matches!(proxy, Some(Err(_))) {
            findings.push(("coordinator", runtime.block_on(coordinator(site, settings))));
        }
    }
    let ok = findings.iter().all(|(_, finding)| finding.is_ok());
    let findings = findings.into_iter().map(|(what, finding)| CheckFinding {
        what: what.to_owned(),
        ok: finding.is_ok(),
        message: finding.unwrap_or_else(|problem| problem),
    });
    Ok(CheckReport { ok, findings: findings.collect() })
}

fn identity(site: &Site) -> Finding {
    let credentials = site.credentials().map_err(|error| error.to_string())?;
    let certificate = Certificate::of_pem(&credentials.pair.certificate_pem);
    let certificate = certificate.map_err(|error| error.to_string())?;
    match certificate.expiry_warning(SystemClock.now()) {
        Some(problem) => Err(problem),
        None => Ok(format!("`{}` until {}", credentials.institution, credentials.not_after)),
    }
}

fn policy(site: &Site) -> Finding {
    let policy = load_policy(&site.policy()).map_err(|error| error.to_string())?;
    if policy.may_leave.is_empty() || policy.allow.job_kinds.is_empty() {
        return Err(format!("it allows nothing; edit {}", site.policy().display()));
    }
    Ok(format!(
        "may leave: {}",
        policy.may_leave.iter().map(|what| what.name()).collect::<Vec<_>>().join(", ")
    ))
}

fn privacy(site: &Site) -> Finding {
    let policy = load_policy(&site.policy()).map_err(|error| error.to_string())?;
    let spending = Spent::new(site).spending().map_err(|error| error.to_string())?;
    let Some(privacy) = policy.privacy else {
        return Ok("updates leave as they were trained, without clipping and noise".to_owned());
    };
    let Privacy { max_epsilon, delta, .. } = privacy;
    let left = privacy.updates_left(&spending);
    let spent = spending.epsilon(delta);
    let found =
        format!("spent epsilon {spent:.2} of {max_epsilon} at delta {delta:e}; {left} more updates fit");
    if left == 0 { Err(format!("{found}: updates are declined")) } else { Ok(found) }
}

/// What the data set holds.
pub(super) fn dataset(path: &Path) -> Finding {
    let dataset = Dataset::open(path, &Limits::default()).map_err(|error| error.to_string())?;
    let counts = Split::ALL.map(|split| format!("{} {}", dataset.len(split), split.name())).join(", ");
    if dataset.is_empty(Split::Train) {
        return Err(format!("{}: the training part has no samples", dataset.path().display()));
    }
    let found = format!("{}: {counts}", dataset.path().display());
    Ok(match dataset.first_size(Split::Train).filter(|size| !fits_encoders(*size)) {
        None => found,
        Some([width, height]) => format!(
            "{found}; samples of {width}x{height} pixels serve only jobs with `training.input_size`: others need \
             multiples of {STRIDE}, so {STRIDE}x{STRIDE} at least"
        ),
    })
}

fn trainer(settings: &Settings) -> Finding {
    let command = trainer_command(settings)?;
    command.ready().map_err(|condition| condition.to_string())?;
    let words = command.launcher.iter().cloned().chain([command.program.display().to_string()]);
    Ok(words.collect::<Vec<_>>().join(" "))
}

fn sandbox(settings: &Settings) -> Finding {
    let folder = std::env::temp_dir();
    let Some(report) = trainer_command(settings)?.enforced(&folder)? else {
        return Ok("off; the trainer may use the network and write wherever this user may".to_owned());
    };
    let Report { network, files } = &report;
    let found = format!("no network: {}; writes to its own folder only: {}", shown(network), shown(files));
    if report.is_complete() || settings.trainer.sandbox.mode != Mode::Required {
        return Ok(found);
    }
    Err(format!("{found}; `trainer.sandbox.mode = \"required\"` lets no training start here"))
}

/// Whether the training program gets a cgroup. One started by hand may have another place than the daemon.
fn limits(settings: &Settings) -> Finding {
    let limits = &settings.trainer.limits;
    if limits.cgroup == Mode::Off {
        return Ok("no cgroup (off); a trainer that leaves its process group may outlive it".to_owned());
    }
    let made = if limits.cgroup_folder.is_some() {
        Cgroups::find(limits).and_then(|cgroups| cgroups.make(limits).map_err(|error| error.to_string()))
    } else {
        // A cgroup of this process says nothing of the daemon's: it is not changed.
        return match (Cgroups::find(limits), limits.cgroup) {
            (Ok(_), _) => Ok("a cgroup of version 2 can be made".to_owned()),
            (Err(why), Mode::Required) => Err(format!("no cgroup: {why}")),
            (Err(why), _) => Ok(format!("no cgroup here ({why}); its limits are not enforced")),
        };
    };
    let cgroup = made?;
    cgroup.end();
    match (cgroup.missing.is_empty(), limits.cgroup) {
        (true, _) => Ok("a cgroup of version 2, with all limits".to_owned()),
        (false, Mode::Required) => Err(format!("not enforced: {}", cgroup.missing.join("; "))),
        (false, _) => Ok(format!("a cgroup of version 2; not enforced: {}", cgroup.missing.join("; "))),
    }
}

fn shown(enforcement: &Enforcement) -> String {
    match enforcement {
        Enforcement::Full(means) => means.clone(),
        Enforcement::Partial(means) => format!("in part ({means})"),
        Enforcement::None(why) => format!("not enforced ({why})"),
    }
}

async fn proxy(settings: &Settings) -> Finding {
    let proxy = settings.proxy().map_err(|error| error.to_string())?.ok_or("there is none")?;
    let target =
        settings.coordinator.parse().map_err(|error| format!("{}: {error}", settings.coordinator))?;
    proxy.tunnel(&target).await.map_err(|error| error.to_string())?;
    Ok(format!("{proxy} opens a tunnel to {}", settings.coordinator))
}

async fn coordinator(site: &Site, settings: &Settings) -> Finding {
    let credentials = site.credentials().map_err(|error| error.to_string())?;
    let options = ChannelOptions::through(settings.proxy().map_err(|error| error.to_string())?);
    let coordinator =
        GrpcCoordinator::with_options(options, &settings.coordinator, &credentials, Meter::default())
            .map_err(|error| error.to_string())?;
    let greeting = coordinator.hello().await.map_err(|refusal| {
        format!(
            "{}: {refusal}; check the address, the network and this machine's clock",
            settings.coordinator
        )
    })?;
    Ok(format!("{} accepts `{}`", settings.coordinator, greeting.institution))
}
