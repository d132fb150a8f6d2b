//! `eosfed institution`.

use std::process::ExitCode;

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;
use eosfed_common::files::write_atomically;
use eosfed_common::ids::InstitutionName;
use eosfed_common::view::InstitutionView;
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use eosfed_transport::join::JoinToken;

use super::arguments::{Extent, Institution, Output};
use super::connection::Connection;
use super::document::Invitation;
use super::{pages, print};

pub(super) async fn run(
    connection: &mut Connection,
    command: &Institution,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match command {
        Institution::Invite { name, valid_for, token_file } => {
            let request =
                v1::InviteInstitutionRequest { name: name.clone(), valid_for_seconds: valid_for.as_secs() };
            let institution: InstitutionName = name.parse()?;
            let answer = connection.operator.invite_institution(request).await;
            let invited = connection.answer(answer)?;
            let token = JoinToken {
                institution,
                url: invited.public_url,
                ca_pem: invited.ca_pem,
                secret: invited.secret,
            };
            let text = token.to_string();
            if let Some(path) = token_file {
                write_atomically(path, text.as_bytes())
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            let expires_at = Timestamp(invited.expires_at);
            match (output, token_file) {
                (Output::Json, _) => print::json(&Invitation {
                    institution: name.clone(),
                    token: token_file.is_none().then_some(text),
                    token_file: token_file.clone(),
                    expires_at,
                    enrolled_before: invited.enrolled_before,
                })?,
                (Output::Table, Some(path)) => {
                    errln!("The token for `{name}` is in {}.", path.display());
                    instruct(name, expires_at, invited.enrolled_before);
                }
                (Output::Table, None) => {
                    outln!("{text}");
                    instruct(name, expires_at, invited.enrolled_before);
                }
            }
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

/// Prints how to use a token, on standard error, since standard output holds only the token.
fn instruct(name: &str, expires_at: Timestamp, enrolled_before: bool) {
    if enrolled_before {
        errln!("`{name}` is already enrolled; with the token it can join again with a new key.");
    }
    errln!(
        "It works once and expires {}. Send it over a private channel. The institution then runs:",
        print::when(expires_at)
    );
    errln!("  eosfed-client join --token-file FILE --state DIR");
}

fn show(list: &[InstitutionView]) {
    let mut table =
        print::table(&["institution", "enrolled", "last seen*", "weights*", "metrics*", "control*"]);
    for one in list {
        let enrolled = match (one.enrolled_at, one.invited_until) {
            (Some(at), _) => print::when(at),
            (None, Some(until)) => format!("invited, expires {}", print::when(until)),
            (None, None) => "–".to_owned(),
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
