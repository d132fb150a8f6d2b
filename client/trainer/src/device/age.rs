//! How long this process has been running: what comes before its first line of code, such as loading libtorch,
//! counts too.

use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// Seconds since this process was started, to a hundredth; `None` where the system does not say it.
#[must_use]
pub fn process_age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    age(&stat, &uptime, per_second as f64)
}

/// Field 22 of proc_pid_stat(5) is the time of the start in clock ticks since boot. The name, field 2, may hold
/// anything, so counting starts behind its bracket.
fn age(stat: &str, uptime: &str, ticks_per_second: f64) -> Option<Duration> {
    let ticks: f64 = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let now: f64 = uptime.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64((now - ticks / ticks_per_second).max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_counted_from_the_start_of_the_process() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 3 4 0 0 20 0 1 0 1250 9 9 9";
        assert_eq!(age(stat, "20.75 31.00\n", 100.0), Some(Duration::from_millis(8250)));
        assert_eq!(age(stat, "12.49 31.00\n", 100.0), Some(Duration::ZERO));
        assert_eq!(age("7 (a) S 1", "1.0 1.0", 100.0), None);
        let before = process_age().unwrap();
        std::thread::sleep(Duration::from_millis(40));
        assert!(process_age().unwrap() > before);
    }
}
