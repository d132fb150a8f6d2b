//! Members at a start and as time goes by: the first operator, and certificates that end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use eosfed_common::identity::{Identity, Role};
use eosfed_transport::authority::LEAST_TIME_LEFT;
use eosfed_transport::certificate::{Certificate, WARNING_TIME};

use crate::domain::member::keys::Key;
use crate::engine::{Core, Handle};
use crate::settings::StateFolder;
use crate::tls::Authority;

/// Time between two warnings of certificates that expire soon.
const WARNING_INTERVAL: Duration = Duration::from_secs(86_400);

/// Says once a day, for ever, whether the authority ends soon, and whose certificates expire soon: their
/// programs have not renewed them.
pub(super) async fn warn_of_expiry(engine: &Handle, authority: &Authority) {
    loop {
        if authority.ends_at().since(engine.now()) < LEAST_TIME_LEFT {
            tracing::warn!(until = %authority.ends_at(), "the authority ends soon or has ended; see `ca --help`");
        }
        let soon = engine.read(|state| state.expiring(WARNING_TIME, engine.now()).collect::<Vec<_>>());
        for (Identity { role, name }, at) in soon {
            tracing::warn!(
                %role, %name, until = %at,
                "the certificate was not renewed and expires soon or has expired; after that, `eosfed {role} re-enrol \
                 {name}` makes a token"
            );
        }
        tokio::time::sleep(WARNING_INTERVAL).await;
    }
}

/// The identity that `init` has made becomes the first operator.
pub(super) async fn enrol_first_operator(state: &StateFolder, engine: &Handle) -> anyhow::Result<()> {
    let path = state.operator().join("certificate.pem");
    if engine.read(|state| state.members_of(Role::Operator).next().is_some()) || !path.exists() {
        return Ok(());
    }
    let certificate = Certificate::of_pem(&read(&path)?);
    let certificate = certificate.with_context(|| format!("{} is damaged", path.display()))?;
    let Certificate { identity: Identity { role, name }, fingerprint, issuer, not_after, .. } = certificate;
    if role != Role::Operator {
        bail!("{} is of the {role} `{name}`; an operator's is needed there", path.display());
    }
    let key = Key { fingerprint, expires_at: not_after, authority: Some(issuer) };
    engine.call(async move |core: &Core| core.enrol_first_operator(&name, key).await).await?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
