//! `eosfed institution`.

use std::process::ExitCode;

use eosfed_common::data_statement::{PartSizes, StatedDataSet};
use eosfed_common::identity::{Identity, Role};
use eosfed_common::outln;
use eosfed_common::paging::MAX_LIMIT;
use eosfed_common::policy_summary::PolicySummary;
use eosfed_common::view::{InstitutionView, SharedPolicyView, StatedDataView};
use eosfed_proto::v1;

use super::arguments::{Extent, Institution, MemberFilter, MemberList, Output};
use super::connection::Connection;
use super::pages::Listed;
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
        Institution::Show { name } => show(connection, name, output).await?,
        Institution::List(wanted) => list(connection, wanted, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All institutions.
pub(super) async fn all(connection: &mut Connection) -> anyhow::Result<Vec<InstitutionView>> {
    let extent = Extent { limit: MAX_LIMIT, all: true };
    let filter = MemberFilter { name: String::new(), states: Vec::new() };
    Ok(fetch(connection, &MemberList { filter, extent }).await?.entries)
}

async fn fetch(connection: &mut Connection, wanted: &MemberList) -> anyhow::Result<Listed<InstitutionView>> {
    let MemberList { filter, extent } = wanted;
    let listed = pages::list(extent, async |page| {
        let (name, states) = (filter.name.clone(), member::states(filter));
        let request = v1::ListInstitutionsRequest { page: Some(page), name, states };
        let answer = connection.operator.list_institutions(request).await;
        let v1::ListInstitutionsResponse { institutions_json, page } = connection.answer(answer)?;
        Ok((institutions_json, page))
    });
    listed.await
}

async fn list(connection: &mut Connection, wanted: &MemberList, output: Output) -> anyhow::Result<()> {
    let listed = fetch(connection, wanted).await?;
    match output {
        Output::Json => print::json(&listed.entries)?,
        Output::Table => table(&listed.entries),
    }
    listed.report_rest();
    Ok(())
}

async fn show(connection: &mut Connection, name: &str, output: Output) -> anyhow::Result<()> {
    let request = v1::GetInstitutionRequest { name: name.to_owned() };
    let answer = connection.operator.get_institution(request).await;
    let v1::GetInstitutionResponse { institution_json } = connection.answer(answer)?;
    let institution: InstitutionView = serde_json::from_str(&institution_json)?;
    match output {
        Output::Json => print::json(&institution)?,
        Output::Table => describe(&institution),
    }
    Ok(())
}

fn describe(one: &InstitutionView) {
    let mut table = print::table(&["institution", one.name.as_str()]);
    let mut row = |what: &str, value: String| {
        table.add_row([what.to_owned(), value]);
    };
    row("state", member::state(one.enrolled_at, one.invited_until, one.revoked_at));
    row("certificate ends", print::when_if(one.certificate_expires_at));
    row("signing key", one.signing_key.map_or_else(none, |key| key.to_string()));
    row("client version*", one.version.as_deref().map_or_else(none, print::printable));
    row("last seen*", print::when_if(one.last_seen));
    row("received*", print::bytes(one.received.weights + one.received.metrics + one.received.control));
    if let Some(StatedDataView { stated_at, statement, signature: _ }) = &one.data {
        row("stated", print::when(*stated_at));
        for one in statement.all() {
            let StatedDataSet { dataset, task, bands, classes, samples, inventory } = one;
            row("data set", if dataset.is_empty() { none() } else { print::printable(&dataset) });
            row("task", task.to_string());
            row("bands", print::printable(&bands.join(" ")));
            row("classes", if classes.is_empty() { none() } else { print::printable(&classes.join(", ")) });
            let PartSizes { training, validation, test } = samples;
            row("samples", format!("{training} training, {validation} validation, {test} test"));
            row("inventory", inventory.to_string());
        }
        if statement.partial {
            row("data sets", "it has others, of which it says nothing".to_owned());
        }
    } else {
        row("data set", "it has stated nothing of its data".to_owned());
    }
    if let Some(SharedPolicyView { shared_at, summary, signature: _ }) = &one.policy {
        row("policy", format!("as shared {}", print::when(*shared_at)));
        for (name, value) in policy(summary) {
            row(name, value);
        }
    } else {
        row("policy", "it shares nothing of its policy".to_owned());
    }
    outln!("{table}\n* since the coordinator was started");
}

/// What an institution shares of its policy, each with its name.
fn policy(summary: &PolicySummary) -> [(&'static str, String); 11] {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let list = |words: &[String]| if words.is_empty() { none() } else { print::printable(&words.join(" ")) };
    [
        ("  kinds of job", list(&summary.job_kinds)),
        ("  tasks", list(&summary.tasks)),
        ("  backbones", list(&summary.backbones)),
        ("  strategies", list(&summary.strategies)),
        ("  encodings", print::printable(&summary.encodings_in_words())),
        ("  may leave", list(&summary.may_leave)),
        ("  single updates", yes_or_no(summary.individual_updates)),
        ("  warm start", yes_or_no(summary.warm_start)),
        ("  institutions", format!("at least {}", summary.min_institutions)),
        ("  epochs", format!("at most {}", summary.max_epochs)),
        (
            "  approval, noise",
            format!(
                "{}, {}",
                if summary.manual_approval { "by a person" } else { "automatic" },
                if summary.noise { "clipped, with noise" } else { "no noise" }
            ),
        ),
    ]
}

fn none() -> String {
    "–".to_owned()
}

fn table(list: &[InstitutionView]) {
    let head = ["institution", "state", "certificate ends", "samples", "last seen*", "weights*", "other*"];
    let mut table = print::table(&head);
    for one in list {
        let received = one.received;
        table.add_row([
            one.name.to_string(),
            member::state(one.enrolled_at, one.invited_until, one.revoked_at),
            print::when_if(one.certificate_expires_at),
            one.data.as_ref().map_or_else(none, |data| data.statement.samples.training.to_string()),
            print::when_if(one.last_seen),
            print::bytes(received.weights),
            print::bytes(received.metrics + received.control),
        ]);
    }
    outln!(
        "{table}\n* received since the coordinator was started; samples: of the training part, as it states"
    );
    let active = list.iter().filter(|one| one.revoked_at.is_none());
    let expiries = active.filter_map(|one| Some((&one.name, one.certificate_expires_at?)));
    member::warn_of_expiry(Role::Institution, expiries);
}
