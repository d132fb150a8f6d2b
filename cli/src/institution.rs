//! `eosfed institution`.

use std::process::ExitCode;

use eosfed_common::identity::Identity;
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
        print::table(&["institution", "enrolled", "last seen*", "weights*", "metrics*", "control*"]);
    for one in list {
        let enrolled = match (one.revoked_at, one.enrolled_at, one.invited_until) {
            (Some(at), _, _) => format!("revoked {}", print::when(at)),
            (None, Some(at), _) => print::when(at),
            (None, None, Some(until)) => format!("invited, expires {}", print::when(until)),
            (None, None, None) => "–".to_owned(),
        };
        let received = one.received;
        table.add_row([
            one.name.to_string(),
            enrolled,
            print::when_if(one.last_seen),
            print::bytes(received.weights),
            print::bytes(received.metrics),
            print::bytes(received.control),
        ]);
    }
    outln!("{table}\n* received since the coordinator was started");
}
