//! One federation from its first call to the end of its job, as one seed would have it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::Path;
use std::time::Duration;

use eosfed_common::clock::{Clock as _, ManualClock, Timestamp};
use eosfed_common::digest::{Digest, Hasher};
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::refusal::Refusal;
use eosfed_common::report::TrainingReport;
use eosfed_coordinator::domain::job::JobAction;
use eosfed_coordinator::domain::{ClosedRound, Job, JobState};
use eosfed_coordinator::storage::{FileBlobs, ready};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;

use crate::coordinator::Coordinator;
use crate::disk::{Trouble, disk};
use crate::network::{Answer, Call};
use crate::oracle::{Violation, judge, ledger};
use crate::plan::{self, START};
use crate::site::{Nature, Site, World, nothing_came};

/// Longest simulated time before trouble ends, and again before the job must have come to rest.
const HORIZON: u64 = 20 * 86_400_000;
/// Most events in either.
const MOST_EVENTS: u64 = 60_000;

/// How a federation has fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the job ended.
    pub state: String,
    /// Digest of the head that it made.
    pub made: Option<Digest>,
    /// Digest of everything that happened, in order.
    pub trace: Digest,
    /// Rounds completed.
    pub rounds: usize,
    /// Updates acknowledged.
    pub receipts: usize,
    /// How often the coordinator was started.
    pub starts: u32,
    /// Simulated time.
    pub took: Duration,
    /// Events.
    pub events: u64,
}

/// What a seed is to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing goes wrong.
    Calm,
    /// All institutions are honest and take part in each round; everything else goes wrong.
    Storm,
    /// Everything goes wrong, and some institutions are not honest.
    Wild,
}

/// What happens next.
#[derive(Debug, Clone)]
enum What {
    Site(usize),
    SiteStarts(usize),
    CoordinatorStarts,
    CoordinatorDies,
    Perform(JobId),
    Sweep,
    DiskFull(bool),
    ClockJumps,
    Operator,
    Attack,
}

/// The network, the coordinator and the time, as a daemon meets them.
struct Sphere {
    coordinator: Coordinator,
    clock: ManualClock,
    time: u64,
    skew: i64,
    rng: ChaCha12Rng,
    trace: Hasher,
    /// Calls that the network delivers once more, later.
    echoes: VecDeque<(u64, InstitutionName, Call)>,
    rough: bool,
}

impl Sphere {
    fn note(&mut self, what: &str) {
        self.trace.update(format!("{} {what}\n", self.time).as_bytes());
        if std::env::var_os("EOSFED_TRACE").is_some() {
            eprintln!("{:>10} {}", self.time / 1000, what.chars().take(180).collect::<String>());
        }
    }

    /// The coordinator's clock follows the world's, as wrong as it is.
    fn set_clock(&self) {
        self.clock.set(Timestamp((START.0 + self.time).saturating_add_signed(self.skew)));
    }
}

impl World for Sphere {
    fn call(&mut self, from: &InstitutionName, call: Call) -> Result<Answer, Refusal> {
        if self.rough && self.rng.random_ratio(1, 12) {
            self.note(&format!("{from}: a call is lost"));
            return Err(nothing_came());
        }
        if self.rough && self.rng.random_ratio(1, 12) {
            let late = self.time + self.rng.random_range(1..20 * 60_000);
            self.echoes.push_back((late, from.clone(), call.clone()));
        }
        let name = call_name(&call);
        let answer = self.coordinator.call(from, call);
        let outcome =
            answer.as_ref().err().map_or_else(|| "ok".to_owned(), |refusal| refusal.reason.to_string());
        self.note(&format!("{from}: {name}: {outcome}"));
        if self.rough && self.rng.random_ratio(1, 12) {
            self.note(&format!("{from}: the answer is lost"));
            return Err(nothing_came());
        }
        answer
    }

    fn now(&self) -> Timestamp {
        // Institutions have clocks of their own, which nobody compares with the coordinator's.
        Timestamp(START.0 + self.time)
    }
}

fn call_name(call: &Call) -> String {
    match call {
        Call::Append(blob, offset, bytes) => format!("append {} at {offset}, {}", blob.digest, bytes.len()),
        Call::Submit(submission) => format!("submit {} {}", submission.assignment, submission.weights.digest),
        Call::Accept(id) | Call::Refuse(id) | Call::Heartbeat(id, ..) | Call::Fail(id, _) => {
            let text = format!("{call:?}");
            format!("{} {id}", text.split('(').next().unwrap_or_default())
        }
        Call::Poll => "poll".to_owned(),
        Call::Stat(blob) | Call::Download(blob) => format!("blob {}", blob.digest),
    }
}

/// The federation.
struct Federation {
    sphere: Sphere,
    sites: Vec<Site>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: Vec<Option<What>>,
    job: JobId,
    trouble: Trouble,
    resumed: u32,
    starts: u32,
}

/// Runs the federation of a seed in `folder`.
///
/// # Errors
/// The rule that was broken.
pub fn run(seed: u64, weather: Weather, folder: &Path) -> Result<Report, Violation> {
    let mut federation = Federation::new(seed, weather, folder)?;
    let mut done = federation.live(HORIZON, weather)?;
    if !done {
        // Now the weather clears up, and the job must come to an end.
        federation.calm();
        done = federation.live(federation.sphere.time + HORIZON, Weather::Calm)?;
    }
    let (job, history) = federation.job()?;
    if !done {
        return Err(Violation(format!("the job does not end: {:?}", job.state)));
    }
    let blobs = FileBlobs::open(&folder.join("blobs")).unwrap();
    judge(&job, &history, &federation.sites, &blobs)?;
    Ok(Report {
        state: job.state.name().to_owned(),
        made: job.trained.as_ref().map(|head| head.weights.digest),
        trace: federation.sphere.trace.clone().finish(),
        rounds: job.closed.iter().filter(|closed| closed.complete).count(),
        receipts: federation.sites.iter().map(|site| site.receipts.len()).sum(),
        starts: federation.starts,
        took: Duration::from_millis(federation.sphere.time),
        events: federation.events.len() as u64,
    })
}

impl Federation {
    fn new(seed: u64, weather: Weather, folder: &Path) -> Result<Self, Violation> {
        // What is to be done follows from the seed alone, whatever the weather.
        let mut draw = ChaCha12Rng::seed_from_u64(seed);
        let names = plan::names(draw.random_range(2..=5));
        let plan = match weather {
            Weather::Calm | Weather::Storm => plan::complete(&mut draw, names.len()),
            Weather::Wild => plan::draw(&mut draw, names.len()),
        };
        let mut rng = ChaCha12Rng::seed_from_u64(seed ^ 0x5eed);
        let rough = weather != Weather::Calm;
        let deadly = if rough { rng.random_range(30..300) } else { 0 };
        let trouble = Trouble::new(ChaCha12Rng::seed_from_u64(seed ^ 0xd15c), 0);
        let store = disk(trouble.clone(), &plan::beginning(&names));
        let clock = ManualClock::new(START);
        let blobs = folder.join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let mut coordinator = Coordinator::new(store, blobs, trouble.clone(), clock.clone(), seed);
        coordinator.start();
        let key = IdempotencyKey::random(&mut rng);
        let submitted = coordinator.with(|core| ready(core.submit_job(plan, &"admin".parse().unwrap(), key)));
        let job = submitted.unwrap().map_err(|refusal| Violation(refusal.to_string()))?;
        trouble.arm(deadly);
        let sites = names.into_iter().map(|name| {
            let nature = match (weather, rng.random_range(0..12)) {
                (Weather::Wild, 0) => Nature::NotFinite,
                (Weather::Wild, 1) => Nature::Huge,
                (Weather::Wild, 2) => Nature::Misshapen,
                (Weather::Wild, 3 | 4) => Nature::Unreliable,
                _ => Nature::Honest,
            };
            let own = folder.join(name.as_str());
            std::fs::create_dir_all(&own).unwrap();
            let chance = ChaCha12Rng::seed_from_u64(rng.random());
            Site::new(name, nature, own, chance, if rough { 60 } else { 0 })
        });
        let sites: Vec<_> = sites.collect();
        let sphere = Sphere {
            coordinator,
            clock,
            time: 0,
            skew: 0,
            rng,
            trace: Hasher::default(),
            echoes: VecDeque::new(),
            rough,
        };
        let (queue, events) = (BinaryHeap::new(), Vec::new());
        let mut federation = Self { sphere, sites, queue, events, job, trouble, resumed: 0, starts: 1 };
        for site in 0..federation.sites.len() {
            let start = federation.sphere.rng.random_range(0..600_000);
            federation.plan(start, What::Site(site));
        }
        if rough {
            for what in
                [What::CoordinatorDies, What::Sweep, What::DiskFull(true), What::ClockJumps, What::Attack]
            {
                federation.soon(what);
            }
        }
        federation.soon(What::Operator);
        Ok(federation)
    }

    fn plan(&mut self, after: u64, what: What) {
        let at = self.sphere.time + after;
        self.queue.push(Reverse((at, self.events.len() as u64)));
        self.events.push(Some(what));
    }

    /// Some time in the next hours.
    fn soon(&mut self, what: What) {
        let after = self.sphere.rng.random_range(60_000..4 * 3_600_000);
        self.plan(after, what);
    }

    fn calm(&mut self) {
        self.sphere.note("the weather clears up");
        self.sphere.rough = false;
        self.sphere.skew = 0;
        self.trouble.end();
        self.sites.iter_mut().for_each(Site::calm);
        self.resumed = 0;
        self.plan(0, What::CoordinatorStarts);
    }

    /// Lets things happen until the job has ended; whether it has.
    fn live(&mut self, until: u64, weather: Weather) -> Result<bool, Violation> {
        let most = self.events.len() as u64 + MOST_EVENTS;
        while self.sphere.time < until && (self.events.len() as u64) < most {
            self.follow_up();
            if self.ended() {
                return Ok(true);
            }
            let next = self.queue.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let tick = self.tick_at();
            let echo = self.sphere.echoes.iter().map(|(at, ..)| *at).min().unwrap_or(u64::MAX);
            let now = next.min(tick).min(echo);
            self.sphere.time = now.max(self.sphere.time);
            self.sphere.set_clock();
            if echo <= now {
                let place = self.sphere.echoes.iter().position(|(at, ..)| *at == echo).unwrap();
                let (_, from, call) = self.sphere.echoes.remove(place).unwrap();
                let name = call_name(&call);
                let answer = self.sphere.coordinator.call(&from, call);
                self.sphere.note(&format!("{from}: {name}, once more: {}", answer.is_ok()));
            } else if tick <= now {
                self.sphere.coordinator.with(|core| ready(core.tick()));
                self.sphere.note("tick");
            } else if let Some(Reverse((_, index))) = self.queue.pop() {
                let what = self.events[index as usize].take().unwrap();
                self.happen(what, weather);
            }
        }
        Ok(false)
    }

    /// When the coordinator's timer would ring, in the world's time.
    fn tick_at(&self) -> u64 {
        let Some(core) = self.sphere.coordinator.core() else { return u64::MAX };
        let Some(at) = core.next_wakeups().into_values().min() else { return u64::MAX };
        let wait = at.since(self.sphere.clock.now()).as_millis() as u64;
        self.sphere.time + wait.max(1000)
    }

    /// What the last event has caused at the coordinator.
    fn follow_up(&mut self) {
        if self.sphere.coordinator.core().is_none() {
            if !self
                .events
                .iter()
                .rev()
                .take(200)
                .flatten()
                .any(|what| matches!(what, What::CoordinatorStarts))
            {
                let after = self.sphere.rng.random_range(1_000..30 * 60_000);
                self.plan(after, What::CoordinatorStarts);
            }
            return;
        }
        let changed = self.sphere.coordinator.with(|core| {
            let jobs = core.take_changed();
            jobs.into_iter()
                .filter(|id| core.with_job(id, |job| job.task().is_some()) == Ok(true))
                .collect::<Vec<_>>()
        });
        for id in changed.unwrap_or_default() {
            let after = self.sphere.rng.random_range(10..30_000);
            self.plan(after, What::Perform(id));
        }
    }

    fn ended(&mut self) -> bool {
        let id = self.job.clone();
        self.sphere.coordinator.core().is_some_and(|core| core.with_job(&id, Job::has_ended).unwrap())
    }

    fn job(&mut self) -> Result<(Job, Vec<ClosedRound>), Violation> {
        self.trouble.end();
        self.sphere.coordinator.start();
        let core = self.sphere.coordinator.core().unwrap();
        let job = core.job(&self.job).map_err(|refusal| Violation(refusal.to_string()))?;
        let history = ready(core.history(&self.job, 0..=u32::MAX));
        let history = history.map_err(|refusal| Violation(refusal.to_string()))?;
        ledger(core)?;
        Ok((job, history.into_iter().map(|(closed, _)| closed).collect()))
    }

    fn happen(&mut self, what: What, weather: Weather) {
        let rough = weather != Weather::Calm;
        match what {
            What::Site(index) => {
                let pause = self.sites[index].act(&mut self.sphere);
                if self.sites[index].up {
                    // Now and then a machine is off for a day.
                    let away = rough && self.sphere.rng.random_ratio(1, 300);
                    let pause =
                        if away { pause + self.sphere.rng.random_range(0..86_400_000) } else { pause };
                    self.plan(pause.max(1), What::Site(index));
                } else {
                    self.sphere.note(&format!("site {index} dies"));
                    let after = self.sphere.rng.random_range(1_000..3 * 3_600_000);
                    self.plan(after, What::SiteStarts(index));
                }
            }
            What::SiteStarts(index) => {
                self.sites[index].start();
                self.plan(1, What::Site(index));
            }
            What::CoordinatorStarts => {
                self.starts += 1;
                self.sphere.coordinator.start();
                self.sphere.note("the coordinator starts");
            }
            What::CoordinatorDies if rough => {
                self.sphere.note("the coordinator is killed");
                self.sphere.coordinator.kill();
                self.soon(What::CoordinatorDies);
            }
            What::Perform(id) => {
                self.sphere.note("compute");
                if self.sphere.coordinator.perform(&id) {
                    self.plan(30_000, What::Perform(id));
                }
            }
            What::Sweep => {
                let swept = self.sphere.coordinator.with(|core| ready(core.sweep()));
                self.sphere.note(&format!("swept {swept:?}"));
                self.soon(What::Sweep);
            }
            What::DiskFull(full) if rough => {
                self.sphere.note(if full { "the disk is full" } else { "the disk has room" });
                self.trouble.fill(full);
                if full {
                    let after = self.sphere.rng.random_range(1_000..20 * 60_000);
                    self.plan(after, What::DiskFull(false));
                } else {
                    self.soon(What::DiskFull(true));
                }
            }
            What::ClockJumps if rough => {
                let by = self.sphere.rng.random_range(-3_600_000..3_600_000_i64);
                self.sphere.skew = by;
                self.sphere.set_clock();
                self.sphere.note("the clock jumps");
                self.soon(What::ClockJumps);
            }
            What::Operator => self.operate(rough),
            What::Attack if rough => {
                self.attack();
                let after = self.sphere.rng.random_range(60_000..1_800_000);
                self.plan(after, What::Attack);
            }
            What::CoordinatorDies | What::DiskFull(_) | What::ClockJumps | What::Attack => {}
        }
    }

    /// Resumes what is paused, some times; gives up in the end; and sometimes pauses or asks again.
    fn operate(&mut self, rough: bool) {
        let (id, resumed) = (self.job.clone(), self.resumed);
        let choice = self.sphere.rng.random_range(0..6);
        let institution = self.sites[self.sphere.rng.random_range(0..self.sites.len())].name.clone();
        let admin: InstitutionName = "admin".parse().unwrap();
        let done = self.sphere.coordinator.with(|core| {
            let job = core.job(&id).unwrap();
            match (&job.state, choice) {
                (JobState::Paused { .. }, _) if resumed < 6 => {
                    ready(core.control_job(&id, JobAction::Resume, admin)).map(|()| 1)
                }
                (JobState::Paused { .. }, _) => {
                    ready(core.control_job(&id, JobAction::Cancel, admin)).map(|()| 0)
                }
                (JobState::Collecting(_), 0) if rough => {
                    ready(core.control_job(&id, JobAction::Pause, admin)).map(|()| 0)
                }
                (JobState::Collecting(_), 1 | 2) => {
                    ready(core.control_job(&id, JobAction::Retry(institution), admin)).map(|()| 0)
                }
                _ => Ok(0),
            }
        });
        self.sphere.note(&format!("operator: {:?}", done.as_ref().map(Result::is_ok)));
        self.resumed += done.and_then(Result::ok).unwrap_or_default();
        let after = self.sphere.rng.random_range(600_000..3 * 3_600_000);
        self.plan(after, What::Operator);
    }

    /// One institution speaks with a lease that is not its own to give: a token that it made up, or
    /// with somebody else's update.
    fn attack(&mut self) {
        let from = self.sphere.rng.random_range(0..self.sites.len());
        let other = (from + 1) % self.sites.len();
        let name = self.sites[from].name.clone();
        let token = LeaseToken::random(&mut self.sphere.rng);
        let Some(Ok(Answer::Offers(offers))) = Some(self.sphere.coordinator.call(&name, Call::Poll)) else {
            return;
        };
        let Some(offer) = offers.into_iter().next() else { return };
        let stolen = self.sites[other].receipts.last().map(|receipt| receipt.weights);
        let call = match stolen {
            Some(weights) => Call::Submit(Box::new(eosfed_common::assignment::UpdateSubmission {
                assignment: offer.id,
                token,
                key: IdempotencyKey::random(&mut self.sphere.rng),
                weights,
                report: TrainingReport {
                    samples: 5,
                    metrics: Default::default(),
                    normalisation: Vec::new(),
                    energy: Default::default(),
                    initial: None,
                    imagery: Default::default(),
                },
            })),
            None => Call::Fail(offer.id, token),
        };
        let answer = self.sphere.coordinator.call(&name, call);
        self.sphere.note(&format!("attack: {}", answer.is_ok()));
    }
}
