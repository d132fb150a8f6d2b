//! `eosfed-coordinator ca` and `invite-operator`: the replacement of the authority by another one, and the way
//! back in when no operator can call. All of it works on the state folder of a coordinator that is
//! not running.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::EventKind;
use eosfed_common::secret::Secret;
use eosfed_transport::certificate::{fingerprints, subject};
use eosfed_transport::identity_files::{Disk, Writes};
use eosfed_transport::join::JoinToken;
use eosfed_transport::keys::KeyAndCertificate;
use eosfed_transport::operator::IdentityFolder;

use crate::authority_files;
use crate::ca_request;
use crate::engine::{Core, Invited};
use crate::external_ca::NewIntermediate;
use crate::serve::Coordinator;
use crate::settings::{self, Settings, StateFolder};
use crate::tls::Authority;
use crate::tls::authority::Successor;
use crate::tls::rehearsal::rehearse;

/// Most names in a refusal.
const MAX_NAMED: usize = 20;

/// The fingerprints of the authorities before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// SHA-256 of the certificate of the one before.
    pub before: Digest,
    /// SHA-256 of the certificate of the present one.
    pub now: Digest,
}

/// Puts a new authority in the place of the present one, which still counts until it is retired.
///
/// # Errors
/// If the coordinator runs, or an earlier one was not retired yet.
pub async fn rotate(folder: &Path, now: Timestamp) -> anyhow::Result<Changed> {
    rotate_by(folder, now, &mut Disk).await
}

/// As [`rotate`], by these writes.
///
/// # Errors
/// As [`rotate`].
pub async fn rotate_by(folder: &Path, now: Timestamp, writes: &mut impl Writes) -> anyhow::Result<Changed> {
    let (state, settings) = settings::load(folder)?;
    let coordinator = Coordinator::open(state.clone(), settings).await?;
    let authority = coordinator.authority();
    if authority.is_intermediate() {
        bail!(
            "the authority is an intermediate, and the key of its root is not here: make another intermediate where \
             that is, and run `eosfed-coordinator ca install --state {} --ca-cert FILE --ca-key FILE`",
            folder.display()
        );
    }
    without_predecessor(authority, folder)?;
    let Successor { pair, cross_pem } = authority.successor(now)?;
    let changed = Changed { before: only(authority.certificate_pem())?, now: only(&pair.certificate_pem)? };
    let kind = EventKind::AuthorityRotated { before: changed.before, now: changed.now };
    coordinator.engine().call(async move |core: &Core| core.note(kind).await).await?;
    authority_files::write(
        &state,
        &pair,
        &format!("{}{cross_pem}{}", pair.certificate_pem, authority.certificate_pem()),
        writes,
    )?;
    Ok(changed)
}

/// Puts another intermediate of the same root in the place of the present one, which still counts until it
/// is retired.
///
/// # Errors
/// If the coordinator runs, an earlier one was not retired yet, the present authority is no intermediate, or
/// the other one is not fit.
pub async fn install(folder: &Path, files: &NewIntermediate, now: Timestamp) -> anyhow::Result<Changed> {
    install_by(folder, files, now, &mut Disk).await
}

/// As [`install`], by these writes.
///
/// # Errors
/// As [`install`].
pub async fn install_by(
    folder: &Path,
    files: &NewIntermediate,
    now: Timestamp,
    writes: &mut impl Writes,
) -> anyhow::Result<Changed> {
    let (state, settings) = settings::load(folder)?;
    let names = settings.names.clone();
    let coordinator = Coordinator::open(state.clone(), settings).await?;
    let authority = coordinator.authority();
    if !authority.is_intermediate() {
        bail!(
            "the authority is self-signed, and members pin it: no other root can take its place. `eosfed-coordinator \
             ca rotate` replaces it by one of its own; for an external root, make another state folder with `init`"
        );
    }
    without_predecessor(authority, folder)?;
    let given = files.read(folder, authority.roots_pem(), now)?;
    let changed =
        Changed { before: only(authority.certificate_pem())?, now: only(&given.pair.certificate_pem)? };
    if changed.before == changed.now {
        bail!("the authority {} is installed already", changed.now);
    }
    // Members that have to renew are told apart by the name of the authority in their certificates.
    if subject(authority.certificate_pem()) == subject(&given.pair.certificate_pem) {
        bail!("the new authority has the same name (subject) as the present one; make it with another name");
    }
    let bundle_pem = format!("{}\n{}", authority.certificate_pem(), given.bundle_pem());
    let next = Authority::open(&given.pair)?.with_bundle(bundle_pem.clone());
    rehearse(&next, &names, now).context("this authority cannot be used")?;
    let kind = EventKind::AuthorityRotated { before: changed.before, now: changed.now };
    coordinator.engine().call(async move |core: &Core| core.note(kind).await).await?;
    authority_files::write(&state, &given.pair, &bundle_pem, writes)?;
    ca_request::installed(folder, &given.pair, writes)?;
    Ok(changed)
}

/// Refuses a change while an authority from before the last one still counts.
fn without_predecessor(authority: &Authority, folder: &Path) -> anyhow::Result<()> {
    if let Some(before) = authority.predecessor() {
        bail!(
            "the authority {before} from before the last rotation still counts; end that with `eosfed-coordinator ca \
             retire --state {}` first",
            folder.display()
        );
    }
    Ok(())
}

/// Ends the overlap: certificates of the authority before the present one are refused from then on.
///
/// # Errors
/// If the coordinator runs, there is no authority to retire, or members still have certificates of it, unless
/// `force` says so.
pub async fn retire(folder: &Path, force: bool, now: Timestamp) -> anyhow::Result<Changed> {
    let (state, settings) = settings::load(folder)?;
    let coordinator = Coordinator::open(state.clone(), settings).await?;
    let authority = coordinator.authority();
    let Some(before) = authority.predecessor() else {
        bail!("there is one authority only; `eosfed-coordinator ca rotate` makes the next one");
    };
    let present = subject(authority.certificate_pem()).context("the authority's certificate is damaged")?;
    let left = coordinator.engine().read(|state| state.certified_by_another(&present, now));
    if !left.is_empty() && !force {
        let named: Vec<_> = left.iter().take(MAX_NAMED).map(Identity::shown).collect();
        bail!(
            "certificates of the authority {before} are still used by {}: {}. Wait until they have renewed \
             (`eosfed identity renew`; daemons renew by themselves), or use `--force`: they then have to join \
             again with a token of `re-enrol`",
            left.len(),
            named.join(", ")
        );
    }
    let changed = Changed { before, now: only(authority.certificate_pem())? };
    let kind = EventKind::AuthorityRetired { authority: before };
    coordinator.engine().call(async move |core: &Core| core.note(kind).await).await?;
    let [key, _] = state.authority();
    let key_pem = fs::read_to_string(&key).with_context(|| format!("cannot read {}", key.display()))?;
    let certificate_pem = authority.certificate_pem().to_owned();
    let pair = KeyAndCertificate { key_pem: Secret::new(key_pem), certificate_pem };
    let bundle_pem = if authority.is_intermediate() {
        format!("{}\n{}", authority.certificate_pem(), authority.roots_pem())
    } else {
        authority.certificate_pem().to_owned()
    };
    authority_files::write(&state, &pair, &bundle_pem, &mut Disk)?;
    Ok(changed)
}

/// The fingerprint of the one certificate in a PEM text.
fn only(pem: &str) -> anyhow::Result<Digest> {
    fingerprints(pem).first().copied().context("the authority's certificate is damaged")
}

/// Makes a token for an operator on the coordinator's machine: the way back in when no operator has a valid
/// certificate. The ledger names the coordinator as who has invited.
///
/// # Errors
/// If the coordinator runs, or the time is out of range.
pub async fn invite_operator(
    folder: &Path,
    name: InstitutionName,
    valid_for: Duration,
) -> anyhow::Result<(JoinToken, Timestamp)> {
    let (state, settings) = settings::load(folder)?;
    let url = address(&state, &settings);
    let coordinator = Coordinator::open(state, settings).await?;
    let identity = Identity { role: Role::Operator, name: name.clone() };
    let invite = async move |core: &Core| core.invite_here(&identity, valid_for).await;
    let Invited { secret, expires_at } = coordinator.engine().call(invite).await?;
    let ca_pem = coordinator.authority().roots_pem().to_owned();
    Ok((JoinToken { institution: name, role: Role::Operator, url, ca_pem, secret }, expires_at))
}

/// The address that a token names: the public one, or the last one that was listened on.
fn address(state: &StateFolder, settings: &Settings) -> String {
    let last = || IdentityFolder(state.operator()).read().ok().map(|identity| identity.url);
    settings.public_url.clone().or_else(last).unwrap_or_else(|| format!("https://{}", settings.listen))
}
