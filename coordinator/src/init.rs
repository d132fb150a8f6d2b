//! `eosfed-coordinator init`: makes a state folder with everything that `serve` needs.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use eosfed_common::clock::Timestamp;
use eosfed_common::files::write_atomically;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::private::{check_private, create_private_folder};
use eosfed_transport::identity_files::Disk;
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use eosfed_transport::operator::IdentityFolder;

use crate::authority_files;
use crate::ca_request;
use crate::external_ca::Given;
use crate::settings::{StateFolder, filled_in};
use crate::signing_keys;
use crate::tls::Authority;
use crate::tls::authority::validity;
use crate::tls::rehearsal::rehearse;

/// What the operator chooses.
#[derive(Debug, Clone)]
pub struct Choices {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address that institutions connect to.
    pub public_url: Option<String>,
    /// What the server's certificate is for.
    pub names: Vec<String>,
    /// The name of the first operator.
    pub operator: InstitutionName,
}

/// Makes a state folder with an authority of its own.
///
/// # Errors
/// If there is one already, or a file cannot be written.
pub fn init(folder: &Path, choices: &Choices, now: Timestamp) -> anyhow::Result<StateFolder> {
    init_with(folder, choices, &Given::fresh(now)?, now)
}

/// Makes a state folder with this authority.
///
/// # Errors
/// If there is one already, members could not verify what the authority signs, or a file cannot be written.
pub fn init_with(
    folder: &Path,
    choices: &Choices,
    given: &Given,
    now: Timestamp,
) -> anyhow::Result<StateFolder> {
    let state = StateFolder(folder.to_owned());
    if state.settings().exists() {
        bail!(
            "{} is a coordinator's state folder already; nothing was changed. Start it with `eosfed-coordinator \
             serve --state {0}`, or name another folder",
            folder.display()
        );
    }
    let authority = Authority::open(&given.pair)?.with_bundle(given.bundle_pem());
    rehearse(&authority, &choices.names, now).context("this authority cannot be used")?;
    let [key, _] = state.authority();
    check_private(folder)?;
    for made in [key.parent().unwrap_or(folder), &state.operator()] {
        create_private_folder(made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    authority_files::write(&state, &given.pair, &given.bundle_pem(), &mut Disk)?;
    ca_request::installed(folder, &given.pair, &mut Disk)?;
    let operator = certified(&authority, &choices.operator, now)?;
    let url = choices.public_url.clone().unwrap_or_else(|| format!("https://{}", choices.listen));
    let folder = IdentityFolder(state.operator());
    folder.write(&operator, authority.roots_pem(), &url)?;
    folder.pin(signing_keys::read_or_make(&state)?.named())?;
    // Last: the settings make the folder a state folder.
    let settings = filled_in(choices.listen, choices.public_url.as_deref(), &choices.names);
    write(&state.settings(), &settings)?;
    Ok(state)
}

fn certified(
    authority: &Authority,
    name: &InstitutionName,
    now: Timestamp,
) -> anyhow::Result<KeyAndCertificate> {
    let request = KeyAndRequest::generate(name.as_str())?;
    let identity = Identity { role: Role::Operator, name: name.clone() };
    let certificate_pem =
        authority.certify(&request.request_pem, &identity, now, validity(Role::Operator))?;
    Ok(KeyAndCertificate { key_pem: request.key_pem, certificate_pem })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    // Temporary files are readable by their owner only, and keep that when they are renamed.
    write_atomically(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
