//! `eosfed-client check`: one line for each thing that `run` needs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use eosfed_client::coordinator::{Coordinator as _, GrpcCoordinator};
use eosfed_client::data_sets::{DataSets, Traits};
use eosfed_client::document::{CheckFinding, CheckReport};
use eosfed_client::policy::{Policy, Privacy};
use eosfed_client::settings::Settings;
use eosfed_client::settings::{load_policies, load_policy};
use eosfed_client::site::Site;
use eosfed_client::spent::Spent;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::counted::counted;
use eosfed_common::ids::DataSetName;
use eosfed_common::model::STRIDE;
use eosfed_common::outln;
use eosfed_data::{Dataset, DatasetConfig, Limits, Split, fits_encoders};
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::meter::Meter;

use super::shared::{Output, runtime, settings, site};

mod machine;

/// Difference of clocks from which on it is a problem: deadlines, approvals and certificates are judged by both.
const CLOCK: Duration = Duration::from_secs(120);

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
    let mut findings = [
        ("identity", identity(site)),
        ("settings", settings.clone().map(|_| site.settings().display().to_string())),
        ("policy", policy(site)),
        ("privacy", privacy(site)),
    ]
    .map(|(what, finding)| (what.to_owned(), finding))
    .to_vec();
    if let Ok(settings) = &settings {
        findings.extend(of_this_machine(site, settings));
        let runtime = runtime()?;
        let proxy = settings.proxy.is_some().then(|| runtime.block_on(proxy(settings)));
        findings.extend(proxy.clone().map(|finding| ("proxy".to_owned(), finding)));
        // Without a tunnel through the proxy, the coordinator cannot be checked.
        if !matches!(proxy, Some(Err(_))) {
            let (finding, clock) = match runtime.block_on(coordinator(site, settings)) {
                Ok((found, now)) => (Ok(found), now.map(|now| judge_clock(now, SystemClock.now()))),
                Err(problem) => (Err(problem), None),
            };
            findings.push(("coordinator".to_owned(), finding));
            findings.extend(clock.map(|finding| ("clock".to_owned(), finding)));
        }
    }
    let ok = findings.iter().all(|(_, finding)| finding.is_ok());
    let findings = findings.into_iter().map(|(what, finding)| CheckFinding {
        what,
        ok: finding.is_ok(),
        message: finding.unwrap_or_else(|problem| problem),
    });
    Ok(CheckReport { ok, findings: findings.collect() })
}

/// What a job will need of this machine. The data set is opened and the training program is started.
pub(super) fn of_this_machine(site: &Site, settings: &Settings) -> Vec<(String, Finding)> {
    let of_machine = [
        ("trainer", machine::trainer(settings)),
        ("sandbox", machine::sandbox(settings)),
        ("limits", machine::limits(settings)),
        ("disk", room(site)),
    ];
    let of_machine = of_machine.map(|(what, finding)| (what.to_owned(), finding));
    let data = data_sets(&settings.dataset).into_iter();
    data.chain(data_set_policies(site, &settings.dataset)).chain(of_machine).collect()
}

/// Compares the coordinator's clock with that of this machine.
fn judge_clock(theirs: Timestamp, ours: Timestamp) -> Finding {
    let (ahead, behind) = (ours.since(theirs), theirs.since(ours));
    let (difference, way) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference < CLOCK {
        return Ok(format!("within {} s of the coordinator's", difference.as_secs() + 1));
    }
    Err(format!(
        "this machine's clock is {} s {way} the coordinator's; set it (`timedatectl set-ntp true`), or tell the operator",
        difference.as_secs()
    ))
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

/// Whether the policy allows anything.
pub(super) fn policy(site: &Site) -> Finding {
    allows(&load_policy(&site.policy()).map_err(|error| error.to_string())?, &site.policy())
}

/// Whether the state folder has room for what the site's policy allows; that of a data set only narrows it.
fn room(site: &Site) -> Finding {
    let policy = load_policy(&site.policy()).map_err(|error| error.to_string())?;
    machine::room(site.path(), &policy.allow)
}

/// Whether the policies of data sets allow anything together with the site's.
fn data_set_policies(site: &Site, all: &DataSets) -> Vec<(String, Finding)> {
    let finding = |(name, own): (&DataSetName, &Path)| {
        let joined = load_policies(&site.policy(), own).map_err(|error| error.to_string());
        (format!("policy {name}"), joined.and_then(|policy| allows(&policy, own)))
    };
    all.policies().map(finding).collect()
}

fn allows(policy: &Policy, file: &Path) -> Finding {
    if policy.may_leave.is_empty() || policy.allow.job_kinds.is_empty() {
        return Err(format!("it allows nothing; edit {}", file.display()));
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
    let found = format!(
        "spent epsilon {spent:.2} of {max_epsilon} at delta {delta:e}; room for {}",
        counted(left, "more update")
    );
    if left == 0 { Err(format!("{found}: updates are declined")) } else { Ok(found) }
}

/// What each data set holds, and of several whether jobs that name none can tell them apart.
fn data_sets(all: &DataSets) -> Vec<(String, Finding)> {
    let what = |name: Option<&DataSetName>| {
        name.map_or_else(|| "data set".to_owned(), |name| format!("data set {name}"))
    };
    let mut findings: Vec<_> = all.all().map(|(name, path)| (what(name), dataset(path))).collect();
    if all.are_named() {
        findings.push(("data sets".to_owned(), told_apart(all)));
    }
    findings
}

/// The same of every data set together, with the name of each that has one.
pub(super) fn check_each(all: &DataSets) -> Finding {
    let each = all.all().map(|(name, path)| match name {
        None => dataset(path),
        Some(name) => {
            let said = |text: String| format!("data set `{name}`: {text}");
            dataset(path).map(said).map_err(said)
        }
    });
    let (found, wrong): (Vec<Finding>, Vec<Finding>) = each.partition(Result::is_ok);
    let lines = |list: Vec<Finding>| {
        list.into_iter().map(|one| one.unwrap_or_else(|problem| problem)).collect::<Vec<_>>().join("\n")
    };
    if wrong.is_empty() { Ok(lines(found)) } else { Err(lines(wrong)) }
}

fn told_apart(all: &DataSets) -> Finding {
    let traits = |(name, path): (Option<&DataSetName>, &Path)| {
        let config = DatasetConfig::load(&eosfed_data::description(path)).ok()?;
        Some((name?.clone(), Traits::of(&config)))
    };
    let known: Vec<_> = all.all().filter_map(traits).collect();
    let pair = known.iter().enumerate().find_map(|(at, (name, one))| {
        let same = known[..at].iter().find(|(_, other)| one.is_like(other));
        same.map(|(other, _)| format!("`{other}` and `{name}`"))
    });
    Ok(match pair {
        None => format!("a job finds its own of {} by task, bands and classes", all.all().count()),
        Some(pair) => format!(
            "{pair} have the same task and classes, so a job whose bands both have must name one (`dataset` in \
             `[participation]` of its plan)"
        ),
    })
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

async fn proxy(settings: &Settings) -> Finding {
    let proxy = settings.proxy().map_err(|error| error.to_string())?.ok_or("there is none")?;
    let target =
        settings.coordinator.parse().map_err(|error| format!("{}: {error}", settings.coordinator))?;
    proxy.tunnel(&target).await.map_err(|error| error.to_string())?;
    Ok(format!("{proxy} opens a tunnel to {}", settings.coordinator))
}

/// Whether the coordinator accepts this client, and its time.
async fn coordinator(site: &Site, settings: &Settings) -> Result<(String, Option<Timestamp>), String> {
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
    Ok((format!("{} accepts `{}`", settings.coordinator, greeting.institution), greeting.now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_by_minutes_are_a_problem() {
        let at = |ours| judge_clock(Timestamp(1_000_000), Timestamp(ours));
        assert_eq!(at(1_000_000).unwrap(), "within 1 s of the coordinator's");
        assert!(at(1_119_999).is_ok() && at(880_001).is_ok());
        assert!(at(1_120_000).unwrap_err().contains("120 s ahead of"));
        assert!(at(400_000).unwrap_err().contains("600 s behind"));
    }
}
