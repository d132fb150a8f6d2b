//! The answers, each checked when it is given. Nothing is written here.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eosfed_client::data_sets::DataSets;
use eosfed_client::join::reach;
use eosfed_client::policy::{Approval, Policy};
use eosfed_client::settings::{Settings, load_policy};
use eosfed_client::setup::{Choice, Key, Question, Respondent, SetupError, settle};
use eosfed_client::site::Site;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Role;
use eosfed_common::ids::InstitutionName;
use eosfed_common::outln;
use eosfed_transport::join::JoinToken;
use eosfed_transport::proxy::Proxy;

use super::absolute;
use crate::cli::check::check_each;
use crate::cli::shared::runtime;

/// Longest file with a token, in bytes.
const MAX_TOKEN_FILE: u64 = 64 << 10;
const TOKEN_PREFIX: &str = "eosfed-join-";

/// What is in the state folder already.
pub(super) struct Present {
    /// The institution of a certificate that counts.
    pub joined: Option<InstitutionName>,
    /// The institution of a certificate that has expired.
    expired: Option<InstitutionName>,
    /// The settings.
    pub settings: Option<Settings>,
    /// The policy.
    policy: Option<PathBuf>,
}

impl Present {
    pub(super) fn read(site: &Site) -> anyhow::Result<Self> {
        let kept = site.is_joined()?.then(|| site.credentials()).transpose()?;
        let (joined, expired) = match kept {
            Some(kept) if SystemClock.now() < kept.not_after => (Some(kept.institution), None),
            kept => (None, kept.map(|kept| kept.institution)),
        };
        let settings = site.settings().exists().then(|| Settings::load(&site.settings())).transpose()?;
        let policy = site.policy().exists().then(|| site.policy());
        policy.as_deref().map(load_policy).transpose()?;
        Ok(Self { joined, expired, settings, policy })
    }

    /// Says what is kept.
    pub(super) fn print(&self, site: &Site) {
        outln!("Setup of the institution's client in {}", site.path().display());
        if let Some(name) = &self.joined {
            outln!("kept: the identity of `{name}`");
        }
        if let Some(name) = &self.expired {
            outln!("the certificate of `{name}` has expired; a new token is needed");
        }
        if self.settings.is_some() {
            outln!("kept: {}; change it there", site.settings().display());
        }
        if let Some(policy) = &self.policy {
            outln!("kept: {}; change it there", policy.display());
        }
    }
}

/// A proxy, and the file of its credentials.
#[derive(Debug, Clone)]
pub(super) struct ProxyAnswer {
    pub url: String,
    pub credentials: Option<PathBuf>,
}

/// A policy to write.
pub(super) struct PolicyAnswer {
    pub text: String,
    pub parsed: Policy,
}

/// What there is to do. What is absent is there already.
pub(super) struct Plan {
    pub token: Option<JoinToken>,
    pub dataset: Option<DataSets>,
    pub proxy: Option<ProxyAnswer>,
    pub policy: Option<PolicyAnswer>,
}

impl Plan {
    /// Asks for what is not there.
    pub(super) fn gather(respondent: &mut dyn Respondent, present: &Present) -> anyhow::Result<Self> {
        let token = match present.joined {
            Some(_) => None,
            None => Some(token(respondent, present)?),
        };
        // Settings need the coordinator's address, which the token has.
        if let (None, Some(_), None) = (&present.settings, &present.joined, &token) {
            anyhow::bail!(
                "there is an identity without client.toml, which has the coordinator's address; bring client.toml \
                 back, or join again with a new token and `eosfed-client join --force`"
            );
        }
        let (dataset, proxy) = match &present.settings {
            Some(_) => (None, None),
            None => (Some(data(respondent)?), proxy(respondent, token.as_ref())?),
        };
        let policy = match present.policy {
            Some(_) => None,
            None => Some(policy(respondent)?),
        };
        Ok(Self { token, dataset, proxy, policy })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.token.is_none() && self.dataset.is_none() && self.policy.is_none()
    }
}

fn token(respondent: &mut dyn Respondent, present: &Present) -> Result<JoinToken, SetupError> {
    settle(respondent, &Question::required(Key::TokenFile), |answer| {
        let text = if answer.starts_with(TOKEN_PREFIX) { answer.to_owned() } else { token_file(answer)? };
        let token: JoinToken = text.parse().map_err(|error| format!("{error}"))?;
        if token.role != Role::Institution {
            return Err("it is a token for a person; ask for one by `eosfed institution invite`".to_owned());
        }
        match &present.expired {
            Some(kept) if *kept != token.institution => Err(format!(
                "it is for `{}`, and the state folder is that of `{kept}`; name another folder with `--state`",
                token.institution
            )),
            _ => Ok(token),
        }
    })
}

fn token_file(answer: &str) -> Result<String, String> {
    let path = absolute(answer)?;
    let size = path.metadata().map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
    if size > MAX_TOKEN_FILE {
        return Err(format!("{} has {size} bytes, and a token at most {MAX_TOKEN_FILE}", path.display()));
    }
    std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn data(respondent: &mut dyn Respondent) -> Result<DataSets, SetupError> {
    settle(respondent, &Question::required(Key::Dataset), |answer| {
        let all: DataSets = answer.parse()?;
        let all = all.with_paths(|path| absolute(&path.to_string_lossy()))?;
        let found = check_each(&all)?;
        outln!("ok: {found}");
        Ok(all)
    })
}

/// The way to the coordinator, which is tried.
fn proxy(respondent: &mut dyn Respondent, token: Option<&JoinToken>) -> anyhow::Result<Option<ProxyAnswer>> {
    let runtime = runtime()?;
    let mut question = Question::with_default(Key::Proxy, "");
    if let Some(token) = token {
        question.notes.push(format!("the coordinator is {}", token.url));
    }
    let reached = |proxy: Option<Proxy>| -> Result<(), String> {
        let Some(token) = token else { return Ok(()) };
        runtime.block_on(reach(token, proxy)).map_err(|error| error.to_string())?;
        outln!("ok: the coordinator answers");
        Ok(())
    };
    // Credentials may be needed before the way can be tried.
    let url = settle(respondent, &question, |answer| match answer {
        "" => reached(None).map(|()| None),
        url => Proxy::new(url, None).map(|_| Some(url.to_owned())).map_err(|error| error.to_string()),
    })?;
    let Some(url) = url else { return Ok(None) };
    let question = Question::with_default(Key::ProxyCredentialsFile, "");
    let credentials = settle(respondent, &question, |answer| {
        let credentials = if answer.is_empty() { None } else { Some(absolute(answer)?) };
        let proxy = Proxy::new(&url, credentials.as_deref()).map_err(|error| error.to_string())?;
        reached(Some(proxy)).map(|()| credentials)
    })?;
    Ok(Some(ProxyAnswer { url, credentials }))
}

fn policy(respondent: &mut dyn Respondent) -> anyhow::Result<PolicyAnswer> {
    let choice = settle(respondent, &Question::intent(), |answer| {
        let choice = Choice::parse(answer)?;
        let own = if let Choice::File(path) = &choice { Some(own_policy(path)?) } else { None };
        Ok((choice, own))
    })?;
    let intent = match choice {
        (Choice::Template(intent), _) => intent,
        (Choice::File(path), own) => return own.with_context(|| path.display().to_string()),
    };
    let question = Question::with_default(Key::Approval, Approval::Manual.name());
    let approval: Approval = settle(respondent, &question, |answer| {
        let wrong = |_| format!("expected manual or automatic, found `{}`", answer.escape_debug());
        answer.parse().map_err(wrong)
    })?;
    let text = intent.policy(approval);
    let parsed = toml::from_str(&text).context("the template of a policy")?;
    Ok(PolicyAnswer { text, parsed })
}

fn own_policy(path: &Path) -> Result<PolicyAnswer, String> {
    let parsed = load_policy(path).map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(PolicyAnswer { text, parsed })
}
