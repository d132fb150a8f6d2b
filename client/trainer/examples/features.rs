//! Measures the features of all specialists of a release for one batch of random images, as heads take them.
//!
//!     cargo run --release -p eosfed-trainer --example features -- --release release --size 224 --batch 8
//!
//! Prints a JSON line with the processor time and the wall time of a batch in milliseconds.

#[path = "../../../bench/processor.rs"]
mod processor;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use eosfed_common::colour::ClassColours;
use eosfed_common::head::{HeadFile, Imagery};
use eosfed_common::model::{BandRule, Composition, DecoderChannels, Method, NamedBand, Task};
use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device;
use eosfed_trainer::ensemble::{EncoderChoice, FeatureExtractor, Release};
use tch::{Device, Kind, Tensor};

/// Measures the features of specialists.
#[derive(Parser)]
struct Arguments {
    /// Folder of a release.
    #[arg(long)]
    release: PathBuf,
    /// Side of the images in pixels.
    #[arg(long, default_value_t = 224)]
    size: i64,
    /// Images in the batch.
    #[arg(long, default_value_t = 8)]
    batch: i64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// Shortest time of the measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let device = device::set_up(DeviceChoice::Cpu, Some(arguments.threads))?;
    let release = Release::open(&arguments.release)?;
    let extractor = FeatureExtractor::load(&release, &head(&release)?, device)?;
    tch::manual_seed(1);
    let shape = [arguments.batch, extractor.bands().len() as i64, arguments.size, arguments.size];
    let images = Tensor::rand(shape, (Kind::Float, Device::Cpu));
    let _ = extractor.features(&images);
    let wall = Instant::now();
    let start = processor::seconds();
    let mut done = 0.0;
    while wall.elapsed() < Duration::from_secs_f64(arguments.seconds) {
        let _ = extractor.features(&images);
        done += 1.0;
    }
    let processor_ms = (processor::seconds() - start) * 1000.0 / done;
    let wall_ms = wall.elapsed().as_secs_f64() * 1000.0 / done;
    println!("{}", serde_json::json!({ "processor_ms": processor_ms, "wall_ms": wall_ms }));
    Ok(())
}

/// A head over all specialists of the release that has learned nothing.
fn head(release: &Release) -> anyhow::Result<HeadFile> {
    let mut names: Vec<String> =
        release.manifest().specialists.iter().flat_map(|card| card.model.bands.clone()).collect();
    names.sort();
    names.dedup();
    let bands: Vec<NamedBand> = names.iter().map(|name| NamedBand::of(name)).collect();
    let (encoders, _) = release.choose(&EncoderChoice::All, &bands, BandRule::ByName, &[])?;
    Ok(HeadFile {
        name: String::new(),
        release: release.manifest().number,
        release_folder: String::new(),
        encoders,
        method: Method::Fusion,
        composition: Composition::default(),
        decoder_channels: DecoderChannels::DEFAULT,
        task: Task::Classification,
        classes: vec!["a".to_owned(), "b".to_owned()],
        class_colours: ClassColours::default(),
        target: None,
        input_size: None,
        antialias: false,
        imagery: Imagery::default(),
        statistics: Vec::new(),
        statistics_from: None,
        samples: 0,
        training: None,
    })
}
