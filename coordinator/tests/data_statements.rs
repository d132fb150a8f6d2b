//! What an institution says of its data set bounds what it claims, over real TLS.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use eosfed_common::data_statement::{PartSizes, SignedDataStatement};
use eosfed_common::ledger::{Event, EventKind};
use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::InstitutionView;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_testkit::data_statements::{signed, statement};
use eosfed_testkit::plans::{ONE_SHOT, Plan};
use eosfed_testkit::policy_summaries;
use eosfed_testkit::signing;
use eosfed_transport::status::from_status;
use eosfed_transport::wire::Wire as _;
use server::leased::{Leased, report};
use server::{KEY, Server, plan};

/// States a data set as `west`.
async fn state(server: &Server, stated: SignedDataStatement) -> Result<u64, Refusal> {
    let answer = ParticipantClient::new(server.client("west")).state_data(stated.into_message()).await;
    answer.map(|answer| answer.into_inner().recorded_at).map_err(|status| from_status(&status))
}

/// Hands in an update that claims so many samples.
async fn claim(leased: &Leased, samples: u64) -> Result<(), Refusal> {
    let blob = leased.upload(&leased.weights()).await.unwrap();
    leased.submit(blob, report(samples, Vec::new())).await
}

/// A server that `west` has joined.
async fn joined() -> Server {
    let server = Server::start().await;
    server.enrol("west").await;
    server
}

/// The events of data statements: training samples before and after.
async fn events(server: &Server) -> Vec<(Option<u64>, u64)> {
    let request = v1::ListEventsRequest { kind: "data_stated".to_owned(), ..Default::default() };
    let mut pages = OperatorClient::new(server.operator()).list_events(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        for line in page.lines {
            let event: Event = serde_json::from_str(&line).unwrap();
            let EventKind::DataStated { training, training_before, .. } = event.entry.kind else {
                panic!("{line}")
            };
            assert_eq!(event.entry.institution.unwrap().as_str(), "west");
            found.push((training_before, training));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_more_samples_than_were_stated_is_refused_with_both_numbers() {
    let server = joined().await;
    let at = state(&server, signed("west", 90)).await.unwrap();
    assert_eq!(state(&server, signed("west", 90)).await, Ok(at), "a repeated statement");
    let leased = Leased::under(server, &plan(), KEY).await;
    let refused = claim(&leased, 91).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Malformed, "{refused}");
    assert!(refused.message.contains("at most the 90") && refused.message.contains("`91`"), "{refused}");

    let other = KEY.replace('1', "2");
    let leased = Leased::under(leased.server, &plan(), &other).await;
    claim(&leased, 90).await.unwrap();
    assert_eq!(events(&leased.server).await, [(None, 90)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_an_event_and_counts_in_rounds_that_open_after_it() {
    let server = joined().await;
    state(&server, signed("west", 90)).await.unwrap();
    let leased = Leased::under(server, &plan(), KEY).await;
    state(&leased.server, signed("west", 1_000_000)).await.unwrap();
    let refused = claim(&leased, 91).await.unwrap_err();
    assert!(refused.message.contains("at most the 90"), "{refused}");
    assert_eq!(events(&leased.server).await, [(None, 90), (Some(90), 1_000_000)]);

    let other = KEY.replace('1', "2");
    let leased = Leased::under(leased.server.restart().await, &plan(), &other).await;
    claim(&leased, 91).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_institution_without_a_statement_is_bounded_by_the_plan_unless_that_requires_one() {
    let leased = Leased::under(joined().await, &plan(), KEY).await;
    claim(&leased, 1_000_000).await.unwrap();

    let requires = Plan::new(ONE_SHOT).without("release").participants(1, 1);
    let requires = requires.specialists(&[("west-red", "west", &["red"])]);
    let requires = requires.set("admission.require_statement", true).text();
    let leased = Leased::under(leased.server, &requires, &KEY.replace('1', "2")).await;
    let refused = claim(&leased, 9).await.unwrap_err();
    assert_eq!(refused.reason, Reason::DataUnfit, "{refused}");
    assert!(refused.message.contains("`admission.require_statement`"), "{refused}");
    assert!(refused.message.contains("`data_statement`"), "{refused}");

    // The first statement counts at once.
    let leased = Leased::under(leased.server, &requires, &KEY.replace('1', "3")).await;
    state(&leased.server, signed("west", 9)).await.unwrap();
    claim(&leased, 9).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_counts_with_the_signature_of_its_institution_only() {
    let server = joined().await;
    server.enrol("east").await;
    let of_east = state(&server, signed("east", 90)).await.unwrap_err();
    assert_eq!(of_east.reason, Reason::Forbidden, "{of_east}");
    let by_east = SignedDataStatement::new(statement("west", 90), &signing::institution("east"));
    let by_east = state(&server, by_east).await.unwrap_err();
    assert_eq!(by_east.reason, Reason::NotSigned, "{by_east}");
    let mut changed = signed("west", 90);
    changed.statement.samples.validation += 1;
    let changed = state(&server, changed).await.unwrap_err();
    assert_eq!(changed.reason, Reason::NotSigned, "{changed}");
    let mut too_many = signed("west", 90).into_message();
    too_many.statement.as_mut().unwrap().training = u64::MAX;
    let too_many = ParticipantClient::new(server.client("west")).state_data(too_many).await.unwrap_err();
    assert!(too_many.message().contains("at most 1000000000000 samples"), "{too_many:?}");
    assert_eq!(events(&server).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_each_institution_says() {
    let server = joined().await;
    let mut operator = OperatorClient::new(server.operator());
    let mut show = async |name: &str| -> Result<InstitutionView, Refusal> {
        let request = v1::GetInstitutionRequest { name: name.to_owned() };
        let answer = operator.get_institution(request).await.map_err(|status| from_status(&status))?;
        Ok(serde_json::from_str(&answer.into_inner().institution_json).unwrap())
    };
    assert_eq!(show("west").await.unwrap().data, None);
    state(&server, signed("west", 90)).await.unwrap();
    let data = show("west").await.unwrap().data.unwrap();
    assert_eq!(data.statement.samples, PartSizes { training: 90, validation: 30, test: 0 });
    let key = signing::institution("west").public();
    data.signature.verify(&data.statement, &[key]).unwrap();
    let unknown = show("north").await.unwrap_err();
    assert!(unknown.reason == Reason::NotFound && unknown.message.contains("north"), "{unknown}");
}

/// Eleven other statements in a minute: the eleventh is refused, so that the ledger does not fill.
#[tokio::test(flavor = "multi_thread")]
async fn statements_in_an_hour_are_limited() {
    let server = joined().await;
    for training in 1..=10 {
        state(&server, signed("west", training)).await.unwrap();
    }
    let refused = state(&server, signed("west", 11)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable, "{refused}");
    assert_eq!(events(&server).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_an_institution_shares_of_its_policy() {
    let server = joined().await;
    let share = async |shared: SignedPolicySummary| {
        let mut west = ParticipantClient::new(server.client("west"));
        west.share_policy(shared.into_message()).await.map_err(|status| from_status(&status))
    };
    let shown = async || {
        let request = v1::GetInstitutionRequest { name: "west".to_owned() };
        let answer = OperatorClient::new(server.operator()).get_institution(request).await.unwrap();
        let view: InstitutionView = serde_json::from_str(&answer.into_inner().institution_json).unwrap();
        view.policy.map(|shared| shared.summary)
    };
    assert_eq!(shown().await, None);
    share(policy_summaries::signed("west", 50)).await.unwrap();
    share(policy_summaries::signed("west", 50)).await.unwrap();
    assert_eq!(shown().await, Some(policy_summaries::summary("west", 50)));
    let another = share(policy_summaries::signed("east", 50)).await.unwrap_err();
    assert_eq!(another.reason, Reason::Forbidden, "{another}");
    let by_east =
        SignedPolicySummary::new(policy_summaries::summary("west", 9), &signing::institution("east"));
    assert_eq!(share(by_east).await.unwrap_err().reason, Reason::NotSigned);
    share(policy_summaries::signed("west", 60)).await.unwrap();
    assert_eq!(shown().await, Some(policy_summaries::summary("west", 60)));
    let request = v1::ListEventsRequest { kind: "policy_shared".to_owned(), ..Default::default() };
    let mut answers = OperatorClient::new(server.operator()).list_events(request).await.unwrap().into_inner();
    let mut events = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        events += answer.lines.len();
    }
    assert_eq!(events, 2, "what was known already is no event");
}
