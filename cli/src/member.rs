//! What is the same for institutions, operators and readers: their tokens, and taking access back.

use anyhow::Context as _;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::files::write_atomically;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::secret::Secret;
use eosfed_common::stdout::print_warning;
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use eosfed_transport::certificate::WARNING_TIME;
use eosfed_transport::join::JoinToken;
use eosfed_transport::wire::{Wire as _, member_state_message};

use super::arguments::{MemberFilter, Output, TokenOptions};
use super::connection::Connection;
use super::document::{Invitation, Revocation};
use super::print;

/// The states of a filter, for a request.
pub(super) fn states(filter: &MemberFilter) -> Vec<i32> {
    filter.states.iter().map(|state| member_state_message(*state).into()).collect()
}

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
    let secret = Secret::new(secret);
    let token = JoinToken { institution: name.clone(), role, url: public_url, ca_pem, secret }.expose();
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

/// Most names in a warning.
const MAX_NAMED: usize = 10;

/// What a member is, in words for a list.
pub(super) fn state(
    enrolled: Option<Timestamp>,
    invited_until: Option<Timestamp>,
    revoked: Option<Timestamp>,
) -> String {
    let token = invited_until.map(|until| {
        let verb = if until > SystemClock.now() { "expires" } else { "has expired" };
        format!("token {verb} {}", print::when(until))
    });
    let state = match (revoked, enrolled) {
        (Some(at), _) => format!("revoked {}", print::when(at)),
        (None, Some(at)) => format!("joined {}", print::when(at)),
        (None, None) => "invited".to_owned(),
    };
    token.map_or_else(|| state.clone(), |token| format!("{state}, {token}"))
}

/// Warns of the members whose certificates expire soon: their programs should have renewed them.
pub(super) fn warn_of_expiry<'a>(
    role: Role,
    expiries: impl Iterator<Item = (&'a InstitutionName, Timestamp)>,
) {
    if let Some(text) = expiry_warning(role, expiries, SystemClock.now()) {
        print_warning(format_args!("{text}"));
    }
}

fn expiry_warning<'a>(
    role: Role,
    expiries: impl Iterator<Item = (&'a InstitutionName, Timestamp)>,
    now: Timestamp,
) -> Option<String> {
    let soon: Vec<&str> =
        expiries.filter(|(_, at)| at.since(now) < WARNING_TIME).map(|(name, _)| name.as_str()).collect();
    if soon.is_empty() {
        return None;
    }
    let days = WARNING_TIME.as_secs() / 86_400;
    let named = soon[..soon.len().min(MAX_NAMED)].join(", ");
    let more = soon.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "certificates that expire within {days} days or have expired: {named}{more}. They are renewed when their \
         holders connect; after the end, `eosfed {role} re-enrol NAME` makes a token"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_expires_soon_is_named_and_not_too_many() {
        let now = Timestamp(1_795_000_000_000);
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let names: Vec<InstitutionName> =
            (10..40).map(|number| format!("i{number}").parse().unwrap()).collect();
        let all =
            |left| expiry_warning(Role::Institution, names.iter().map(|name| (name, now.plus(left))), now);
        assert_eq!(all(days(14)), None);
        for left in [days(13), Duration::ZERO] {
            let text = all(left).unwrap();
            assert!(text.contains("i10, i11") && !text.contains("i20"), "{text}");
            assert!(
                text.contains("and 20 more") && text.contains("eosfed institution re-enrol NAME"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_state_of_a_member_is_in_words() {
        let now = SystemClock.now();
        let hour = Duration::from_secs(3600);
        let before = Timestamp(now.0 - 7_200_000);
        assert_eq!(state(Some(before), None, None), "joined 2 h ago");
        assert_eq!(state(Some(before), None, Some(before)), "revoked 2 h ago");
        assert_eq!(state(None, Some(now.plus(hour)), None), "invited, token expires in 1 h");
        assert_eq!(state(None, Some(before), None), "invited, token has expired 2 h ago");
    }
}
