//! The process: processor time, memory, open files. What the system does not say has no value.

use std::fmt;
use std::fs;

use eosfed_common::clock::Timestamp;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use super::single;
use crate::metrics::{Observer, Scrape, table};

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started: Timestamp,
}

impl Observer for Process {
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.counter(&table::PROCESS_CPU, value(cpu_seconds()))?;
        scrape.gauge(&table::PROCESS_MEMORY, value(resident_bytes()))?;
        scrape.gauge(&table::PROCESS_OPEN_FILES, value(open_files()))?;
        let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64);
        scrape.gauge(&table::PROCESS_MAX_FILES, value(limit))?;
        scrape.gauge(&table::PROCESS_START, single(self.started.0 as f64 / 1000.0))
    }
}

fn value(value: Option<f64>) -> Option<([String; 0], f64)> {
    value.map(|value| ([], value))
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6);
    Some(seconds.iter().sum())
}

fn resident_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages as f64 * page as f64)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        assert!(resident_bytes().unwrap() > 1e5 && open_files().unwrap() >= 3.0);
        let before = cpu_seconds().unwrap();
        let spent = (0..30_000_000_u64).fold(1, |sum: u64, n| std::hint::black_box(sum.wrapping_mul(n | 1)));
        assert!(cpu_seconds().unwrap() > before, "{spent}");
    }
}
