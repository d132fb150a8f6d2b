//! Energy of a training run: from the processor's own counter if it can be read, otherwise estimated
//! from processor time. The energy of a GPU is not counted yet, so that of a run on a GPU is unknown:
//! the processor's part alone would be a tenth of the whole.

use std::path::Path;

use eosfed_common::card::{Energy, EnergySource};
use eosfed_common::finite::Finite;
use nix::sys::resource::{UsageWho, getrusage};
use tch::Device;

/// Counter of the first processor package, in microjoules.
const COUNTER: &str = "/sys/class/powercap/intel-rapl:0/energy_uj";
/// Assumed power of one busy core with its share of memory, in watts.
const WATTS_PER_CORE: f64 = 10.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// A measurement that has started.
#[derive(Debug)]
pub struct EnergyMeter {
    counter: Option<u64>,
    processor_seconds: f64,
    device: Device,
}

impl EnergyMeter {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self { counter: counter(), processor_seconds: processor_seconds(), device: Device::Cpu }
    }

    /// Sets the device of the run, which is known a little later.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Energy used since the start.
    #[must_use]
    pub fn energy(&self) -> Energy {
        if self.device != Device::Cpu {
            return Energy::default();
        }
        between(self.counter, counter(), processor_seconds() - self.processor_seconds)
    }
}

/// Energy between two readings of the counter. If the counter is missing or has wrapped around, the
/// energy is estimated.
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
    fn the_energy_of_a_run_on_a_gpu_is_unknown() {
        let energy = EnergyMeter::start().on(Device::Cuda(0)).energy();
        assert_eq!(energy, Energy::default());
        assert_ne!(EnergyMeter::start().on(Device::Cpu).energy().source, EnergySource::Unavailable);
    }

    #[test]
    fn the_counter_is_used_unless_it_has_wrapped() {
        let measured = between(Some(1_000_000), Some(3_601_000_000), 5.0);
        assert_eq!(measured, energy(3600.0, EnergySource::Measured));
        let estimated = between(Some(9), Some(3), 360.0);
        assert_eq!(estimated, energy(3600.0, EnergySource::Estimated));
        assert_eq!(between(None, None, -1.0).kwh, 0.0);
    }
}
