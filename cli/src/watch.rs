//! Progress of a job until it is at rest: bars on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use eosfed_common::ledger::Event;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::{JobProgress, JobState, ParticipantProgress, ParticipantState, RoundProgress};
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use eosfed_proto::v1::watch_job_response::Update;
use eosfed_transport::status::from_status;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::arguments::Output;
use super::connection::{Connection, decode};
use super::event::sentence;
use super::show::Heading;
use super::{print, query};

/// How often the watch is started again after a lost connection.
const TRIES: u32 = 60;

/// Shows a job until it is at rest. The exit code is 0 only if it has finished.
pub(super) async fn watch(connection: &mut Connection, id: &str, output: Output) -> anyhow::Result<ExitCode> {
    let mut watched = Watched::new(id);
    let mut screen = Screen::new(output);
    loop {
        match follow(connection, &mut watched, &mut screen).await {
            Ok(()) => return finish(connection, &watched.id, &screen, output).await,
            Err(Interrupted::Refused(refusal)) if refusal.reason.is_transient() && watched.tries < TRIES => {
                watched.tries += 1;
                screen.say(&format!("{}; trying again", refusal.message));
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(Interrupted::Refused(refusal)) => return Err(refusal.into()),
            Err(Interrupted::Failed(error)) => return Err(error),
        }
    }
}

/// The state of a watched job.
struct Watched {
    /// Its id, or the reference in the request.
    id: String,
    /// The sequence number after the last received event; 0: none was received.
    next_event: u64,
    progress: Option<JobProgress>,
    /// Attempts to connect since the last answer.
    tries: u32,
}

impl Watched {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), next_event: 0, progress: None, tries: 0 }
    }

    /// Asks for the job from the first event on that was not seen.
    fn request(&self) -> v1::WatchJobRequest {
        v1::WatchJobRequest { job: self.id.clone(), from_event: self.next_event }
    }

    fn see_event(&mut self, line: &str) -> anyhow::Result<Event> {
        let event: Event = decode(line)?;
        self.next_event = event.sequence + 1;
        Ok(event)
    }

    /// Takes a change of the progress, or the whole progress if it `is_first` of its stream.
    fn see_progress(&mut self, json: &str, is_first: bool) -> anyhow::Result<&JobProgress> {
        let change: JobProgress = decode(json)?;
        // `latest` may be another job when the watch is started again, so the id is used.
        self.id = change.id.to_string();
        let progress = match self.progress.take() {
            Some(mut known) if !is_first => {
                known.apply(change);
                known
            }
            Some(_) | None => change,
        };
        Ok(self.progress.insert(progress))
    }

    /// Whether a stream that has ended with this progress has ended for good: a watch ends when the job is
    /// at rest.
    fn is_over(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.state.is_at_rest())
    }
}

enum Interrupted {
    Refused(Refusal),
    Failed(anyhow::Error),
}

async fn follow(
    connection: &mut Connection,
    watched: &mut Watched,
    screen: &mut Screen,
) -> Result<(), Interrupted> {
    let answer = connection.operator.watch_job(watched.request()).await;
    let mut stream = connection.answer(answer).map_err(Interrupted::Refused)?;
    // The first message of a stream is complete.
    let mut is_first = true;
    loop {
        let message = stream.message().await.map_err(|status| Interrupted::Refused(from_status(&status)))?;
        let Some(v1::WatchJobResponse { update }) = message else {
            if !is_first && watched.is_over() {
                return Ok(());
            }
            let gone = Refusal::new(Reason::Unavailable, "the coordinator has stopped");
            return Err(Interrupted::Refused(gone));
        };
        watched.tries = 0;
        match update {
            Some(Update::Event(line)) => {
                let event = watched.see_event(&line).map_err(Interrupted::Failed)?;
                if let Some(sentence) = sentence(&event) {
                    screen.say(&sentence);
                }
            }
            Some(Update::ProgressJson(json)) => {
                let progress = watched.see_progress(&json, is_first).map_err(Interrupted::Failed)?;
                screen.show(progress);
                is_first = false;
            }
            None => {}
        }
    }
}

async fn finish(
    connection: &mut Connection,
    id: &str,
    screen: &Screen,
    output: Output,
) -> anyhow::Result<ExitCode> {
    screen.clear();
    let job = match output {
        Output::Json => {
            let whole = query::whole_job(connection, id, 0, true).await?;
            print::json(&whole)?;
            whole.job
        }
        Output::Table => {
            let job = query::job(connection, id).await?;
            let why = job.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            outln!("job {} is {}{why}", job.id, job.state);
            if !job.produced.is_empty() {
                outln!("made {}", job.produced.join(", "));
            }
            if let Some(number) = job.release {
                outln!("release {number}: see it with `eosfed release show {number}`");
            }
            job
        }
    };
    Ok(if job.state == JobState::Finished { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Progress bars, or the last printed lines.
struct Screen {
    bars: Option<(MultiProgress, ProgressBar, BTreeMap<String, ProgressBar>)>,
    said: BTreeMap<String, String>,
}

impl Screen {
    fn new(output: Output) -> Self {
        let wants_bars = output == Output::Table && std::io::stderr().is_terminal();
        let bars = wants_bars.then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let title = all.add(ProgressBar::new_spinner().with_style(style));
            title.enable_steady_tick(Duration::from_millis(120));
            (all, title, BTreeMap::new())
        });
        Self { bars, said: BTreeMap::new() }
    }

    fn say(&mut self, line: &str) {
        match &self.bars {
            Some((all, ..)) => drop(all.println(line)),
            None => errln!("{line}"),
        }
    }

    fn clear(&self) {
        if let Some((all, ..)) = &self.bars {
            let _ = all.clear();
        }
    }

    fn show(&mut self, job: &JobProgress) {
        let title = match &job.round {
            Some(round) => {
                format!("{}, deadline {}", Heading::watched(round, job.rounds), print::when(round.deadline))
            }
            None => format!("job {} is {}", job.id, job.state),
        };
        match &mut self.bars {
            Some((all, bar, bars)) => {
                bar.set_message(title);
                if let Some(round) = &job.round {
                    show_bars(all, bars, round);
                }
            }
            None => self.show_lines(job),
        }
    }

    fn show_lines(&mut self, job: &JobProgress) {
        let mut lines = vec![(String::new(), format!("job {} is {}", job.id, job.state))];
        if let Some(round) = &job.round {
            lines.push(("round".to_owned(), Heading::watched(round, job.rounds).to_string()));
            let participants = round.participants.iter();
            // One line for each change of state or tenth, not for each step.
            lines.extend(
                participants.map(|(name, one)| (name.to_string(), format!("  {name}: {}", line(one)))),
            );
        }
        for (key, line) in lines {
            if self.said.get(&key) != Some(&line) {
                errln!("{line}");
                self.said.insert(key, line);
            }
        }
    }
}

fn line(one: &ParticipantProgress) -> String {
    if one.state == ParticipantState::Working && one.steps > 0 {
        let message = one.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        return format!("working, {} %{message}", (one.step * 10 / one.steps) * 10);
    }
    one.shown()
}

fn show_bars(all: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, round: &RoundProgress) {
    for (name, one) in &round.participants {
        let bar = bars.entry(name.to_string()).or_insert_with(|| {
            let style = ProgressStyle::with_template("  {prefix:16} {bar:28} {pos:>6}/{len:<6} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::no_length().with_style(style).with_prefix(name.to_string()))
        });
        // A bar of no steps would be full.
        match one.steps {
            0 => bar.unset_length(),
            steps => bar.set_length(steps),
        }
        bar.set_position(one.step);
        let loss = one.loss.map(|loss| format!(", loss {loss:.3}")).unwrap_or_default();
        bar.set_message(format!("{}{loss}", one.shown()));
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::Timestamp;
    use eosfed_common::ledger::{Actor, Entry, EventKind};

    use super::*;

    fn progress(state: &str) -> String {
        format!(r#"{{"id":"j-0a1b2c3d","state":"{state}","why":null,"rounds":2,"round":null}}"#)
    }

    #[test]
    fn a_watch_that_is_started_again_asks_for_the_events_after_the_last_that_it_saw() {
        let mut watched = Watched::new("latest");
        assert_eq!((watched.request().job.as_str(), watched.request().from_event), ("latest", 0));
        let mut last = None;
        for number in 1..=3 {
            let event =
                Event::follow(last, Timestamp(number), Entry::new(Actor::Coordinator, EventKind::JobResumed));
            watched.see_event(&event.to_line()).unwrap();
            last = Some(event.event_ref());
        }
        watched.see_progress(&progress("running"), true).unwrap();
        assert_eq!((watched.request().job.as_str(), watched.request().from_event), ("j-0a1b2c3d", 3));
        assert!(watched.see_event("{}").is_err() && watched.request().from_event == 3);
    }

    #[test]
    fn a_watch_is_over_when_its_job_is_at_rest() {
        let mut watched = Watched::new("latest");
        assert!(!watched.is_over());
        for (state, is_over) in
            [("running", false), ("aggregating", false), ("paused", true), ("finished", true)]
        {
            watched.see_progress(&progress(state), false).unwrap();
            assert_eq!(watched.is_over(), is_over, "{state}");
        }
    }
}
