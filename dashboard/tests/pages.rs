//! Pages as documents: well formed, escaped, bounded, and helpful when there is nothing to show.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]
#![allow(clippy::cast_precision_loss, reason = "places of fixtures are small")]

mod fixtures;
mod html;

use eosfed_common::card::Parent;
use eosfed_common::policy_summary::PolicySummary;
use eosfed_common::view::{
    JobView, ParticipantState, ParticipantView, RoundPhase, RoundSummary, RoundTotals, RoundView,
    SharedPolicyView, SpecialistSummary, SpecialistView,
};
use eosfed_dashboard::page::{
    self, EnergyPage, EventFilter, EventLine, EventsPage, HeadOver, InstitutionPage, JobPage, JobsPage,
    Lineage, Message, Pager, ReleasePage, RoundPage, ScoreRow, ScoresPage, SpecialistPage, StoragePage,
};
use eosfed_testkit::cards::card;
use eosfed_testkit::plans::{Plan, ROUNDS};
use eosfed_testkit::releases::release;
use fixtures::{NOW, hostile, shell};

fn job_page(institutions: usize, rounds: u32, text: &str) -> String {
    job_page_of(&fixtures::rounds(rounds, institutions), institutions, text)
}

fn job_page_of(all: &[RoundSummary], institutions: usize, text: &str) -> String {
    let rounds = u32::try_from(all.len()).unwrap();
    let open = fixtures::round(rounds, institutions, text);
    let mut job = fixtures::job(rounds);
    job.why = Some(text.to_owned());
    let newest: Vec<_> = all.iter().rev().take(25).cloned().collect();
    page::job(&shell(), &job_shown(&job, &open, all, &newest))
}

fn job_shown<'a>(
    job: &'a JobView,
    open: &'a RoundView,
    rounds: &'a [RoundSummary],
    listed: &'a [RoundSummary],
) -> JobPage<'a> {
    let pager = Pager { first: None, next: Some("/jobs/j-0a1b2c3d?before=5".to_owned()), remaining: 975 };
    JobPage { job, round: Some(open), rounds, listed, pager, scores: &[], operator: true }
}

fn score_rows(institutions: usize) -> Vec<ScoreRow> {
    let scores = (0..institutions).map(|place| {
        let value =
            eosfed_common::finite::Finite::new(0.4 + 0.5 * place as f64 / institutions as f64).unwrap();
        (fixtures::name(place), if place == 1 { Err("refused".to_owned()) } else { Ok(value) })
    });
    vec![ScoreRow {
        specialist: "west-rgb@1".to_owned(),
        metric: "macro_f1".to_owned(),
        scores: scores.collect(),
    }]
}

/// Every page, with this text wherever somebody may write.
fn pages(text: &str) -> Vec<(&'static str, String)> {
    let mut card = card();
    card.licence = text.to_owned();
    card.provenance.parent = Some(Parent {
        name: "west-rgb".parse().unwrap(),
        version: 3,
        weights: card.weights,
        release: eosfed_common::ids::ReleaseNumber(2),
        adapted: vec![text.to_owned()],
    });
    card.model.classes = vec![text.to_owned(), "b".to_owned()];
    let specialist =
        SpecialistView { card: card.clone(), evaluations: Vec::new(), excluded: Some(text.to_owned()) };
    let summary = SpecialistSummary::new(&card, Some(eosfed_common::ids::ReleaseNumber(1)), true);
    let lineage = Lineage {
        specialist: summary.clone(),
        institutions: vec![fixtures::name(0), fixtures::name(1)],
        origin: Some("j-00000001".parse().unwrap()),
        parent: Some("west-rgb@3".to_owned()),
        releases: vec![eosfed_common::ids::ReleaseNumber(1)],
    };
    let head = HeadOver {
        job: "j-00000002".parse().unwrap(),
        name: text.to_owned(),
        metrics: [].into(),
        selection: [(text.to_owned(), eosfed_common::finite::Finite::ZERO)].into(),
    };
    let mut manifest = release();
    manifest.note = text.to_owned();
    let institution = fixtures::institution(0);
    let events = [EventLine::Unreadable(text.to_owned())];
    let filter = EventFilter {
        job: text.to_owned(),
        institution: text.to_owned(),
        actor: text.to_owned(),
        kind: text.to_owned(),
    };
    let jobs: Vec<_> = (0..4).map(|place| fixtures::summary(place, text)).collect();
    let institutions: Vec<_> = (0..6).map(fixtures::institution).collect();
    let shell = shell();
    vec![
        ("overview", page::overview(&shell, &fixtures::overview(text))),
        ("institutions", page::institutions(&shell, &institutions, &Pager::default())),
        (
            "institution",
            page::institution(&shell, &InstitutionPage { institution: &institution, events: &events }),
        ),
        ("jobs", page::jobs(&shell, &JobsPage { jobs: &jobs, state: None, pager: Pager::default() })),
        ("job", job_page(6, 12, text)),
        (
            "round",
            page::round(
                &shell,
                &RoundPage { job: &fixtures::job(3), round: &fixtures::round(3, 6, text), from: 0 },
            ),
        ),
        ("specialists", page::specialists(&shell, &[summary], &Pager::default())),
        (
            "specialist",
            page::specialist(
                &shell,
                &SpecialistPage { specialist: &specialist, releases: &[], operator: true },
            ),
        ),
        ("scores", page::scores(&shell, &ScoresPage { rows: score_rows(6), pager: Pager::default() })),
        ("lineage", page::lineage(&shell, &[lineage], &Pager::default())),
        (
            "release",
            page::release(
                &shell,
                &ReleasePage {
                    release: &manifest,
                    heads: &[head],
                    ablations: &[fixtures::ablation(text, &[0.3, 0.0, -0.02])],
                },
            ),
        ),
        (
            "energy",
            page::energy(
                &shell,
                &EnergyPage { energy: &fixtures::energy(), listed: &jobs, pager: Pager::default() },
            ),
        ),
        (
            "events",
            page::events(
                &shell,
                &EventsPage {
                    events: &events,
                    filter: &filter,
                    error: Some(text),
                    all: 9,
                    pager: Pager::default(),
                },
            ),
        ),
        (
            "storage",
            page::storage(
                &shell,
                &StoragePage { folder: text, storage: &fixtures::storage(text), pager: Pager::default() },
            ),
        ),
        (
            "message",
            page::message(
                &shell,
                &Message { title: "Refused", text, command: Some("eosfed dashboard open") },
            ),
        ),
    ]
}

#[test]
fn pages_are_well_formed_and_every_id_is_unique() {
    for (name, text) in pages("harmless") {
        html::check(&text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        for needed in ["<html lang=\"en\">", "<main id=\"main\"", "<h1>", "name=\"viewport\"", "<title>"] {
            assert!(text.contains(needed), "{name} has no {needed}");
        }
    }
}

#[test]
fn a_specialist_that_started_from_another_shows_it() {
    for (name, text) in pages("green is the mean of all").into_iter().filter(|(name, _)| *name != "message") {
        let shows = text.contains("href=\"/specialists/west-rgb@3\"") && text.contains("Started from");
        assert_eq!(shows, ["specialist", "lineage"].contains(&name), "{name}");
    }
    let (_, specialist) =
        pages("green is the mean of all").into_iter().find(|one| one.0 == "specialist").unwrap();
    assert!(
        specialist.contains("green is the mean of all") && specialist.contains("release 2"),
        "{specialist}"
    );
}

#[test]
fn hostile_text_is_shown_as_text() {
    let hostile = hostile();
    for (name, text) in pages(&hostile) {
        html::check(&text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert!(!text.contains("<script>alert") && !text.contains("<img"), "{name}");
        assert_eq!(text.matches("<script").count(), 1, "{name} has a script of its own only");
        if text.contains("alert(1)") {
            let isolated =
                text.contains("<bdi>&lt;script&gt;alert(1)") || text.contains("value=\"&lt;script");
            assert!(isolated, "{name} does not isolate what somebody has written");
        }
    }
}

/// A strict policy allows no style and no handler inside of a page.
#[test]
fn pages_have_neither_inline_styles_nor_handlers() {
    for (name, text) in pages("harmless") {
        for never in
            [" style=", "<style", " onclick", " onload", "javascript:", "http://", "https://", "data:"]
        {
            assert!(!text.contains(never), "{name} has {never}");
        }
    }
}

#[test]
fn large_federations_make_small_pages() {
    let most = 300_000;
    let job = job_page(200, 1000, "the deadline has passed");
    assert!(job.len() < most, "job: {}", job.len());
    assert!(job.contains("All 200 institutions of this round") && job.contains("975 more"), "{job}");
    let whole =
        RoundPage { job: &fixtures::job(3), round: &fixtures::round(3, 200, &"w".repeat(1000)), from: 0 };
    let round = page::round(&shell(), &whole);
    assert!(round.len() < most, "round: {}", round.len());
    assert!(round.contains("from=100") && round.contains("100 more"));
    let rest = page::round(&shell(), &RoundPage { from: 100, ..whole });
    assert!(rest.contains("site-199") && !rest.contains("&amp;from=200"));
    let scores = page::scores(&shell(), &ScoresPage { rows: score_rows(200), pager: Pager::default() });
    assert!(scores.len() < most && scores.contains("and 160 more institutions"), "{}", scores.len());
}

#[test]
fn empty_pages_teach_the_next_command() {
    let shell = shell();
    let none = Pager::default();
    let empty = [
        (page::overview(&shell, &fixtures::empty_overview()), "eosfed institution invite"),
        (page::institutions(&shell, &[], &none), "eosfed institution invite"),
        (
            page::jobs(&shell, &JobsPage { jobs: &[], state: None, pager: Pager::default() }),
            "eosfed job submit",
        ),
        (page::specialists(&shell, &[], &none), "eosfed job submit"),
        (page::scores(&shell, &ScoresPage { rows: Vec::new(), pager: Pager::default() }), "evaluation"),
        (page::lineage(&shell, &[], &none), "eosfed job submit"),
        (page::releases(&shell, &[], &none), "eosfed release create"),
    ];
    for (text, command) in empty {
        html::check(&text).unwrap();
        assert!(text.contains(command), "{command} is not on {text}");
    }
}

#[test]
fn the_first_page_says_what_waits_for_whom() {
    let text = page::overview(&shell(), &fixtures::overview("the disk of west is full"));
    for needed in [
        "1 job runs; 2 things need attention.",
        "2 of 4 needed results",
        "Waits for",
        "and 3 more",
        "eosfed job resume j-00000001",
    ] {
        assert!(text.contains(needed), "{needed} is not on {text}");
    }
    assert_eq!(shell().now, NOW);
}

#[test]
fn the_page_of_an_institution_has_what_it_shares_of_its_policy() {
    let mut one = fixtures::institution(0);
    let text = page::institution(&shell(), &InstitutionPage { institution: &one, events: &[] });
    assert!(text.contains("shares nothing of its policy"), "{text}");
    let signed = eosfed_testkit::policy_summaries::signed("west", 47);
    one.policy = Some(SharedPolicyView {
        shared_at: NOW,
        summary: PolicySummary { strategies: vec![hostile()], ..signed.summary },
        signature: signed.signature,
    });
    let text = page::institution(&shell(), &InstitutionPage { institution: &one, events: &[] });
    html::check(&text).unwrap();
    let needed = [
        "classification, segmentation",
        "int8, f32",
        ">47<",
        "Fewest institutions",
        "its policy itself decides",
    ];
    for needed in needed {
        assert!(text.contains(needed), "{needed} is not on {text}");
    }
    assert!(!text.contains("<script>alert"), "{text}");
}

#[test]
fn the_page_of_a_release_tells_gain_from_loss_without_colours() {
    let manifest = release();
    let page = |ablations: &[_]| {
        let text = page::release(&shell(), &ReleasePage { release: &manifest, heads: &[], ablations });
        html::check(&text).unwrap();
        text
    };
    let text = page(&[fixtures::ablation("top5", &[0.3, 0.0, -0.02])]);
    for needed in [
        "+0.300",
        "helps",
        "\u{2212}0.020",
        "better without it",
        "no difference",
        "40 samples of the test part",
    ] {
        assert!(text.contains(needed), "{needed} is not on {text}");
    }
    assert!(text.contains("class=\"loss\"") && text.contains("class=\"gain\""), "{text}");
    let empty = page(&[]);
    let command = format!("eosfed release ablation {} ablation", manifest.number);
    assert!(empty.contains(&command) && !empty.contains("class=\"gain\""), "{empty}");
    let gains: Vec<f64> = (0..256).rev().map(|at| f64::from(at) / 512.0 - 0.1).collect();
    let many: Vec<_> = (0..8).map(|at| fixtures::ablation(&format!("head-{at}"), &gains)).collect();
    let large = page(&many);
    assert!(large.len() < 200_000 && large.contains("236 lie between them"), "{}", large.len());
    assert!(large.contains("specialist-255@1") && !large.contains("specialist-128@1"));
}

#[test]
fn the_page_of_energy_has_each_institution() {
    let energy = fixtures::energy();
    let page = EnergyPage { energy: &energy, listed: &[], pager: Pager::default() };
    let text = page::energy(&shell(), &page);
    html::check(&text).unwrap();
    for needed in ["reported by 3 of 4 jobs", "1.70 kWh", "300 Wh, 90.0 g CO2e estimated"] {
        assert!(text.contains(needed), "{needed} is not on {text}");
    }
    assert!(text.contains(&format!("/institutions/{}", fixtures::name(0))));
    assert!(text.contains("and 1 more institution; <code>eosfed energy --all</code> lists them"), "{text}");
}

#[test]
fn a_round_says_who_is_queued_and_behind_what() {
    let (mut round, job) = (fixtures::round(3, 1, ""), fixtures::job(3));
    let text = |round: &RoundView| page::round(&shell(), &RoundPage { job: &job, round, from: 0 });
    let one = round.participants.values_mut().next().unwrap();
    *one = ParticipantView {
        state: ParticipantState::Offered,
        message: None,
        queued_behind: None,
        own_deadline: None,
        ..one.clone()
    };
    assert!(!text(&round).contains("queued"));
    round.participants.values_mut().next().unwrap().queued_behind = Some("j-0000000b".parse().unwrap());
    let text = text(&round);
    html::check(&text).unwrap();
    assert!(text.contains(">queued<") && text.contains("at work for j-0000000b"), "{text}");
}

#[test]
fn a_round_has_curves_of_losses_and_of_the_scores_that_were_told() {
    let (mut round, job) = (fixtures::round(3, 2, ""), fixtures::job(3));
    let text = |round: &RoundView| page::round(&shell(), &RoundPage { job: &job, round, from: 0 });
    let told = text(&round);
    html::check(&told).unwrap();
    let number = round.index + 1;
    let [loss, scores] =
        ["Training loss", "macro_f1 on own validation parts"].map(|y| format!("{y} in round {number}"));
    assert!(told.contains(&loss) && told.contains(&scores), "{told}");
    for one in round.participants.values_mut() {
        one.curve.iter_mut().for_each(|point| point.metrics.clear());
    }
    let silent = text(&round);
    assert!(silent.contains(&loss) && !silent.contains("own validation parts"), "{silent}");
}

/// The cells of the first table after this text.
fn numbers(text: &str) -> Vec<Vec<String>> {
    let (_, body) = text.split_once("<tbody>").unwrap();
    let (body, _) = body.split_once("</tbody>").unwrap();
    let cell = |cell: &str| Some(cell.split_once('>')?.1.split_once('<')?.0.to_owned());
    let row = |row: &str| row.split("<t").filter_map(cell).filter(|cell| !cell.is_empty()).collect();
    body.split("<tr>").skip(1).map(row).collect()
}

#[test]
fn a_job_has_curves_over_its_rounds() {
    let text = job_page_of(&fixtures::rounds(2, 2), 2, "");
    let (_, scores) = text.split_once("<figcaption>Scores of institutions, mean").unwrap();
    assert_eq!(numbers(scores), [["1", "0.340", "0.300"], ["2", "0.516", "0.476"]]);
    let (_, errors) = text.split_once("<figcaption>Errors of institutions, mean").unwrap();
    assert_eq!(numbers(errors), [["1", "1.200"], ["2", "0.849"]]);
}

#[test]
fn errors_of_a_job_have_the_unit_of_its_target() {
    let mut rounds = fixtures::rounds(2, 2);
    let rmse = |value: f64| [("rmse".to_owned(), fixtures::value(value))].into();
    for round in &mut rounds {
        (round.totals.metrics, round.totals.start_metrics) = (rmse(2.5), rmse(2.0));
    }
    let mut open = fixtures::round(2, 2, "");
    let points = open.participants.values_mut().flat_map(|one| &mut one.curve);
    points.for_each(|point| point.metrics = rmse(1.5));
    let plan = Plan::new(ROUNDS).set("model.task", "regression").set("model.classes", vec!["height"]);
    let spec = plan.set_toml("model.target", "{ scale = 5.0, unit = \"m\" }").spec();
    let job = JobView { spec, ..fixtures::job(2) };
    let text = page::job(&shell(), &job_shown(&job, &open, &rounds, &[]));
    html::check(&text).unwrap();
    for title in [
        "rmse (m) before and after averaging<",
        "rmse (m) on own validation parts in round 3<",
        "rmse (m)</bdi></th>",
    ] {
        assert!(text.contains(title), "{title}: {text}");
    }
}

#[test]
fn a_job_shows_what_averaging_did_to_the_scores() {
    let rounds = fixtures::rounds(4, 2);
    let text = job_page_of(&rounds, 2, "");
    html::check(&text).unwrap();
    let (_, chart) = text.split_once("macro_f1 before and after averaging").expect("the chart");
    let own = chart
        .find("each institution&#x27;s own weights")
        .or_else(|| chart.find("each institution's own weights"));
    assert!(own < chart.find("the average") && own.is_some(), "{chart}");
    let averages = [["1", "0.300", "0.501"], ["2", "0.476", "0.579"], ["3", "0.554", "0.625"]];
    assert_eq!(numbers(chart), averages, "the last round has no average");

    // Rounds of which nobody has scored the average, of before or in an attempt that was not completed, have no chart.
    let silent = |round: &RoundSummary| RoundSummary {
        totals: RoundTotals { start_metrics: [].into(), ..round.totals.clone() },
        ..round.clone()
    };
    let lost = |round: &RoundSummary| RoundSummary { phase: RoundPhase::Incomplete, ..round.clone() };
    for rounds in [rounds.iter().map(silent).collect::<Vec<_>>(), rounds.iter().map(lost).collect()] {
        let text = job_page_of(&rounds, 2, "");
        assert!(
            text.contains("Scores of institutions, mean") && !text.contains("before and after averaging")
        );
    }
}

#[test]
fn a_round_says_who_does_not_count_and_why() {
    let text = page::round(
        &shell(),
        &RoundPage {
            job: &fixtures::job(3),
            round: &fixtures::round(3, 6, "its step is 40 times the median"),
            from: 0,
        },
    );
    assert!(text.contains("What does not count, and why"));
    assert!(!text.contains("training round"), "the number is said once: {text}");
    assert_eq!(text.matches("its step is 40 times the median").count(), 2);
    assert!(text.contains("eosfed job retry j-0a1b2c3d river-basin-authority"), "{text}");
}
