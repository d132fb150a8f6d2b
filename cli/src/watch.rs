//! Progress of a job until it rests: bars on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use eosfed_common::refusal::Refusal;
use eosfed_common::view::{JobState, JobView, ParticipantState, ParticipantView, RoundView};
use eosfed_common::{errln, outln};
use eosfed_proto::v1;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::arguments::Output;
use super::connection::{Connection, decode};
use super::print;
use super::query::job_with_rounds;
use super::show::heading;

/// How often the watch is taken up again after the coordinator went away.
const TRIES: u32 = 60;

/// Shows a job until it rests. The exit code is 0 only if it has finished.
pub(super) async fn watch(connection: &mut Connection, id: &str, output: Output) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::new(output);
    let mut id = id.to_owned();
    let mut tries = 0;
    loop {
        match follow(connection, &mut id, &mut screen, &mut tries).await {
            Ok(job) => return finish(connection, &job, &screen, output).await,
            Err(Interrupted::Refused(refusal)) if refusal.reason.is_transient() && tries < TRIES => {
                tries += 1;
                screen.say(&format!("{}; trying again", refusal.message));
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(Interrupted::Refused(refusal)) => return Err(refusal.into()),
            Err(Interrupted::Failed(error)) => return Err(error),
        }
    }
}

enum Interrupted {
    Refused(Refusal),
    Failed(anyhow::Error),
}

async fn follow(
    connection: &mut Connection,
    id: &mut String,
    screen: &mut Screen,
    tries: &mut u32,
) -> Result<JobView, Interrupted> {
    let answer = connection.operator.watch_job(v1::WatchJobRequest { job: id.clone() }).await;
    let mut stream = connection.answer(answer).map_err(Interrupted::Refused)?;
    loop {
        let message = stream
            .message()
            .await
            .map_err(|status| Interrupted::Refused(eosfed_transport::status::from_status(&status)))?;
        let Some(v1::WatchJobResponse { job_json }) = message else {
            let gone =
                Refusal::new(eosfed_common::refusal::Reason::Unavailable, "the coordinator has stopped");
            return Err(Interrupted::Refused(gone));
        };
        *tries = 0;
        let job: JobView = decode(&job_json).map_err(Interrupted::Failed)?;
        // `latest` may be another job by the time that the watch is taken up again.
        *id = job.id.to_string();
        screen.show(&job);
        if job.state.is_at_rest() {
            return Ok(job);
        }
    }
}

async fn finish(
    connection: &mut Connection,
    job: &JobView,
    screen: &Screen,
    output: Output,
) -> anyhow::Result<ExitCode> {
    screen.clear();
    match output {
        Output::Json => print::json(&job_with_rounds(connection, job.id.as_str()).await?)?,
        Output::Table => {
            let why = job.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            outln!("job {} is {}{why}", job.id, job.state);
            if !job.produced.is_empty() {
                outln!("made {}", job.produced.join(", "));
            }
            if let Some(number) = job.release {
                outln!("release {number}: see it with `eosfed release show {number}`");
            }
        }
    }
    Ok(if job.state == JobState::Finished { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bars, or the lines said last.
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

    fn show(&mut self, job: &JobView) {
        let title = match &job.current {
            Some(round) => {
                format!("{}, deadline {}", heading(round, job), print::when(round.deadline))
            }
            None => format!("job {} is {}", job.id, job.state),
        };
        match &mut self.bars {
            Some((all, bar, bars)) => {
                bar.set_message(title);
                if let Some(round) = &job.current {
                    show_bars(all, bars, round);
                }
            }
            None => self.show_lines(job),
        }
    }

    fn show_lines(&mut self, job: &JobView) {
        let mut lines = vec![(String::new(), format!("job {} is {}", job.id, job.state))];
        if let Some(round) = &job.current {
            lines.push(("round".to_owned(), heading(round, job)));
            let participants = round.participants.iter();
            // One line a change of state or of tenths, not one a step.
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

fn line(one: &ParticipantView) -> String {
    let message = one.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    if one.state == ParticipantState::Working && one.steps > 0 {
        return format!("working, {} %{message}", (one.step * 10 / one.steps) * 10);
    }
    format!("{}{message}", one.state)
}

fn show_bars(all: &MultiProgress, bars: &mut BTreeMap<String, ProgressBar>, round: &RoundView) {
    for (name, one) in &round.participants {
        let bar = bars.entry(name.to_string()).or_insert_with(|| {
            let style = ProgressStyle::with_template("  {prefix:16} {bar:28} {pos:>6}/{len:<6} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::new(0).with_style(style).with_prefix(name.to_string()))
        });
        bar.set_length(one.steps);
        bar.set_position(one.step);
        let loss = one.loss.map(|loss| format!(", loss {loss:.3}")).unwrap_or_default();
        let message = one.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        bar.set_message(format!("{}{loss}{message}", one.state));
    }
}
