//! What is the same for institutions, operators and readers: their tokens, and taking access back.

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;
use eosfed_common::files::write_atomically;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use eosfed_transport::join::JoinToken;
use eosfed_transport::wire::Wire as _;

use super::arguments::{Output, TokenOptions};
use super::connection::Connection;
use super::document::{Invitation, Revocation};
use super::print;

/// Makes a token with which somebody who has enrolled before joins with a new key.
pub(super) async fn re_enrol(
    connection: &mut Connection,
    identity: &Identity,
    options: &TokenOptions,
    output: Output,
) -> anyhow::Result<()> {
    let member = Some(identity.clone().into_message());
    let request = v1::ReEnrolRequest { member, valid_for_seconds: options.valid_for.as_secs() };
    let answer = connection.operator.re_enrol(request).await;
    let invited = connection.answer(answer)?;
    hand_over(identity, invited, options, output)
}

/// Prints a token, or writes it to its file, with what to do with it.
pub(super) fn hand_over(
    identity: &Identity,
    invited: v1::InviteInstitutionResponse,
    options: &TokenOptions,
    output: Output,
) -> anyhow::Result<()> {
    let v1::InviteInstitutionResponse { secret, expires_at, public_url, ca_pem, enrolled_before } = invited;
    let name = &identity.name;
    let role = identity.role;
    let token = JoinToken { institution: name.clone(), role, url: public_url, ca_pem, secret }.to_string();
    let token_file = &options.token_file;
    if let Some(path) = token_file {
        write_atomically(path, token.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let expires_at = Timestamp(expires_at);
    match (output, token_file) {
        (Output::Json, _) => print::json(&Invitation {
            institution: name.to_string(),
            token: token_file.is_none().then_some(token),
            token_file: token_file.clone(),
            expires_at,
            enrolled_before,
        })?,
        (Output::Table, Some(path)) => {
            errln!("The token for `{name}` is in {}.", path.display());
            instruct(identity, expires_at, enrolled_before);
        }
        (Output::Table, None) => {
            outln!("{token}");
            instruct(identity, expires_at, enrolled_before);
        }
    }
    Ok(())
}

/// What to do with a token. On standard error: standard output is the token's alone.
fn instruct(identity: &Identity, expires_at: Timestamp, enrolled_before: bool) {
    if enrolled_before {
        errln!("With it, {} joins again with a new key; the old key is refused then.", identity.shown());
    }
    let force = if enrolled_before { " --force" } else { "" };
    errln!("It works once and expires {}. Hand it over in private; there:", print::when(expires_at));
    match identity.role {
        Role::Institution => errln!("  eosfed-client join --token-file FILE --state DIR{force}"),
        Role::Operator | Role::Reader => errln!("  eosfed join --token-file FILE --identity DIR"),
    }
}

/// Takes access back.
pub(super) async fn revoke(
    connection: &mut Connection,
    identity: &Identity,
    reason: &str,
    remove: bool,
    output: Output,
) -> anyhow::Result<()> {
    let member = Some(identity.clone().into_message());
    let request = v1::RevokeRequest { member, reason: reason.to_owned(), remove };
    let answer = connection.operator.revoke(request).await;
    let v1::RevokeResponse {} = connection.answer(answer)?;
    match output {
        Output::Json => {
            let Identity { role, name } = identity;
            print::json(&Revocation { role: role.to_string(), name: name.to_string(), removed: remove })?;
        }
        Output::Table => {
            outln!("the access of {} is revoked, and its connections are closed", identity.shown());
            outln!("let it back in with `eosfed {} re-enrol {}`", identity.role, identity.name);
        }
    }
    Ok(())
}
