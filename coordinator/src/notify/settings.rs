//! `[[notify]]` of `coordinator.toml`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use eosfed_common::duration;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::event::NotifyEvent;

/// Most receivers: each has a queue, and series of metrics.
const MAX_RECEIVERS: usize = 16;
/// Longest address, in bytes.
const MAX_URL: usize = 2000;
/// Most words of a command.
const MAX_WORDS: usize = 64;
/// The shortest and the longest limit of one try.
const TIMEOUTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(600)];
/// The longest time for which one notification is tried.
const MAX_RETRY: Duration = Duration::from_secs(7 * 86_400);

/// The name of a receiver, in logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ReceiverName(String);

impl TryFrom<String> for ReceiverName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=40).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text));
        }
        let shown: String = text.escape_debug().take(80).collect();
        Err(format!("`name` must have 1 to 40 lower-case letters, digits and hyphens, found `{shown}`"))
    }
}

impl fmt::Display for ReceiverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl ReceiverName {
    /// The name as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address of a webhook. Its path may be a secret, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct WebhookUrl(pub(super) Uri);

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }
}

impl WebhookUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let rule = "`webhook` must be https://HOST[:PORT]/PATH without user and password, or http:// to an \
                    address of this machine's loopback interface";
        let uri: Option<Uri> =
            Some(text).filter(|text| text.len() <= MAX_URL).and_then(|text| text.parse().ok());
        let uri = uri.filter(|uri| uri.authority().is_some_and(|one| !one.as_str().contains('@')));
        let Some(uri) = uri else {
            return Err(format!("{rule}; found another text of {} bytes", text.len()));
        };
        let url = Self(uri);
        match url.0.scheme_str() {
            Some("https") => Ok(url),
            Some("http") if url.is_loopback() => Ok(url),
            _ => Err(format!("{rule}; found {url}")),
        }
    }

    /// The host without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    fn is_loopback(&self) -> bool {
        let address = self.host().parse::<std::net::IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
    }
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookSettings {
    pub(super) url: WebhookUrl,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<String>,
    pub(super) proxy_credentials_file: Option<PathBuf>,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Webhook(WebhookSettings),
    /// A program, by its absolute path, and its arguments.
    Command(Vec<String>),
}

/// A receiver of notifications.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "RawNotify")]
#[schemars(with = "RawNotify")]
pub struct NotifySettings {
    pub(super) name: ReceiverName,
    pub(super) events: BTreeSet<NotifyEvent>,
    pub(super) target: Target,
    pub(super) timeout: Duration,
    pub(super) retry_for: Duration,
}

/// A receiver of notifications: a webhook or a command.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawNotify {
    /// Its name, in logs and metrics.
    #[schemars(extend("x-rule" = "1 to 40 lower-case letters, digits and hyphens"))]
    name: String,
    /// The events that it is told of. Without this key: all of them.
    events: Option<BTreeSet<NotifyEvent>>,
    /// The address that notifications are posted to as JSON. Either this or `command` is needed.
    #[schemars(extend("x-rule" = "`https://…`, or `http://` to an address of the loopback interface"))]
    webhook: Option<String>,
    /// The program that gets each notification as JSON on its standard input, with its arguments. It is started
    /// without a shell and without environment variables; exit code 0 means delivered.
    #[schemars(extend("x-rule" = "an absolute path and at most 63 arguments"))]
    command: Option<Vec<String>>,
    /// The file of the secret that signs what is posted (`EoSFed-Signature`); a second line is a second secret
    /// while one is replaced by another.
    #[schemars(extend("x-rule" = "an absolute path of a file that only its owner may read, or the name of a credential of systemd"))]
    secret_file: Option<PathBuf>,
    /// A PEM file of the authorities that the webhook's certificate is verified by. Without this key: those of
    /// the system.
    ca_file: Option<PathBuf>,
    /// The HTTP proxy through which the webhook is called.
    #[schemars(extend("x-rule" = "`http://HOST:PORT`"))]
    proxy: Option<String>,
    /// The file of user and password for the proxy, one line `USER:PASSWORD`, which only its owner may read.
    proxy_credentials_file: Option<PathBuf>,
    /// How long one try may take.
    #[serde(default = "default_timeout", with = "eosfed_common::duration")]
    #[schemars(with = "String", extend("x-rule" = "`1s` to `10m`"))]
    timeout: Duration,
    /// How long a notification is tried again after it could not be delivered.
    #[serde(default = "default_retry", with = "eosfed_common::duration")]
    #[schemars(with = "String", extend("x-rule" = "at most `7d`"))]
    retry_for: Duration,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_retry() -> Duration {
    Duration::from_secs(86_400)
}

impl TryFrom<RawNotify> for NotifySettings {
    type Error = String;

    fn try_from(raw: RawNotify) -> Result<Self, String> {
        let name = ReceiverName::try_from(raw.name.clone())?;
        raw.into_settings(name.clone()).map_err(|why| format!("`[[notify]]` `{name}`: {why}"))
    }
}

impl RawNotify {
    fn into_settings(self, name: ReceiverName) -> Result<NotifySettings, String> {
        let events = self.events.clone().unwrap_or_else(|| NotifyEvent::all().collect());
        if events.is_empty() || events.contains(&NotifyEvent::Test) {
            return Err("`events` must name events, and `test` is none of them".to_owned());
        }
        let (timeout, retry_for) = (self.timeout, self.retry_for);
        let [shortest, longest] = TIMEOUTS;
        if !(shortest..=longest).contains(&timeout) {
            return Err(format!("`timeout` must be 1s to 10m, found {}", duration::format(timeout)));
        }
        if retry_for > MAX_RETRY {
            return Err(format!("`retry_for` must be at most 7d, found {}", duration::format(retry_for)));
        }
        Ok(NotifySettings { name, events, target: self.into_target()?, timeout, retry_for })
    }

    fn into_target(self) -> Result<Target, String> {
        let only_webhooks = [&self.secret_file, &self.ca_file, &self.proxy_credentials_file];
        match (self.webhook, self.command) {
            (Some(url), None) => {
                if self.proxy.is_none() && self.proxy_credentials_file.is_some() {
                    return Err("`proxy_credentials_file` needs `proxy`, found none".to_owned());
                }
                Ok(Target::Webhook(WebhookSettings {
                    url: WebhookUrl::parse(&url)?,
                    secret_file: self.secret_file,
                    ca_file: self.ca_file,
                    proxy: self.proxy,
                    proxy_credentials_file: self.proxy_credentials_file,
                }))
            }
            (None, Some(_)) if self.proxy.is_some() || only_webhooks.iter().any(|one| one.is_some()) => {
                Err("`secret_file`, `ca_file`, `proxy` and `proxy_credentials_file` are for webhooks"
                    .to_owned())
            }
            (None, Some(words)) if is_command(&words) => Ok(Target::Command(words)),
            (None, Some(words)) => {
                let first: String = words.first().map_or("", |word| word).escape_debug().take(80).collect();
                Err(format!(
                    "`command` must be an absolute path and at most {} arguments, found `{first}` and {} arguments",
                    MAX_WORDS - 1,
                    words.len().saturating_sub(1)
                ))
            }
            _ => Err("needs either `webhook` or `command`".to_owned()),
        }
    }
}

fn is_command(words: &[String]) -> bool {
    (1..=MAX_WORDS).contains(&words.len())
        && words[0].starts_with('/')
        && !words.iter().any(|word| word.contains('\0'))
}

/// For `#[serde(deserialize_with)]`: receivers of different names, at most 16.
///
/// # Errors
/// If there are more, or two have the same name.
pub fn receivers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NotifySettings>, D::Error> {
    use serde::de::Error as _;
    let all = Vec::<NotifySettings>::deserialize(deserializer)?;
    if all.len() > MAX_RECEIVERS {
        return Err(D::Error::custom(format!("at most {MAX_RECEIVERS} `[[notify]]`, found {}", all.len())));
    }
    let mut names = BTreeSet::new();
    match all.iter().find(|one| !names.insert(&one.name)) {
        Some(twice) => Err(D::Error::custom(format!("two `[[notify]]` have the name `{}`", twice.name))),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        #[serde(deserialize_with = "receivers")]
        notify: Vec<NotifySettings>,
    }

    fn read(text: &str) -> Result<Vec<NotifySettings>, String> {
        toml::from_str::<File>(text).map(|file| file.notify).map_err(|error| error.to_string())
    }

    fn one(keys: &str) -> Result<NotifySettings, String> {
        Ok(read(&format!("[[notify]]\nname = \"ops\"\n{keys}"))?.remove(0))
    }

    #[test]
    fn a_receiver_has_an_address_or_a_command_and_bounds() {
        let hook = one("webhook = \"https://hooks.example.org/T0/5ecret\"").unwrap();
        assert_eq!((hook.timeout.as_secs(), hook.retry_for.as_secs()), (10, 86_400));
        assert_eq!(hook.events.len(), NotifyEvent::all().count());
        assert!(!format!("{hook:?}").contains("5ecret"), "{hook:?}");
        for right in ["http://127.0.0.1:9/x", "http://[::1]:9", "https://[2001:db8::1]/"] {
            one(&format!("webhook = {right:?}")).unwrap();
        }
        let command =
            one("command = [\"/usr/bin/logger\", \"-t\", \"eosfed\"]\nevents = [\"job_paused\"]").unwrap();
        assert_eq!(command.events, [NotifyEvent::JobPaused].into());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (keys, word) in [
            ("", "either `webhook` or `command`"),
            ("webhook = \"https://a\"\ncommand = [\"/b\"]", "either"),
            ("webhook = \"http://hooks.example.org/\"", "found http://hooks.example.org"),
            ("webhook = \"http://127.0.0.1.example.org/\"", "`[[notify]]` `ops`: `webhook` must be https"),
            ("webhook = \"https://ada:5ecret@hooks.example.org/\"", "without user"),
            ("webhook = \"ftp://hooks.example.org/\"", "found ftp://"),
            ("webhook = \"/only/a/path\"", "another text of 12 bytes"),
            ("webhook = \"https://a\"\nproxy_credentials_file = \"/x\"", "needs `proxy`"),
            ("command = [\"mail\"]", "found `mail`"),
            ("command = []", "absolute path"),
            ("command = [\"/b\"]\nsecret_file = \"/x\"", "are for webhooks"),
            ("command = [\"/b\"]\ntimeout = \"11m\"", "1s to 10m, found 11m"),
            ("command = [\"/b\"]\ntimeout = \"0s\"", "found 0s"),
            ("command = [\"/b\"]\nretry_for = \"8d\"", "at most 7d, found 8d"),
            ("command = [\"/b\"]\nevents = []", "`events` must name"),
            ("command = [\"/b\"]\nevents = [\"test\"]", "`test` is none"),
            ("command = [\"/b\"]\nevents = [\"job_exploded\"]", "job_paused"),
            ("command = [\"/b\"]\nlevel = 1", "unknown field"),
        ] {
            let said = one(keys).unwrap_err();
            assert!(said.contains(word) && !said.contains("Ada:5ecret"), "{keys}: {said}");
        }
    }

    #[test]
    fn names_are_different_and_few() {
        let table = |name: &str| format!("[[notify]]\nname = {name:?}\ncommand = [\"/b\"]\n");
        let many = |count: usize| (0..count).map(|at| table(&format!("r{at}"))).collect::<String>();
        assert_eq!(read(&many(MAX_RECEIVERS)).unwrap().len(), MAX_RECEIVERS);
        assert!(read(&many(MAX_RECEIVERS + 1)).unwrap_err().contains("found 17"));
        assert!(read(&(table("a") + &table("a"))).unwrap_err().contains("have the name `a`"));
        for wrong in ["", "A", "a b", &"a".repeat(41)] {
            assert!(read(&table(wrong)).unwrap_err().contains("1 to 40"), "{wrong}");
        }
    }
}
