//! `eosfed-client join`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use eosfed_client::data_sets::DataSets;
use eosfed_client::join::enroll;
use eosfed_client::policy;
use eosfed_client::settings::Settings;
use eosfed_client::settings::load_policy;
use eosfed_client::site::Site;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Role;
use eosfed_common::outln;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_common::signing::{PinnedKeys, SigningKey};
use eosfed_transport::join::JoinToken;
use eosfed_transport::proxy::Proxy;

use super::check::check_each;
use super::shared::{runtime, site};

/// Get an identity with a join token and make the state folder. The private key is made on this machine and
/// does not leave it.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The token, or `-` to read it from standard input.
    #[arg(long, env = "EOSFED_JOIN_TOKEN", hide_env_values = true, required_unless_present = "token_file")]
    token: Option<String>,
    /// A file with the token, which keeps it out of the process list.
    #[arg(long, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The state folder. It is made if it is missing.
    #[arg(long)]
    state: PathBuf,
    /// The private imagery: a dataset.toml, or its folder. Of several data sets each as NAME=PATH, or
    /// NAME=PATH;policy=FILE with a policy of its own.
    #[arg(long = "dataset", value_name = "PATH")]
    datasets: Vec<String>,
    /// The HTTP proxy for connections to the coordinator, `http://HOST:PORT`. It is written to client.toml.
    /// Joining again without this option keeps the proxy that is set there.
    #[arg(long, env = "EOSFED_PROXY", value_name = "URL")]
    proxy: Option<String>,
    /// A file of one line, USER:PASSWORD, for a proxy that requires it. Only its owner may read it.
    #[arg(long, env = "EOSFED_PROXY_CREDENTIALS_FILE", value_name = "FILE", requires = "proxy")]
    proxy_credentials_file: Option<PathBuf>,
    /// A site policy to copy. Without it, a commented policy that allows nothing is written.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Join though the data set cannot be opened now, because its disk is not there yet, say.
    #[arg(long)]
    skip_data_check: bool,
    /// Replace an existing identity.
    #[arg(long)]
    force: bool,
}

impl Join {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let site = site(&self.state)?;
        let kept = match site.is_joined()?.then(|| site.credentials()).transpose() {
            Ok(kept) => kept,
            // What is damaged is what `--force` replaces.
            Err(_) if self.force => None,
            Err(error) => return Err(error.into()),
        };
        let expired = kept.as_ref().is_some_and(|kept| SystemClock.now() >= kept.not_after);
        if kept.is_some() && !expired && !self.force {
            bail!("{} already holds an identity; `--force` replaces it", site.path().display());
        }
        let token: JoinToken = self.read_token()?.parse()?;
        if let Some(kept) = kept.filter(|kept| kept.institution != token.institution) {
            bail!(
                "{} is the folder of institution `{}`, and the token is for `{}`; name another folder with `--state`",
                site.path().display(),
                kept.institution,
                token.institution
            );
        }
        ensure!(
            token.role == Role::Institution,
            "it is a token for a person, who joins with `eosfed join`; ask for one by `eosfed institution invite`"
        );
        let policy = self.read_policy()?;
        let dataset = self.data_sets()?;
        // A token works once: what can be found out beforehand is.
        if let Some(all) = dataset.as_ref().filter(|_| !self.skip_data_check)
            && let Err(problem) = check_each(all)
        {
            bail!(
                "{problem}\nthe token is not used up; correct the data set, or join with `--skip-data-check`"
            );
        }
        let credentials = match &self.proxy_credentials_file {
            Some(path) => Some(std::path::absolute(path).with_context(|| path.display().to_string())?),
            None => None,
        };
        let proxy = match &self.proxy {
            Some(url) => Some(Proxy::new(url, credentials.as_deref())?),
            None if site.settings().exists() => Settings::load(&site.settings())?.proxy()?,
            None => None,
        };
        create_private_folder(site.path()).with_context(|| site.path().display().to_string())?;
        check_private(site.path())?;
        let _lock = site.lock()?;
        let signing_key = enrol(&site, &token, proxy)?;
        if site.settings().exists() {
            point(&site, &token.url)?;
            if self.proxy.is_some() && self.proxy != Settings::load(&site.settings())?.proxy {
                outln!("{} has another `proxy`; change it there", site.settings().display());
            }
        } else {
            let dataset = dataset.as_ref();
            let proxy = self.proxy.as_deref();
            let settings = Settings::commented(&token.url, dataset, proxy, credentials.as_deref());
            site.write("client.toml", settings.as_bytes())?;
        }
        if site.policy().exists() && self.policy.is_none() {
            outln!("{} is kept as it is", site.policy().display());
        } else {
            site.write("policy.toml", policy.as_bytes())?;
        }
        print_joined(&site, &token, &signing_key)?;
        let state = site.path().display();
        outln!("next: edit {state}/policy.toml, then `eosfed-client check --state {state}`");
        Ok(ExitCode::SUCCESS)
    }

    /// The data sets that were given, by absolute paths.
    fn data_sets(&self) -> anyhow::Result<Option<DataSets>> {
        if self.datasets.is_empty() {
            return Ok(None);
        }
        let given =
            DataSets::of_arguments(&self.datasets).map_err(|rule| anyhow::anyhow!("--dataset: {rule}"))?;
        let absolute = |path: &Path| std::path::absolute(path).with_context(|| path.display().to_string());
        given.with_paths(absolute).map(Some)
    }

    fn read_token(&self) -> anyhow::Result<String> {
        match (&self.token_file, self.token.as_deref()) {
            (Some(path), _) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
            }
            (None, Some("-")) => {
                let mut token = String::new();
                std::io::stdin().read_to_string(&mut token).context("cannot read standard input")?;
                Ok(token)
            }
            (None, token) => Ok(token.unwrap_or_default().to_owned()),
        }
    }

    /// The policy's text, checked against its rules before anything is changed.
    fn read_policy(&self) -> anyhow::Result<String> {
        let Some(path) = &self.policy else { return Ok(policy::SAMPLE.to_owned()) };
        load_policy(path)?;
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Uses up the token: gets an identity for a new key, and writes it into the state folder.
pub(super) fn enrol(site: &Site, token: &JoinToken, proxy: Option<Proxy>) -> anyhow::Result<SigningKey> {
    let signing_key = SigningKey::generate(&mut rand::rng());
    let enrolled = runtime()?.block_on(enroll(token, &signing_key, proxy))?;
    site.replace_identity(&enrolled.pair, &enrolled.ca_pem)?;
    site.replace_signing_key(&signing_key)?;
    let named = enrolled.coordinator_keys;
    site.pin(&PinnedKeys::default().extended(&named)?)?;
    Ok(signing_key)
}

/// Says what the token has brought.
pub(super) fn print_joined(site: &Site, token: &JoinToken, signing_key: &SigningKey) -> anyhow::Result<()> {
    let until = site.credentials()?.not_after;
    outln!("joined {} as `{}`; the certificate ends at {until}", token.url, token.institution);
    outln!("signing key: {}", signing_key.public());
    Ok(())
}

/// Keeps the existing settings, except for the coordinator's address, which comes from the token.
pub(super) fn point(site: &Site, url: &str) -> anyhow::Result<()> {
    let path = site.settings();
    let old = Settings::load(&path)?.coordinator;
    if old == url {
        outln!("{} is kept as it is", path.display());
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    anyhow::ensure!(
        text.contains(&old),
        "{}: set `coordinator` to {url} by hand; it is written in a way that cannot be replaced",
        path.display()
    );
    site.write("client.toml", text.replace(&old, url).as_bytes())?;
    outln!("{} now has the coordinator {url} instead of {old}", path.display());
    Ok(())
}
