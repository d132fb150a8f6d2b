//! Counters of energy, and the sum of what they have counted.

use std::fmt;
use std::time::Instant;

/// Counters of a part of the machine, in microjoules. Each begins again at 0 after its range.
pub(super) trait Counter: fmt::Debug + Send {
    /// All of them, or nothing if one cannot be read.
    fn read(&self) -> Option<Vec<u64>>;

    /// The largest value of each.
    fn ranges(&self) -> Vec<u64>;
}

/// The sum of what counters have counted since a moment.
#[derive(Debug)]
pub(super) struct Tally {
    counter: Box<dyn Counter>,
    ranges: Vec<u64>,
    last: Vec<u64>,
    microjoules: u64,
    since: Instant,
    seconds: f64,
    idle_watts: f64,
}

impl Tally {
    /// Begins at `now`; nothing if a counter cannot be read.
    pub(super) fn new(counter: Box<dyn Counter>, now: Instant) -> Option<Self> {
        let last = counter.read()?;
        let ranges = counter.ranges();
        Some(Self { counter, ranges, last, microjoules: 0, since: now, seconds: 0.0, idle_watts: 0.0 })
    }

    /// Adds what was counted since the last reading.
    pub(super) fn read(&mut self, now: Instant) -> Option<()> {
        let found = self.counter.read().filter(|found| found.len() == self.last.len())?;
        let all = self.last.iter().zip(&found).zip(&self.ranges);
        let counted = all.map(|((before, now), range)| counted(*before, *now, *range));
        self.microjoules = counted.fold(self.microjoules, u64::saturating_add);
        self.last = found;
        self.seconds = now.saturating_duration_since(self.since).as_secs_f64();
        Some(())
    }

    /// Takes what was counted until now as that of the idle machine, and begins again.
    pub(super) fn after_idle(mut self, now: Instant) -> Option<Self> {
        self.read(now)?;
        let watts = if self.seconds > 0.0 { self.microjoules as f64 / 1e6 / self.seconds } else { 0.0 };
        Some(Self { idle_watts: watts, microjoules: 0, since: now, seconds: 0.0, ..self })
    }

    /// Joules beyond those of the idle machine; never negative.
    pub(super) fn joules(&self) -> f64 {
        (self.microjoules as f64 / 1e6 - self.idle_watts * self.seconds).max(0.0)
    }

    /// The power of the idle machine.
    pub(super) const fn idle_watts(&self) -> f64 {
        self.idle_watts
    }
}

/// What a counter has counted between two readings, between which it has begun again at most once.
const fn counted(before: u64, now: u64, range: u64) -> u64 {
    if now >= before { now - before } else { range.saturating_sub(before).saturating_add(now) }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    /// Counters whose readings a test sets; none if one cannot be read.
    #[derive(Debug, Clone)]
    struct Set(Arc<Mutex<Option<Vec<u64>>>>);

    impl Counter for Set {
        fn read(&self) -> Option<Vec<u64>> {
            self.0.lock().unwrap().clone()
        }

        fn ranges(&self) -> Vec<u64> {
            vec![1_000_000_000, 500]
        }
    }

    #[test]
    fn two_counters_add_up_also_when_one_begins_again() {
        let set = Set(Arc::new(Mutex::new(Some(vec![999_000_000, 100]))));
        let start = Instant::now();
        let mut tally = Tally::new(Box::new(set.clone()), start).unwrap();
        let mut read = |values: Option<[u64; 2]>, seconds| {
            *set.0.lock().unwrap() = values.map(Vec::from);
            tally.read(start + Duration::from_secs(seconds)).map(|()| tally.joules())
        };
        assert_eq!(read(Some([999_500_000, 100]), 1), Some(0.5));
        assert_eq!(read(Some([250_000, 100]), 2), Some(1.25), "0.5 up to its range, then 0.25");
        assert_eq!(read(Some([250_000, 50]), 3), Some(1.25 + 450e-6));
        assert_eq!(read(None, 4), None, "unreadable");
    }

    #[test]
    fn the_power_of_the_idle_machine_is_subtracted_for_the_whole_time() {
        let set = Set(Arc::new(Mutex::new(Some(vec![0, 0]))));
        let start = Instant::now();
        let tally = Tally::new(Box::new(set.clone()), start).unwrap();
        *set.0.lock().unwrap() = Some(vec![20_000_000, 0]);
        let mut tally = tally.after_idle(start + Duration::from_secs(2)).unwrap();
        assert_eq!(tally.idle_watts(), 10.0);
        *set.0.lock().unwrap() = Some(vec![120_000_000, 0]);
        tally.read(start + Duration::from_secs(6)).unwrap();
        assert_eq!(tally.joules(), 60.0, "100 J in 4 s, of which the idle machine takes 40 J");
        tally.read(start + Duration::from_secs(60)).unwrap();
        assert_eq!(tally.joules(), 0.0, "never negative");
    }
}
