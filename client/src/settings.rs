//! `client.toml`: the settings of the daemon. The site policy has its permissions, and the certificate its
//! identity.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eosfed_common::card::MAX_CARBON_INTENSITY;
use eosfed_common::model::Backbone;
use eosfed_common::service;
use eosfed_common::settings::{SettingsError, load};
use eosfed_common::task::{DecodedSamples, DeviceChoice};
use eosfed_common::telemetry::{LogFilter, LogFormat};
use eosfed_transport::proxy::{Proxy, ProxyError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data_sets::DataSets;
use crate::policy::{self, Policy};
use crate::sandbox::{SandboxSettings, TrainerLimits};
use crate::site_log::SiteLogSettings;

/// The commented file that `join` starts from.
pub const SAMPLE: &str = include_str!("../samples/client.toml");

/// The credential (`LoadCredential=`) that may hold user and password of a proxy.
const CREDENTIAL: &str = "proxy-credentials";
const SAMPLE_COORDINATOR: &str = "\"https://coordinator.example.org:7443\"";
const SAMPLE_DATASET: &str = "\"/srv/imagery/dataset.toml\"";
const SAMPLE_PROXY: &str = "# proxy = \"http://proxy.example.org:3128\"";
const SAMPLE_CREDENTIALS: &str = "# proxy_credentials_file = \"/etc/eosfed/proxy-credentials\"";
/// A lease expires after 120 seconds without a heartbeat. Two lost heartbeats must not be enough for that.
const HEARTBEAT_SECONDS: std::ops::RangeInclusive<u64> = 1..=40;

/// Most devices that trainings run on at the same time.
pub const MAX_DEVICES: usize = 64;

/// How the training program is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainerSettings {
    /// Its name, or a path.
    #[serde(default = "default_program")]
    pub program: PathBuf,
    /// The prefix of its command line.
    #[serde(default)]
    pub launcher: Vec<String>,
    /// Where to compute. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// Several places to compute, instead of `device`: one training in each at a time. Each is named once, but
    /// `cpu` may be there more than once, for a large machine; `auto` may not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-rule" = "at most 64; not together with `device`"))]
    pub devices: Vec<DeviceChoice>,
    /// Number of threads of all trainings together: each gets an equal part, and at least one. Default: all
    /// processors.
    pub threads: Option<u32>,
    /// Files by backbone whose encoders one-shot specialists start from: of timm's, for red, green and blue, or
    /// `weights.safetensors` of a pulled release, with `card.json` beside it.
    #[serde(default)]
    pub pretrained: BTreeMap<Backbone, PathBuf>,
    /// How the training program is restricted.
    #[serde(default)]
    pub sandbox: SandboxSettings,
    /// What it may use of the machine.
    #[serde(default)]
    pub limits: TrainerLimits,
    /// Decoded samples that are kept from task to task.
    #[serde(default)]
    pub samples: SampleSettings,
}

/// The table `trainer.samples` of `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSettings {
    /// Their folder. Default: `samples` in the state folder.
    pub folder: Option<PathBuf>,
    /// Most GiB of them. 0: they are not kept.
    #[schemars(range(min = 0, max = 65536))]
    pub gib: u32,
    /// Days after which samples that no task has used are removed, when the daemon starts.
    #[schemars(range(min = 1, max = 3650))]
    pub days: u32,
}

impl Default for SampleSettings {
    fn default() -> Self {
        Self { folder: None, gib: 16, days: 30 }
    }
}

impl SampleSettings {
    fn check(&self) -> Result<(), String> {
        let numbers = [("gib", self.gib, 0..=65_536), ("days", self.days, 1..=3650)];
        numbers.into_iter().try_for_each(|(key, found, bounds)| {
            if bounds.contains(&found) {
                return Ok(());
            }
            let (low, high) = bounds.into_inner();
            Err(format!("`trainer.samples.{key}` must be between {low} and {high}, found `{found}`"))
        })
    }

    /// Where decoded samples are kept, if they are, for a site with this folder for them.
    #[must_use]
    pub fn kept(&self, of_site: &Path) -> Option<DecodedSamples> {
        let folder = self.folder.clone().unwrap_or_else(|| of_site.to_owned());
        (self.gib > 0).then_some(DecodedSamples { folder, bytes: u64::from(self.gib) << 30 })
    }
}

fn default_program() -> PathBuf {
    PathBuf::from("eosfed-trainer")
}

impl TrainerSettings {
    /// Where to compute: a training in each at a time. At least one.
    #[must_use]
    pub fn places(&self) -> Vec<DeviceChoice> {
        if self.devices.is_empty() { vec![self.device.unwrap_or_default()] } else { self.devices.clone() }
    }

    /// The threads of each training, on a machine with so many processors; absent: all of them.
    #[must_use]
    pub fn threads_of_each(&self, processors: u32) -> Option<u32> {
        let places = u32::try_from(self.places().len()).unwrap_or(u32::MAX);
        if places == 1 { self.threads } else { Some((self.threads.unwrap_or(processors) / places).max(1)) }
    }

    fn check_devices(&self) -> Result<(), String> {
        if let (Some(device), false) = (self.device, self.devices.is_empty()) {
            return Err(format!(
                "`trainer.device` and `trainer.devices` exclude each other; remove `device`, found `{device}`"
            ));
        }
        let found = self.devices.len();
        if found > MAX_DEVICES {
            return Err(format!("`trainer.devices` has at most {MAX_DEVICES} devices, found `{found}`"));
        }
        if found > 1 && self.devices.contains(&DeviceChoice::Auto) {
            return Err("`trainer.devices` names each device, such as `cuda:0`, found `auto`".to_owned());
        }
        let twice = |device: &&DeviceChoice| {
            let same = self.devices.iter().filter(|other| other == device).count();
            matches!(device, DeviceChoice::Cuda(_)) && same > 1
        };
        match self.devices.iter().find(twice) {
            None => Ok(()),
            Some(device) => Err(format!(
                "`trainer.devices` has each CUDA device once, since its memory is for one training, found `{device}` \
                 twice"
            )),
        }
    }
}

impl Default for TrainerSettings {
    fn default() -> Self {
        Self {
            program: default_program(),
            launcher: Vec::new(),
            device: None,
            devices: Vec::new(),
            threads: None,
            pretrained: BTreeMap::new(),
            sandbox: SandboxSettings::default(),
            limits: TrainerLimits::default(),
            samples: SampleSettings::default(),
        }
    }
}

/// What is known of the site's electricity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnergySettings {
    /// Grams of CO2 equivalents of a kilowatt-hour. Emissions are sent together with the energy, if the policy
    /// allows `provenance`. Default: not known, and not sent.
    #[schemars(range(min = 0, max = 3000))]
    pub carbon_intensity_g_per_kwh: Option<u32>,
}

impl EnergySettings {
    fn check(self) -> Result<(), String> {
        match self.carbon_intensity_g_per_kwh {
            Some(found) if found > MAX_CARBON_INTENSITY => Err(format!(
                "`energy.carbon_intensity_g_per_kwh` must be between 0 and {MAX_CARBON_INTENSITY}, found `{found}`"
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// The table `[telemetry]` of `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The collector that traces are exported to by OTLP (protobuf over HTTP), if the policy has the word
    /// `traces`. Without this key: the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`; without both, nothing is
    /// exported.
    #[schemars(extend("x-rule" = "`http://HOST:PORT` or `https://HOST:PORT`; `/v1/traces` is added"))]
    pub otlp: Option<String>,
}

fn is_default(settings: &TelemetrySettings) -> bool {
    *settings == TelemetrySettings::default()
}

/// The contents of `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The coordinator's address, `https://HOST:PORT`.
    #[schemars(extend("x-rule" = "begins with `https://`"))]
    pub coordinator: String,
    /// `dataset.toml`, or its folder; or several tables `[[dataset]]`.
    pub dataset: DataSets,
    /// The HTTP proxy for connections to the coordinator, `http://HOST:PORT`. Default: none.
    pub proxy: Option<String>,
    /// A file of one line, `USER:PASSWORD`, for a proxy that requires it. Only its owner may read it.
    pub proxy_credentials_file: Option<PathBuf>,
    /// The format of log lines.
    #[serde(default)]
    pub log: LogFormat,
    /// What is logged. SIGHUP reads it again.
    #[serde(default)]
    #[schemars(extend("x-rule" = "a level or a filter, such as `debug` or `info,eosfed_client=debug`"))]
    pub log_level: LogFilter,
    /// Seconds between two heartbeats.
    #[serde(default = "default_heartbeat")]
    #[schemars(range(min = 1, max = 40))]
    pub heartbeat_seconds: u64,
    /// How the training program is started.
    #[serde(default)]
    pub trainer: TrainerSettings,
    /// What is known of this site's electricity.
    #[serde(default)]
    pub energy: EnergySettings,
    /// Traces.
    #[serde(default, skip_serializing_if = "is_default")]
    pub telemetry: TelemetrySettings,
    /// How much of the site log is kept.
    #[serde(default)]
    pub site_log: SiteLogSettings,
}

const fn default_heartbeat() -> u64 {
    10
}

impl Settings {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// If it cannot be read, holds an unknown key, or a value breaks its rule.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = load(path)?;
        let invalid = |reason| Err(SettingsError::Invalid { path: path.to_owned(), reason });
        if !HEARTBEAT_SECONDS.contains(&settings.heartbeat_seconds) {
            let found = settings.heartbeat_seconds;
            return invalid(format!("`heartbeat_seconds` must be between 1 and 40, found `{found}`"));
        }
        if !settings.coordinator.starts_with("https://") {
            let found = &settings.coordinator;
            return invalid(format!("`coordinator` must be https://HOST:PORT, found `{found}`"));
        }
        let TrainerSettings { limits, samples, .. } = &settings.trainer;
        if let Err(reason) = settings
            .site_log
            .check()
            .and_then(|()| limits.check())
            .and_then(|()| samples.check())
            .and_then(|()| settings.trainer.check_devices())
            .and_then(|()| settings.energy.check())
        {
            return invalid(reason);
        }
        match &settings.proxy {
            None if settings.proxy_credentials_file.is_some() => {
                return invalid("`proxy_credentials_file` needs `proxy`, found none".to_owned());
            }
            // The file of credentials is read when it is used: on another machine it may not be there.
            Some(proxy) => match Proxy::new(proxy, None) {
                Ok(_) => {}
                Err(error) => return invalid(error.to_string()),
            },
            None => {}
        }
        Ok(settings)
    }

    /// The proxy for connections to the coordinator, if one is set. Without a file of credentials in the
    /// settings, the service manager's credential is used, if it has given one.
    ///
    /// # Errors
    /// If its file of credentials cannot be used.
    pub fn proxy(&self) -> Result<Option<Proxy>, ProxyError> {
        let given = service::credential(CREDENTIAL);
        let credentials = self.proxy_credentials_file.as_deref().or(given.as_deref());
        self.proxy.as_deref().map(|url| Proxy::new(url, credentials)).transpose()
    }

    /// The commented file for a coordinator and, when known already, data sets and a proxy with the
    /// file of its credentials.
    #[must_use]
    pub fn commented(
        coordinator: &str,
        dataset: Option<&DataSets>,
        proxy: Option<&str>,
        credentials: Option<&Path>,
    ) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut file = SAMPLE.replace(SAMPLE_COORDINATOR, &quoted(coordinator));
        if let Some(dataset) = dataset {
            file = file.replace(SAMPLE_DATASET, &dataset.as_toml());
        }
        if let Some(proxy) = proxy {
            file = file.replace(SAMPLE_PROXY, &format!("proxy = {}", quoted(proxy)));
        }
        if let Some(path) = credentials {
            let line = format!("proxy_credentials_file = {}", quoted(&path.to_string_lossy()));
            file = file.replace(SAMPLE_CREDENTIALS, &line);
        }
        file
    }
}

/// Reads a site policy.
///
/// # Errors
/// If the file cannot be read, or holds an unknown key or word; for those of earlier versions, with what
/// to write instead.
pub fn load_policy(path: &Path) -> Result<Policy, SettingsError> {
    load(path).map_err(|error| match error {
        SettingsError::Invalid { path, reason } => {
            let advice = std::fs::read_to_string(&path).ok().and_then(|text| policy::advice(&text));
            let reason = advice.map_or_else(|| reason.clone(), |advice| format!("{reason}\n{advice}"));
            SettingsError::Invalid { path, reason }
        }
        SettingsError::Read { .. } => error,
    })
}

/// Reads the policy of a data set beside that of its site: what both allow.
///
/// # Errors
/// Like [`load_policy`] of either, or if the one of the data set has rules of the whole site.
pub fn load_policies(site: &Path, own: &Path) -> Result<Policy, SettingsError> {
    let invalid = |reason| SettingsError::Invalid { path: own.to_owned(), reason };
    load_policy(site)?.and_of_data_set(&load_policy(own)?).map_err(invalid)
}

/// The training program as a path: beside this program if it is there, otherwise as `PATH` finds it.
///
/// # Errors
/// A sentence that names the places that were searched.
pub fn find_program(program: &Path, beside: Option<&Path>, path: &str) -> Result<PathBuf, String> {
    find_executable(program, beside, path).ok_or_else(|| {
        let name = program.display();
        if program.components().count() > 1 {
            return format!("`trainer.program` must be an existing file, found `{name}`");
        }
        format!("cannot find `{name}` beside this program or in PATH; set `trainer.program` in client.toml")
    })
}

/// A program by its path, or by its name beside another program or in `PATH`.
#[must_use]
pub fn find_executable(program: &Path, beside: Option<&Path>, path: &str) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let folders = beside.map(Path::to_owned).into_iter().chain(std::env::split_paths(path));
    folders.map(|folder| folder.join(program)).find(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path)
    }

    #[test]
    fn the_sample_spells_out_the_defaults() {
        let sample = parsed(SAMPLE).unwrap();
        let least =
            parsed(&format!("coordinator = {SAMPLE_COORDINATOR}\ndataset = {SAMPLE_DATASET}")).unwrap();
        assert_eq!(sample, least);
    }

    #[test]
    fn any_path_can_be_written_into_the_sample() {
        let path = Path::new("/srv/a \"b\"\\c");
        let settings =
            parsed(&Settings::commented("https://[::1]:1", Some(&path.to_owned().into()), None, None))
                .unwrap();
        assert_eq!(settings.coordinator, "https://[::1]:1");
        assert_eq!(settings.dataset, DataSets::from(path.to_owned()));
        let proxy = Some("http://proxy:3128");
        let settings = parsed(&Settings::commented("https://[::1]:1", None, proxy, Some(path))).unwrap();
        assert_eq!(
            (settings.proxy.as_deref(), settings.proxy_credentials_file.as_deref()),
            (proxy, Some(path))
        );
        assert!(settings.proxy().unwrap_err().to_string().contains("/srv/a"), "there is no such file");
    }

    #[test]
    fn bad_values_are_named() {
        for (line, named) in [
            ("heartbeat_seconds = 90", "`90`"),
            ("hartbeat = 1", "hartbeat"),
            ("[trainer]\ndevice = \"tpu\"", "tpu"),
            ("[site_log]\nfiles = 1", "`site_log.files` must be between 2 and 10000, found `1`"),
            ("[site_log]\nfile_mib = 0", "`site_log.file_mib`"),
            ("[trainer.samples]\ngib = 70000", "`trainer.samples.gib` must be between 0 and 65536"),
            ("[trainer.samples]\ndays = 0", "`trainer.samples.days` must be between 1 and 3650, found `0`"),
            ("[trainer]\ndevice = \"cpu\"\ndevices = [\"cpu\"]", "exclude each other"),
            ("[trainer]\ndevices = [\"cuda:0\", \"auto\"]", "found `auto`"),
            ("[trainer]\ndevices = [\"cuda:1\", \"cpu\", \"cuda:1\"]", "found `cuda:1` twice"),
            ("proxy = \"proxy:3128\"", "`proxy:3128`"),
            ("proxy_credentials_file = \"x\"", "needs `proxy`"),
        ] {
            let text = format!("coordinator = \"https://a:1\"\ndataset = \"d\"\n{line}");
            let error = parsed(&text).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("client.toml"), "{error}");
        }
        let error = parsed("coordinator = \"http://a:1\"\ndataset = \"d\"").unwrap_err().to_string();
        assert!(error.contains("`http://a:1`"), "{error}");
    }

    #[test]
    fn threads_are_divided_between_devices() {
        let settings = |text: &str| -> TrainerSettings { toml::from_str(text).unwrap() };
        let one = settings("");
        assert_eq!((one.places(), one.threads_of_each(8)), (vec![DeviceChoice::Auto], None));
        assert_eq!(settings("device = \"cpu\"\nthreads = 3").threads_of_each(8), Some(3));
        let two = settings("devices = [\"cpu\", \"cpu\"]");
        assert_eq!((two.places(), two.threads_of_each(8)), (vec![DeviceChoice::Cpu; 2], Some(4)));
        let three = settings("devices = [\"cuda:0\", \"cuda:1\", \"cpu\"]\nthreads = 2");
        assert_eq!((three.places().len(), three.threads_of_each(8)), (3, Some(1)));
    }

    #[test]
    fn a_program_beside_this_one_has_precedence() {
        let beside = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().to_str().unwrap();
        let find = |name: &str| find_program(Path::new(name), Some(beside.path()), path);
        assert!(find("t").unwrap_err().contains("`t`"));
        std::fs::write(elsewhere.path().join("t"), "").unwrap();
        assert_eq!(find("t").unwrap(), elsewhere.path().join("t"));
        std::fs::write(beside.path().join("t"), "").unwrap();
        assert_eq!(find("t").unwrap(), beside.path().join("t"));
        assert!(find("./no/such").unwrap_err().contains("no/such"));
    }
}
