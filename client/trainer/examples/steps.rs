//! Measures training steps per second on made samples, as the trainer takes them.
//!
//!     cargo run --release -p eosfed-trainer --example steps -- --backbone convnextv2_atto --size 64 --batch 32
//!
//! Prints one JSON line for each combination of the given lists. `phases` are milliseconds of one step,
//! measured apart with the device brought to rest after each phase, so their sum is more than a step takes.

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use eosfed_common::model::{Backbone, ModelSpec, Task, initial_weights, signature};
use eosfed_common::plan::{Precision, Training};
use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device;
use eosfed_trainer::metrics::MetricSpec;
use eosfed_trainer::net::{ComputePrecision, Network};
use eosfed_trainer::parameters::Parameters;
use eosfed_trainer::train::{AdamW, Batches, LoopSettings, LossSettings, TensorDataset, TrainLoop};
use tch::{Cuda, Device, Kind, Tensor};

const BANDS: i64 = 6;
const CLASSES: i64 = 10;
/// Batches in an epoch.
const EPOCH: usize = 4;
/// Steps of which the phases are measured.
const PHASE_STEPS: usize = 5;

/// Measures training steps.
#[derive(Parser)]
struct Arguments {
    /// timm's names, joined by commas.
    #[arg(long, value_delimiter = ',', default_value = "convnextv2_atto")]
    backbone: Vec<String>,
    /// Sides of the images in pixels.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    size: Vec<i64>,
    /// Samples in a step.
    #[arg(long, value_delimiter = ',', default_value = "32")]
    batch: Vec<usize>,
    /// Numbers of convolutions and linear layers.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "full")]
    precision: Vec<Numbers>,
    /// Shortest time of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// On the processor even where there is CUDA.
    #[arg(long)]
    cpu: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Numbers {
    Full,
    Bf16,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let choice = if arguments.cpu { DeviceChoice::Cpu } else { DeviceChoice::Auto };
    let device = device::set_up(choice, None)?;
    for name in &arguments.backbone {
        let backbone: Backbone = serde_json::from_value(name.as_str().into())?;
        for size in &arguments.size {
            for batch in &arguments.batch {
                for numbers in &arguments.precision {
                    let precision = match numbers {
                        Numbers::Full => Precision::Full,
                        Numbers::Bf16 => Precision::Bf16,
                    };
                    println!("{}", measure(backbone, *size, *batch, precision, arguments.seconds, device)?);
                }
            }
        }
    }
    Ok(())
}

/// Waits until the device has done all that was asked of it.
fn rest(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

fn measure(
    backbone: Backbone,
    size: i64,
    batch: usize,
    precision: Precision,
    seconds: f64,
    device: Device,
) -> anyhow::Result<serde_json::Value> {
    let names = |what: &str, count: i64| (0..count).map(|at| format!("{what}{at}")).collect();
    let model = ModelSpec {
        backbone,
        task: Task::Classification,
        bands: names("band", BANDS),
        classes: names("class", CLASSES),
        target: None,
    };
    let samples = (batch * EPOCH) as i64;
    let data = TensorDataset {
        images: Tensor::randn([samples, BANDS, size, size], (Kind::Float, device)),
        labels: Tensor::randint(CLASSES, [samples], (Kind::Int64, device)),
    };
    let parameters = Parameters::new(signature(&model), &initial_weights(&model, 1), device).trainable();
    let network = Network::new(&model, &parameters, 0.0, ComputePrecision::choose(precision, device));
    let forward = |images: &Tensor, train: bool| network.forward(images, train);
    let training = Training::new(1, batch as u32, 1e-4);
    let loss = || LossSettings::of(&training, model.task, CLASSES as usize, &data, device);
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: &data,
        validation: None,
        metrics: MetricSpec::of(&model),
        loss: loss(),
        penalty: None,
        proximal: None,
        settings: LoopSettings::of(&training, [0.0, 1.0], 1),
    };
    let mut optimizer = AdamW::new(&parameters, training.weight_decay, training.clip_norm);
    let mut epoch = |number| train_loop.epoch(number, &mut optimizer, &mut |_, _| (), &|| false);
    epoch(1)?;
    epoch(2)?;
    rest(device);
    let start = Instant::now();
    let mut steps = 0;
    while steps < EPOCH || start.elapsed() < Duration::from_secs_f64(seconds) {
        epoch(3)?;
        steps += EPOCH;
    }
    rest(device);
    let rate = steps as f64 / start.elapsed().as_secs_f64();
    let phases = phases(&train_loop, &mut optimizer, device);
    Ok(serde_json::json!({
        "framework": "eosfed", "device": device::name(device), "backbone": backbone, "size": size, "batch": batch,
        "precision": precision, "steps_per_second": rate, "samples_per_second": rate * batch as f64,
        "phases": phases,
    }))
}

/// Median milliseconds of the phases of a step.
fn phases(train_loop: &TrainLoop<'_>, optimizer: &mut AdamW, device: Device) -> serde_json::Value {
    let mut times: [Vec<f64>; 4] = Default::default();
    for step in 0..PHASE_STEPS {
        let mut batches = Batches::new(
            train_loop.training,
            train_loop.settings.batch_size,
            &train_loop.settings.transforms,
            step as u64,
        );
        let mut clock = Instant::now();
        let mut lap = |phase: usize| {
            rest(device);
            times[phase].push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        let (images, labels) = batches.next().expect("an epoch has a batch");
        lap(0);
        let loss =
            train_loop.loss.loss(&(train_loop.forward)(&images, true), &labels).expect("all is labelled");
        lap(1);
        loss.backward();
        lap(2);
        optimizer.step(train_loop.parameters, 1e-4);
        lap(3);
    }
    let [batch, forward, backward, optimizer] = times.map(|mut list| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    });
    serde_json::json!({ "batch": batch, "forward": forward, "backward": backward, "optimizer": optimizer })
}
