//! Measures how fast imagery is read: whole tiles of a folder, or windows of one large file.
//!
//!     cargo run --release -p eosfed-data --example reading -- tiles FOLDER SECONDS
//!     cargo run --release -p eosfed-data --example reading -- windows FILE SIDE CORNERS SECONDS
//!     cargo run --release -p eosfed-data --example reading -- pixels FOLDER < NAMES
//!
//! CORNERS is a file with the left and top pixel of one window in each line. What it is asked for is read
//! again and again until the seconds have passed; the large file is opened anew each time. Prints one JSON
//! line: processor time and wall time of one tile or window in microseconds, and the sum of all pixels of
//! the first time through, with which another reader is held to have read the same.
//!
//! `pixels` reads each file that a line of NAMES names, as a map of classes, so that palettes are read too. It writes
//! the values into FOLDER, as 32-bit floats in the order band, row, column, and prints one JSON line for each file.

#[path = "../../../bench/processor.rs"]
mod processor;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use eosfed_data::{GeoTiff, Limits, Raster, read_labels, read_raster};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tiles", folder, seconds] => {
            let files = tiles(Path::new(folder))?;
            repeat(seconds.parse()?, || read_tiles(&files))
        }
        ["windows", file, side, corners, seconds] => {
            let corners = read_corners(Path::new(corners))?;
            let side = side.parse()?;
            repeat(seconds.parse()?, || read_windows(Path::new(file), side, &corners))
        }
        ["pixels", folder] => write_pixels(Path::new(folder)),
        _ => bail!(
            "use: reading tiles FOLDER SECONDS | reading windows FILE SIDE CORNERS SECONDS | reading pixels FOLDER"
        ),
    }
}

fn write_pixels(folder: &Path) -> anyhow::Result<()> {
    for (at, name) in std::io::stdin().lines().enumerate() {
        let row = match read_labels(Path::new(&name?), &Limits::default()) {
            Ok(Raster { width, height, bands, data, .. }) => {
                let path = folder.join(format!("{at}.f32"));
                std::fs::write(&path, data.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
                serde_json::json!({ "shape": [bands, height, width], "pixels": path })
            }
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        println!("{row}");
    }
    Ok(())
}

/// What one time through has read.
struct Read {
    count: usize,
    sum: f64,
}

fn repeat(seconds: f64, mut once: impl FnMut() -> anyhow::Result<Read>) -> anyhow::Result<()> {
    let first = once()?;
    let start = Instant::now();
    let before = processor::seconds();
    let mut count = 0;
    while count == 0 || start.elapsed() < Duration::from_secs_f64(seconds) {
        count += once()?.count;
    }
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let row = serde_json::json!({
        "reader": "eosfed", "processor_us": each(processor::seconds() - before), "wall_us": each(start.elapsed().as_secs_f64()),
        "count": first.count, "sum": first.sum,
    });
    println!("{row}");
    Ok(())
}

/// The GeoTIFFs of a folder by name.
fn tiles(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "tif"));
    files.sort();
    Ok(files)
}

fn read_tiles(files: &[PathBuf]) -> anyhow::Result<Read> {
    let limits = Limits::default();
    let mut sum = 0.0;
    for file in files {
        sum += added(&read_raster(file, &limits)?.data);
    }
    Ok(Read { count: files.len(), sum })
}

fn read_corners(file: &Path) -> anyhow::Result<Vec<(usize, usize)>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let corner = |line: &str| {
        let (left, top) = line.split_once(' ').context("a line has the left and top pixel of a window")?;
        Ok((left.parse()?, top.parse()?))
    };
    text.lines().map(corner).collect()
}

fn read_windows(file: &Path, side: usize, corners: &[(usize, usize)]) -> anyhow::Result<Read> {
    let mut image = GeoTiff::open(file, &Limits::default())?;
    let mut sum = 0.0;
    for (left, top) in corners {
        sum += added(&image.window(*left, *top, side, side)?);
    }
    Ok(Read { count: corners.len(), sum })
}

/// The sum in 64 bits.
fn added(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum()
}
