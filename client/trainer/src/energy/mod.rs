//! Energy of a training run.
//!
//! - **Processors** by their own counters, if all can be read; otherwise estimated from the processor time of
//!   this process.
//! - **A GPU** by the driver's counter. Where that cannot be read, the figure is of the processors alone
//!   and called partial.
//!
//! Counters see everything that runs on the machine, so what it draws without the run is measured for
//! `IDLE` before and subtracted. A sampler reads them often enough to notice that one has wrapped around.

mod counter;
mod gpu;
mod powercap;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use eosfed_common::card::{Energy, EnergySource};
use eosfed_common::finite::Finite;
use nix::sys::resource::{UsageWho, getrusage};
use tch::Device;

use counter::{Counter, Tally};
use gpu::GpuCounter;
use powercap::Packages;

/// How long the power of the idle machine is measured before a run. Each round waits for it. The counters of
/// processors change every millisecond, and those of GPUs ten times a second or more.
const IDLE: Duration = Duration::from_millis(500);
/// Time between two readings. A counter of 65 kJ, the smallest that processors have, wraps around after
/// three minutes at 350 W.
const INTERVAL: Duration = Duration::from_secs(20);
/// Where Linux has the counters of processors.
const POWERCAP: &str = "/sys/class/powercap";
/// Assumed power of one busy core with its share of memory, in watts.
const WATTS_PER_CORE: f64 = 10.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// A measurement that has started. It ends when it is dropped.
#[derive(Debug)]
pub struct EnergyMeter {
    sums: Arc<Mutex<Sums>>,
    processor_seconds: f64,
    on_gpu: bool,
    _sampler: Sender<()>,
}

/// The sums of the counters; `None` for those that cannot be read.
#[derive(Debug)]
struct Sums {
    processors: Option<Tally>,
    gpu: Option<Tally>,
}

impl Sums {
    fn read(&mut self, now: Instant) {
        for tally in [&mut self.processors, &mut self.gpu] {
            if tally.as_mut().is_some_and(|tally| tally.read(now).is_none()) {
                tracing::warn!("a counter of energy cannot be read any more");
                *tally = None;
            }
        }
    }
}

impl EnergyMeter {
    /// Starts measuring a run on this device. Where there are counters, it waits for `IDLE` first.
    #[must_use]
    pub fn start(device: Device) -> Self {
        let processors = Packages::find(Path::new(POWERCAP)).map(|found| Box::new(found) as Box<dyn Counter>);
        let gpu = match device {
            Device::Cuda(number) => GpuCounter::find(number).map(|found| Box::new(found) as Box<dyn Counter>),
            _ => None,
        };
        let on_gpu = !matches!(device, Device::Cpu);
        let meter = Self::over(processors, gpu, on_gpu, IDLE);
        let [processors, gpu] = meter.idle_watts();
        tracing::info!(?processors, ?gpu, "idle power in watts, of what has a counter");
        meter
    }

    fn over(
        processors: Option<Box<dyn Counter>>,
        gpu: Option<Box<dyn Counter>>,
        on_gpu: bool,
        idle: Duration,
    ) -> Self {
        let mut tallies = [processors, gpu].map(|counter| Tally::new(counter?, Instant::now()));
        if tallies.iter().any(Option::is_some) {
            thread::sleep(idle);
            for tally in &mut tallies {
                *tally = tally.take().and_then(|tally| tally.after_idle(Instant::now()));
            }
        }
        let [processors, gpu] = tallies;
        let sums = Arc::new(Mutex::new(Sums { processors, gpu }));
        let (stop, stopped) = channel();
        let sampled = Arc::clone(&sums);
        let sample = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                lock(&sampled).read(Instant::now());
            }
        };
        // Without the thread a counter may wrap around unnoticed, so that nothing is measured.
        if thread::Builder::new().name("energy".to_owned()).spawn(sample).is_err() {
            *lock(&sums) = Sums { processors: None, gpu: None };
        }
        Self { sums, processor_seconds: processor_seconds(), on_gpu, _sampler: stop }
    }

    fn idle_watts(&self) -> [Option<f64>; 2] {
        let sums = lock(&self.sums);
        [&sums.processors, &sums.gpu].map(|tally| tally.as_ref().map(Tally::idle_watts))
    }

    /// Energy used since the start.
    #[must_use]
    pub fn energy(&self) -> Energy {
        let mut sums = lock(&self.sums);
        sums.read(Instant::now());
        let joules = |tally: &Option<Tally>| tally.as_ref().map(Tally::joules);
        let seconds = processor_seconds() - self.processor_seconds;
        combine(joules(&sums.processors), joules(&sums.gpu), self.on_gpu, seconds)
    }
}

fn lock(sums: &Mutex<Sums>) -> MutexGuard<'_, Sums> {
    sums.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counters have measured, with an estimate for processors without one.
fn combine(processors: Option<f64>, gpu: Option<f64>, on_gpu: bool, processor_seconds: f64) -> Energy {
    let estimate = processor_seconds.max(0.0) * WATTS_PER_CORE;
    let source = match (processors, gpu) {
        (_, None) if on_gpu => EnergySource::Partial,
        (None, _) => EnergySource::Estimated,
        (Some(_), _) => EnergySource::Measured,
    };
    let joules = processors.unwrap_or(estimate) + gpu.unwrap_or(0.0);
    Energy { kwh: Finite::new(joules / JOULES_PER_KWH).unwrap_or_default(), source, co2e_g: None }
}

fn processor_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_a_gpu_without_a_counter_is_partial() {
        let source = |processors, gpu, on_gpu| combine(processors, gpu, on_gpu, 360.0).source;
        assert_eq!(source(Some(1.0), None, true), EnergySource::Partial);
        assert_eq!(source(None, None, true), EnergySource::Partial);
        assert_eq!(source(None, Some(1.0), true), EnergySource::Estimated);
        assert_eq!(source(Some(1.0), Some(1.0), true), EnergySource::Measured);
        assert_eq!(source(Some(1.0), None, false), EnergySource::Measured);
        assert_eq!(source(None, None, false), EnergySource::Estimated);
    }

    #[test]
    fn processors_without_a_counter_are_estimated_and_a_gpu_is_added() {
        let kwh = |processors, gpu, seconds| combine(processors, gpu, true, seconds).kwh.get();
        assert_eq!(kwh(None, None, 360.0), 3600.0 / JOULES_PER_KWH);
        assert_eq!(kwh(Some(7200.0), Some(3600.0), 360.0), 10_800.0 / JOULES_PER_KWH);
        assert_eq!(kwh(None, Some(3600.0), -1.0), 3600.0 / JOULES_PER_KWH, "never negative");
    }

    /// A counter that takes this many watts at first and then these.
    #[derive(Debug)]
    struct Draws(Instant, f64, f64, Duration);

    impl Counter for Draws {
        fn read(&self) -> Option<Vec<u64>> {
            let Self(start, idle, busy, change) = self;
            let gone = start.elapsed();
            let busy = busy * gone.saturating_sub(*change).as_secs_f64();
            Some(vec![((idle * gone.min(*change).as_secs_f64() + busy) * 1e6) as u64])
        }

        fn ranges(&self) -> Vec<u64> {
            vec![u64::MAX]
        }
    }

    #[test]
    fn what_the_machine_draws_without_the_run_is_subtracted() {
        let idle = Duration::from_millis(300);
        let counter = |busy| Box::new(Draws(Instant::now(), 50.0, busy, idle)) as Box<dyn Counter>;
        let busy = EnergyMeter::over(Some(counter(250.0)), None, false, idle);
        let quiet = EnergyMeter::over(Some(counter(10.0)), None, false, idle);
        thread::sleep(Duration::from_millis(300));
        let joules = |meter: &EnergyMeter| meter.energy().kwh.get() * JOULES_PER_KWH;
        // 200 W more than idle for at least 0.3 s: the other meter has waited before, and machines are slow.
        assert!((60.0..600.0).contains(&joules(&busy)), "{}", joules(&busy));
        assert_eq!(joules(&quiet), 0.0, "never negative");
        assert_eq!(quiet.energy().source, EnergySource::Measured);
    }
}
