//! `eosfed institution`.

use std::process::ExitCode;

use eosfed_common::identity::{Identity, Role};
use eosfed_common::outln;
use eosfed_common::view::InstitutionView;
use eosfed_proto::v1;

use super::arguments::{Extent, Institution, Output};
use super::connection::Connection;
use super::{member, pages, print};

pub(super) async fn run(
    connection: &mut Connection,
    command: &Institution,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Institution::Invite { name, token } => {
            let identity = Identity::institution(name.parse()?);
            let valid_for_seconds = token.valid_for.as_secs();
            let request = v1::InviteInstitutionRequest { name: name.clone(), valid_for_seconds };
            let answer = connection.operator.invite_institution(request).await;
            let invited = connection.answer(answer)?;
            member::hand_over(&identity, invited, token, output)?;
        }
        Institution::ReEnrol { name, token } => {
            let identity = Identity::institution(name.parse()?);
            member::re_enrol(connection, &identity, token, output).await?;
        }
        Institution::Revoke { name, reason } => {
            let identity = Identity::institution(name.parse()?);
            member::revoke(connection, &identity, reason, false, output).await?;
        }
        Institution::Remove { name, reason } => {
            let identity = Identity::institution(name.parse()?);
            member::revoke(connection, &identity, reason, true, output).await?;
        }
        Institution::List(extent) => list(connection, extent, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(connection: &mut Connection, extent: &Extent, output: Output) -> anyhow::Result<()> {
    let listed = pages::list(extent, async |page| {
        let answer =
            connection.operator.list_institutions(v1::ListInstitutionsRequest { page: Some(page) }).await;
        let v1::ListInstitutionsResponse { institutions_json, page } = connection.answer(answer)?;
        Ok((institutions_json, page))
    });
    let listed = listed.await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => show(&listed.entries),
    }
    listed.report_rest();
    Ok(())
}

fn show(list: &[InstitutionView]) {
    let mut table =
        print::table(&["institution", "state", "certificate ends", "last seen*", "weights*", "other*"]);
    for one in list {
        let received = one.received;
        table.add_row([
            one.name.to_string(),
            member::state(one.enrolled_at, one.invited_until, one.revoked_at),
            print::when_if(one.certificate_expires_at),
            print::when_if(one.last_seen),
            print::bytes(received.weights),
            print::bytes(received.metrics + received.control),
        ]);
    }
    outln!("{table}\n* received since the coordinator was started");
    let active = list.iter().filter(|one| one.revoked_at.is_none());
    let expiries = active.filter_map(|one| Some((&one.name, one.certificate_expires_at?)));
    member::warn_of_expiry(Role::Institution, expiries);
}
