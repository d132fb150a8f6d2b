use super::*;
use crate::refusal::Reason;
use crate::weights::Encoding;

fn name(text: &str) -> InstitutionName {
    text.parse().unwrap()
}

fn entries() -> Vec<Entry> {
    let job: JobId = "j-0a1b2c3d".parse().unwrap();
    let opened = EventKind::LedgerOpened {
        schema: 3,
        migrated_from: Some(2),
        institutions: 2,
        jobs: 1,
        specialists: 0,
        releases: 0,
    };
    let weights = Digest::of(b"weights");
    let message = "not at \"night\" — größer\n\u{1}".to_owned();
    let refused = EventKind::AssignmentRefused { round: 1, reason: Reason::Policy, message };
    vec![
        Entry::new(Actor::Coordinator, opened),
        Entry::new(Actor::Operator(name("admin")), EventKind::JobResumed).of(&job),
        Entry::new(Actor::Institution(name("west")), refused).of(&job).at(&name("west")),
        Entry::new(
            Actor::Institution(name("west")),
            EventKind::UpdateSubmitted { round: 1, weights, samples: 10, encoding: Encoding::F32 },
        )
        .of(&job)
        .at(&name("west")),
    ]
}

fn chain() -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for (at, entry) in (1_795_000_000_000..).zip(entries()) {
        let event = Event::follow(events.last().map(Event::event_ref), Timestamp(at), entry);
        events.push(event);
    }
    events
}

fn lines() -> Vec<String> {
    chain().iter().map(Event::to_line).collect()
}

fn verify(lines: &[String], noted: Option<EventRef>) -> Result<Verified, Broken> {
    let mut verifier = Verifier::expecting(noted);
    lines.iter().try_for_each(|line| verifier.line(line))?;
    verifier.finish()
}

#[test]
fn an_event_is_one_canonical_line_and_reads_back() {
    let line = &lines()[1];
    assert_eq!(
        line,
        "{\"actor\":\"operator:admin\",\"at\":1795000000001,\
         \"hash\":\"sha256:c7da578ef25b7b4c3ae45a086c2840fc2bd3043c86b3ca8d73827a58201fb387\",\"job\":\"j-0a1b2c3d\",\"kind\":\"job_resumed\",\
         \"previous\":\"sha256:ac642faee0ad6dd820648977cd390a3c6ec0d44b920be3cc157246caca1647b7\",\"sequence\":1}"
    );
    for (line, event) in lines().iter().zip(chain()) {
        assert_eq!(serde_json::from_str::<Event>(line).unwrap(), event);
    }
}

#[test]
fn a_whole_ledger_is_verified_to_its_newest_event() {
    let events = chain();
    let done = verify(&lines(), Some(events[2].event_ref())).unwrap();
    assert_eq!(done, Verified { events: 4, first: Some(0), head: Some(events[3].event_ref()) });
    let part = verify(&lines()[2..], None).unwrap();
    assert_eq!((part.first, part.events), (Some(2), 2), "a part is verified from its first event");
}

#[test]
fn a_change_is_found_at_its_event() {
    let good = lines();
    let edit = |index: usize, from: &str, to: &str| {
        let mut lines = good.clone();
        assert!(lines[index].contains(from), "{}", lines[index]);
        lines[index] = lines[index].replace(from, to);
        verify(&lines, None).unwrap_err()
    };
    assert!(matches!(edit(1, "operator:admin", "operator:eve"), Broken::Changed { sequence: 1, .. }));
    assert!(matches!(edit(3, "\"samples\":10", "\"samples\":99"), Broken::Changed { sequence: 3, .. }));
    assert!(matches!(edit(2, ",\"job\"", ", \"job\""), Broken::Line { line: 3, .. }));
    let mut without = good.clone();
    without.remove(2);
    assert_eq!(verify(&without, None), Err(Broken::Gap { last: 1, expected: 2, found: 3 }));

    // If an event is replaced together with its hash, the next event does not follow from it.
    let forged = Entry::new(Actor::Coordinator, EventKind::JobCancelled);
    let mut replaced = good.clone();
    replaced[1] = Event::follow(Some(chain()[0].event_ref()), Timestamp(5), forged.clone()).to_line();
    assert_eq!(verify(&replaced, None), Err(Broken::Link { sequence: 2, last: 1 }));

    // The whole chain cannot be rebuilt either if one of its events was noted elsewhere.
    let noted = chain()[3].event_ref();
    let other = Event::follow(None, Timestamp(5), forged).to_line();
    assert!(verify(std::slice::from_ref(&other), None).is_ok());
    assert_eq!(verify(&[other], Some(noted)), Err(Broken::Rewritten(noted)));
    assert_eq!(verify(&good[..3], Some(noted)), Err(Broken::Rewritten(noted)), "the end was dropped");
}

#[test]
fn actors_parse_back_from_text() {
    for text in ["coordinator", "operator:admin", "institution:univ-ghent", "reader:anna"] {
        assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
    }
    for text in ["", "admin", "operator:", "operator:Admin", "root:admin", "coordinator:x"] {
        assert!(text.parse::<Actor>().unwrap_err().to_string().contains("operator:NAME"), "{text}");
    }
}
