//! `eosfed operator`, `eosfed reader` and `eosfed join`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::outln;
use eosfed_common::private::create_private_folder;
use eosfed_common::view::PersonView;
use eosfed_proto::v1;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::{ChannelOptions, open_with};
use eosfed_transport::enrollment::enroll_as;
use eosfed_transport::issued::{Accepted, accept};
use eosfed_transport::join::JoinToken;
use eosfed_transport::meter::Meter;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::proxy::Proxy;
use eosfed_transport::wire::{Wire as _, role_message};

use super::arguments::{MemberList, Output, Person};
use super::connection::Connection;
use super::document::Joined;
use super::{member, pages, print};

pub(super) async fn run(
    connection: &mut Connection,
    role: Role,
    command: &Person,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let identity = |name: &str| Ok::<_, anyhow::Error>(Identity { role, name: name.parse()? });
    match command {
        Person::Invite { name, token } => {
            let identity = identity(name)?;
            let person = Some(identity.clone().into_message());
            let request = v1::InvitePersonRequest { person, valid_for_seconds: token.valid_for.as_secs() };
            let answer = connection.operator.invite_person(request).await;
            let invited = connection.answer(answer)?;
            member::hand_over(&identity, invited, token, output)?;
        }
        Person::ReEnrol { name, token } => {
            member::re_enrol(connection, &identity(name)?, token, output).await?;
        }
        Person::Revoke { name, reason } => {
            member::revoke(connection, &identity(name)?, reason, false, output).await?;
        }
        Person::Remove { name, reason } => {
            member::revoke(connection, &identity(name)?, reason, true, output).await?;
        }
        Person::List(wanted) => list(connection, role, wanted, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    connection: &mut Connection,
    role: Role,
    wanted: &MemberList,
    output: Output,
) -> anyhow::Result<()> {
    let MemberList { filter, extent } = wanted;
    let listed = pages::list(extent, async |page| {
        let request = v1::ListPeopleRequest {
            role: role_message(role).into(),
            page: Some(page),
            name: filter.name.clone(),
            states: member::states(filter),
        };
        let answer = connection.operator.list_people(request).await;
        let v1::ListPeopleResponse { people_json, page } = connection.answer(answer)?;
        Ok((people_json, page))
    });
    let listed = listed.await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => show(role, &listed.entries),
    }
    listed.report_rest();
    Ok(())
}

fn show(role: Role, list: &[PersonView]) {
    let mut table = print::table(&[role.name(), "state", "certificate ends", "last seen*", "invited by"]);
    for one in list {
        table.add_row([
            one.name.to_string(),
            member::state(one.enrolled_at, one.invited_until, one.revoked_at),
            print::when_if(one.certificate_expires_at),
            print::when_if(one.last_seen),
            one.invited_by.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        ]);
    }
    outln!("{table}\n* since the coordinator was started");
    let active = list.iter().filter(|one| one.revoked_at.is_none());
    member::warn_of_expiry(role, active.filter_map(|one| Some((&one.name, one.certificate_expires_at?))));
}

/// Refuses a folder that holds the identity of somebody else: it would be lost.
fn refuse_another(folder: &Path, identity: &Identity) -> anyhow::Result<()> {
    let Ok(kept) = std::fs::read_to_string(folder.join("certificate.pem")) else { return Ok(()) };
    let kept = Certificate::of_pem(&kept).map(|certificate| certificate.identity);
    ensure!(
        kept.as_ref() == Ok(identity),
        "{} holds another identity{}, and the token is for {}; name another folder with `--identity DIR`",
        folder.display(),
        kept.as_ref().map_or_else(|_| String::new(), |kept| format!(" ({})", kept.shown())),
        identity.shown()
    );
    Ok(())
}

/// Makes an identity folder with a token.
pub(super) async fn join(
    token_file: &Path,
    folder: &Path,
    proxy: Option<Proxy>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(token_file)
        .with_context(|| format!("cannot read {}", token_file.display()))?;
    let token: JoinToken = text.parse()?;
    let JoinToken { institution: name, role, url, ca_pem, secret } = token;
    ensure!(
        role != Role::Institution,
        "the token is for the institution `{name}`; it joins with `eosfed-client join`"
    );
    let identity = Identity { role, name };
    refuse_another(folder, &identity)?;
    create_private_folder(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let transport = open_with(&ChannelOptions::through(proxy), &url, &ca_pem, None, Meter::default())?;
    let enrolled = enroll_as(transport, &identity, secret).await?;
    let Accepted { certificate, ca_pem } =
        accept(&enrolled.pair, &enrolled.ca_pem, &identity, &ca_pem, SystemClock.now())?;
    let kept = IdentityFolder(folder.to_owned());
    kept.write(&enrolled.pair, &ca_pem, &url)?;
    kept.pin(&enrolled.coordinator_keys)?;
    let Identity { role, name } = identity;
    let expires_at = certificate.not_after;
    match output {
        Output::Json => print::json(&Joined { role: role.to_string(), name: name.to_string(), expires_at })?,
        Output::Table => {
            outln!("joined {url} as {role} `{name}`; the certificate expires {}", print::when(expires_at));
            outln!("the identity is in {}; name it with `--identity` or EOSFED_IDENTITY", folder.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
