//! The counters of processor packages (RAPL), which Linux has as files. Most systems let only root read
//! them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::counter::Counter;

/// Most packages.
const MAX_PACKAGES: usize = 64;
/// Longest number in a file.
const MAX_BYTES: u64 = 32;
/// Names of folders of packages, before their number. Parts of packages have one number more, and count
/// with them.
const PREFIX: &str = "intel-rapl:";

/// All packages of the machine.
#[derive(Debug)]
pub(super) struct Packages {
    counters: Vec<PathBuf>,
    ranges: Vec<u64>,
}

impl Packages {
    /// The packages in this folder. Nothing if there are none, or if one cannot be read: the sum of the
    /// others would be too low.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let mut zones: Vec<PathBuf> =
            fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        zones.retain(|zone| is_package(zone));
        zones.sort();
        if zones.is_empty() || zones.len() > MAX_PACKAGES {
            return None;
        }
        let ranges: Option<Vec<u64>> = zones
            .iter()
            .map(|zone| number(&zone.join("max_energy_range_uj")).filter(|range| *range > 0))
            .collect();
        let counters = zones.iter().map(|zone| zone.join("energy_uj")).collect();
        let found = Self { counters, ranges: ranges? };
        found.read().map(|_| found)
    }
}

impl Counter for Packages {
    fn read(&self) -> Option<Vec<u64>> {
        self.counters.iter().map(|counter| number(counter)).collect()
    }

    fn ranges(&self) -> Vec<u64> {
        self.ranges.clone()
    }
}

/// Whether it is a package, and not a part of one or the whole platform, which would count twice.
fn is_package(zone: &Path) -> bool {
    let name = zone.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix(PREFIX).unwrap_or_default();
    let is_top = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_top && text(&zone.join("name")).is_some_and(|name| name.starts_with("package"))
}

fn text(file: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(file).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn number(file: &Path) -> Option<u64> {
    text(file)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::super::counter::Tally;
    use super::*;

    /// A tree as Linux has it: two packages, a part of the first, and the platform.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let zones = [
            ("intel-rapl:0", "package-0", "1000"),
            ("intel-rapl:0:0", "core", "400"),
            ("intel-rapl:1", "package-1", "70"),
            ("intel-rapl:2", "psys", "9000"),
            ("intel-rapl-mmio:0", "package-0", "1000"),
        ];
        fs::create_dir(folder.path().join("intel-rapl")).unwrap();
        for (zone, name, energy) in zones {
            let zone = folder.path().join(zone);
            fs::create_dir(&zone).unwrap();
            fs::write(zone.join("name"), format!("{name}\n")).unwrap();
            fs::write(zone.join("energy_uj"), format!("{energy}\n")).unwrap();
            fs::write(zone.join("max_energy_range_uj"), "262143328850\n").unwrap();
        }
        folder
    }

    #[test]
    fn packages_are_read_and_nothing_counts_twice() {
        let folder = tree();
        let packages = Packages::find(folder.path()).unwrap();
        assert_eq!(packages.read(), Some(vec![1000, 70]));
        assert_eq!(packages.ranges(), vec![262_143_328_850; 2]);
    }

    #[test]
    fn nothing_is_measured_if_a_package_cannot_be_read() {
        let folder = tree();
        let packages = Packages::find(folder.path()).unwrap();
        fs::remove_file(folder.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(packages.read(), None);
        assert!(Packages::find(folder.path()).is_none());
        for wrong in ["", "-1", "many", "99999999999999999999999999999999999999999"] {
            fs::write(folder.path().join("intel-rapl:1/energy_uj"), wrong).unwrap();
            assert!(Packages::find(folder.path()).is_none(), "{wrong:?}");
        }
        assert!(Packages::find(&folder.path().join("gone")).is_none());
    }

    #[test]
    fn files_that_begin_again_are_counted_on_and_the_idle_machine_is_subtracted() {
        let folder = tree();
        let set = |zone: &str, file: &str, value: u64| {
            fs::write(folder.path().join(zone).join(file), format!("{value}\n")).unwrap();
        };
        for (zone, energy) in [("intel-rapl:0", 90_000_000), ("intel-rapl:1", 0)] {
            set(zone, "max_energy_range_uj", 100_000_000);
            set(zone, "energy_uj", energy);
        }
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let packages = Packages::find(folder.path()).unwrap();
        let tally = Tally::new(Box::new(packages), start).unwrap();
        // The idle machine draws 5 W in 2 s, over the end of the first counter's range.
        set("intel-rapl:0", "energy_uj", 0);
        let mut tally = tally.after_idle(after(2)).unwrap();
        assert_eq!(tally.idle_watts(), 5.0);
        set("intel-rapl:0", "energy_uj", 70_000_000);
        set("intel-rapl:1", "energy_uj", 99_000_000);
        tally.read(after(3)).unwrap();
        set("intel-rapl:1", "energy_uj", 11_000_000);
        tally.read(after(4)).unwrap();
        assert_eq!(tally.joules(), 70.0 + 99.0 + 12.0 - 2.0 * 5.0);
        fs::remove_file(folder.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(tally.read(after(5)), None, "a package that goes away is no measurement any more");
    }

    /// Where the test below has its tree.
    const TREE: &str = "EOSFED_TEST_POWERCAP";

    /// Linux lets only root read the counters. Root runs this in a process of its own, which becomes another user.
    #[test]
    fn counters_that_may_not_be_read_measure_nothing() {
        if let Some(folder) = std::env::var_os(TREE) {
            nix::unistd::setuid(65534.into()).unwrap();
            assert!(Packages::find(Path::new(&folder)).is_none(), "counters of mode 0400 were read");
            return;
        }
        let folder = tree();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let root = nix::unistd::geteuid().is_root();
        for zone in ["intel-rapl:0", "intel-rapl:1"] {
            let counter = folder.path().join(zone).join("energy_uj");
            fs::set_permissions(counter, Permissions::from_mode(if root { 0o400 } else { 0o000 })).unwrap();
        }
        if !root {
            assert!(Packages::find(folder.path()).is_none());
            return;
        }
        let name = "energy::powercap::tests::counters_that_may_not_be_read_measure_nothing";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", name]).env(TREE, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
