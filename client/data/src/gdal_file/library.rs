//! The library of GDAL in this process: prepared once, with the drivers that are needed and no others.

use std::cell::RefCell;
use std::sync::OnceLock;

use gdal::config::{set_config_option, set_error_handler};
use gdal::errors::{CplErrType, GdalError};
use gdal::{DriverManager, version_info};

use super::kinds::{KINDS, VECTORS};

/// Options of the library. They are stronger than variables of the environment.
const OPTIONS: [(&str, &str); 10] = [
    // Drivers come with the library, not from a folder that a variable names.
    ("GDAL_DRIVER_PATH", "disable"),
    // What lies beside a file does not change its numbers or its place; what would is refused before.
    ("GDAL_PAM_ENABLED", "NO"),
    ("GDAL_GEOREF_SOURCES", "INTERNAL"),
    ("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"),
    // No code from files, and no network: names that lead there are refused before.
    ("GDAL_VRT_ENABLE_PYTHON", "NO"),
    ("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".none"),
    // A file that is opened by one thread may be read by another.
    ("VRT_SHARED_SOURCE", "0"),
    // Threads are this program's, and what the library says is heard in the thread that has called it.
    ("GDAL_NUM_THREADS", "1"),
    // Decoded blocks of all files together, in MiB.
    ("GDAL_CACHEMAX", "256"),
    // The oldest files of a VRT are closed beyond this number.
    ("GDAL_MAX_DATASET_POOL_SIZE", "64"),
];

/// The driver of the files of a VRT. It also gives a georeference the form that it has in a GeoTIFF.
pub(super) const GEOTIFF: &str = "GTiff";

/// Most sentences that are kept of one call, and most letters of one.
const MOST_SENTENCES: usize = 8;
const MOST_LETTERS: usize = 300;

thread_local! {
    /// What the library has said in this thread since the last call began.
    static SAID: RefCell<Vec<Said>> = const { RefCell::new(Vec::new()) };
}

struct Said {
    /// Whether it is an error and not a warning.
    failure: bool,
    sentence: String,
}

/// Prepares the library once.
///
/// # Errors
/// If an option cannot be set.
pub(super) fn prepare() -> Result<(), String> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    PREPARED.get_or_init(first_preparation).clone()
}

fn first_preparation() -> Result<(), String> {
    for (key, value) in OPTIONS {
        set_config_option(key, value)
            .map_err(|error| format!("GDAL's option {key} cannot be set: {error}"))?;
    }
    set_error_handler(hear);
    DriverManager::prevent_auto_registration();
    DriverManager::register_all();
    let wanted = |name: &str| {
        let of_images = KINDS.iter().any(|fact| fact.drivers.contains(&name));
        name == GEOTIFF || of_images || VECTORS.iter().any(|fact| fact.driver == name)
    };
    for index in (0..DriverManager::count()).rev() {
        let driver = DriverManager::get_driver(index).map_err(|error| error.to_string())?;
        if !wanted(&driver.short_name()) {
            DriverManager::deregister_driver(&driver);
        }
    }
    Ok(())
}

fn hear(kind: CplErrType, _: i32, sentence: &str) {
    let failure = match kind {
        CplErrType::None | CplErrType::Debug => return,
        CplErrType::Warning => false,
        CplErrType::Failure | CplErrType::Fatal => true,
    };
    SAID.with_borrow_mut(|said| {
        if said.len() < MOST_SENTENCES {
            let sentence = sentence.trim().chars().take(MOST_LETTERS).collect::<String>();
            said.push(Said { failure, sentence: sentence.escape_debug().to_string() });
        }
    });
}

/// Calls the library. An error that it reports and passes over is one here.
///
/// # Errors
/// With its own words.
pub(super) fn call<T>(work: impl FnOnce() -> Result<T, GdalError>) -> Result<T, String> {
    heard(work, |said| said.failure)
}

/// Calls the library for pixels. A warning is an error here: it goes on with other numbers after one.
///
/// # Errors
/// With its own words.
pub(super) fn call_for_pixels<T>(work: impl FnOnce() -> Result<T, GdalError>) -> Result<T, String> {
    heard(work, |_| true)
}

fn heard<T>(
    work: impl FnOnce() -> Result<T, GdalError>,
    counts: impl Fn(&Said) -> bool,
) -> Result<T, String> {
    SAID.with_borrow_mut(Vec::clear);
    let result = work();
    let said = SAID.take();
    let wrong: Vec<String> = said.into_iter().filter(counts).map(|said| said.sentence).collect();
    match result {
        Ok(value) if wrong.is_empty() => Ok(value),
        Err(error) if wrong.is_empty() => Err(format!("GDAL says: {error}")),
        _ => Err(format!("GDAL says: {}", wrong.join("; "))),
    }
}

/// The version of the library.
pub(super) fn version() -> String {
    version_info("RELEASE_NAME")
}

/// Why a driver cannot be used; `None` if it is there.
pub(super) fn lacking(driver: &str) -> Option<String> {
    if let Err(reason) = prepare() {
        return Some(reason);
    }
    let there = DriverManager::get_driver_by_name(driver).is_ok();
    (!there).then(|| format!("with a GDAL that has the driver {driver}, which that of this machine lacks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drivers_of_the_table_are_there() {
        prepare().unwrap();
        let mut names: Vec<String> = DriverManager::all().map(|driver| driver.short_name()).collect();
        names.sort();
        let known = KINDS.iter().flat_map(|fact| fact.drivers.iter().copied()).chain([GEOTIFF]);
        let known = known.chain(VECTORS.iter().map(|fact| fact.driver));
        let mut wanted: Vec<&str> = known.filter(|name| lacking(name).is_none()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(names, wanted);
        assert!(lacking("WMS").unwrap().contains("lacks"), "a driver of the network");
    }

    #[test]
    fn what_the_library_says_counts_by_what_it_is_called_for() {
        let warned = || {
            hear(CplErrType::Warning, 1, "  odd\n");
            Ok(1)
        };
        assert_eq!(call(warned), Ok(1));
        assert_eq!(call_for_pixels(warned), Err("GDAL says: odd".to_owned()));
        let failed = || {
            hear(CplErrType::Failure, 1, &"x".repeat(1000));
            Ok(1)
        };
        assert_eq!(call(failed).unwrap_err().len(), "GDAL says: ".len() + MOST_LETTERS);
        assert_eq!(call(|| Ok(2)), Ok(2), "what was said before is forgotten");
    }
}
