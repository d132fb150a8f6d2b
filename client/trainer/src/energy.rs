//! Energy of a training run: the processor's own counter where it may be read, else an estimate from
//! processor time. What a GPU spends is not counted yet, so nothing is known of a run on one: the
//! processor's part alone would be a tenth of the whole.

use std::path::Path;

use eosfed_common::card::{Energy, EnergySource};
use eosfed_common::finite::Finite;
use nix::sys::resource::{UsageWho, getrusage};
use tch::Device;

const COUNTER: &str = "/sys/class/powercap/intel-rapl:0/energy_uj";
/// Assumed power of one busy core with its share of memory, in watts.
const WATTS_PER_CORE: f64 = 10.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// A running measurement.
#[derive(Debug)]
pub struct Meter {
    counter: Option<u64>,
    processor_seconds: f64,
    device: Device,
}

impl Meter {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self { counter: counter(), processor_seconds: processor_seconds(), device: Device::Cpu }
    }

    /// The same once it is known where to compute.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// What was spent since the start.
    #[must_use]
    pub fn spent(&self) -> Energy {
        if self.device != Device::Cpu {
            return Energy::default();
        }
        between(self.counter, counter(), processor_seconds() - self.processor_seconds)
    }
}

/// A counter that is missing or has wrapped around is not believed.
fn between(start: Option<u64>, end: Option<u64>, processor_seconds: f64) -> Energy {
    match (start, end) {
        (Some(start), Some(end)) if end > start => energy((end - start) as f64 / 1e6, EnergySource::Measured),
        _ => energy(processor_seconds.max(0.0) * WATTS_PER_CORE, EnergySource::Estimated),
    }
}

fn energy(joules: f64, source: EnergySource) -> Energy {
    Energy { kwh: Finite::new(joules / JOULES_PER_KWH).unwrap_or_default(), source }
}

fn counter() -> Option<u64> {
    std::fs::read_to_string(Path::new(COUNTER)).ok()?.trim().parse().ok()
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
    fn of_a_run_on_a_gpu_nothing_is_claimed() {
        let spent = Meter::start().on(Device::Cuda(0)).spent();
        assert_eq!(spent, Energy::default());
        assert_ne!(Meter::start().on(Device::Cpu).spent().source, EnergySource::Unavailable);
    }

    #[test]
    fn the_counter_wins_unless_it_has_wrapped() {
        let measured = between(Some(1_000_000), Some(3_601_000_000), 5.0);
        assert_eq!(measured, energy(3600.0, EnergySource::Measured));
        let estimated = between(Some(9), Some(3), 360.0);
        assert_eq!(estimated, energy(3600.0, EnergySource::Estimated));
        assert_eq!(between(None, None, -1.0).kwh, 0.0);
    }
}
