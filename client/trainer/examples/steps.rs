//! Measures training steps per second on made samples, as the trainer takes them.
//!
//!     cargo run --release -p eosfed-trainer --example steps -- --backbone convnextv2_atto --size 64 --batch 32
//!
//! Prints one JSON line for each combination of the given lists. `phases` are milliseconds of one step,
//! measured apart with the device brought to rest after each phase, so their sum is more than a step takes.
//! `host_ms` is the time in which a step is handed to the device, of `step_ms` until it is done: where they
//! are alike, starting kernels is what takes the time. `--agree` compares a step with the processor's instead:
//! the norm of the difference over the norm, of outputs, loss and gradient.

#[path = "../../../bench/processor.rs"]
mod processor;

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use eosfed_common::model::{Backbone, ModelSpec, Task, initial_weights, signature};
use eosfed_common::plan::{Precision, Training};
use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device;
use eosfed_trainer::metrics::MetricSpec;
use eosfed_trainer::net::{ComputePrecision, Network};
use eosfed_trainer::parameters::Parameters;
use eosfed_trainer::train::{AdamW, Batch, Batches, LoopSettings, LossSettings, TensorDataset, TrainLoop};
use tch::{Cuda, Device, Kind, Tensor};

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
    /// Bands of the images.
    #[arg(long, default_value_t = 6)]
    bands: i64,
    /// Threads; absent: one for each processor.
    #[arg(long)]
    threads: Option<u32>,
    /// Shortest time of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Compares outputs, loss and gradient with the processor's, and measures nothing.
    #[arg(long)]
    agree: bool,
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
    let device = device::set_up(choice, arguments.threads)?;
    for name in &arguments.backbone {
        let backbone: Backbone = serde_json::from_value(name.as_str().into())?;
        for size in &arguments.size {
            for batch in &arguments.batch {
                for numbers in &arguments.precision {
                    let precision = match numbers {
                        Numbers::Full => Precision::Full,
                        Numbers::Bf16 => Precision::Bf16,
                    };
                    let case =
                        Case { backbone, bands: arguments.bands, size: *size, batch: *batch, precision };
                    let row = if arguments.agree {
                        agree(&case, device)
                    } else {
                        measure(&case, arguments.seconds, device)?
                    };
                    println!("{row}");
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

/// What is measured.
struct Case {
    backbone: Backbone,
    bands: i64,
    size: i64,
    batch: usize,
    precision: Precision,
}

/// The network of a case.
fn model(case: &Case) -> ModelSpec {
    let names = |what: &str, count: i64| (0..count).map(|at| format!("{what}{at}")).collect();
    ModelSpec {
        backbone: case.backbone,
        task: Task::Classification,
        bands: names("band", case.bands),
        classes: names("class", CLASSES),
        target: None,
    }
}

/// Outputs, loss and the gradient of all parameters for the same samples on a device.
fn outcome(case: &Case, images: &Tensor, labels: &Tensor, device: Device) -> [Tensor; 3] {
    let model = model(case);
    let parameters = Parameters::new(signature(&model), &initial_weights(&model, 1), device).trainable();
    let network = Network::new(&model, &parameters, 0.0, ComputePrecision::choose(case.precision, device));
    let outputs = network.forward(&images.to_device(device), true);
    let loss = outputs.cross_entropy_for_logits(&labels.to_device(device));
    loss.backward();
    let gradients: Vec<Tensor> = parameters.iter().map(|(_, tensor)| tensor.grad().reshape([-1])).collect();
    [outputs, loss, Tensor::cat(&gradients, 0)]
        .map(|tensor| tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double))
}

/// How far a step on the device is from one on the processor.
fn agree(case: &Case, device: Device) -> serde_json::Value {
    tch::manual_seed(11);
    let samples = case.batch as i64;
    let images = Tensor::randn([samples, case.bands, case.size, case.size], (Kind::Float, Device::Cpu));
    let labels = Tensor::randint(CLASSES, [samples], (Kind::Int64, Device::Cpu));
    let exact = outcome(case, &images, &labels, Device::Cpu);
    let found = outcome(case, &images, &labels, device);
    let apart = |at: usize| ((&found[at] - &exact[at]).norm() / exact[at].norm()).double_value(&[]);
    serde_json::json!({
        "device": device::name(device), "backbone": case.backbone, "size": case.size, "batch": case.batch,
        "precision": case.precision, "outputs": apart(0), "loss": apart(1), "gradient": apart(2),
    })
}

fn measure(case: &Case, seconds: f64, device: Device) -> anyhow::Result<serde_json::Value> {
    let &Case { backbone, bands, size, batch, precision } = case;
    let model = model(case);
    let samples = (batch * EPOCH) as i64;
    let data = TensorDataset {
        images: Tensor::randn([samples, bands, size, size], (Kind::Float, device)),
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
        test: None,
        metrics: MetricSpec::of(&model),
        loss: loss(),
        penalty: None,
        proximal: None,
        after_backward: None,
        settings: LoopSettings::of(&training, [0.0, 1.0], 1),
    };
    let mut optimizer = AdamW::new(&parameters, training.weight_decay, training.clip_norm);
    let mut epoch = |number| train_loop.epoch(number, &mut optimizer, &mut |_, _| (), &|| false);
    epoch(1)?;
    epoch(2)?;
    rest(device);
    let start = Instant::now();
    let processor = processor::seconds();
    let mut steps = 0;
    while steps < EPOCH || start.elapsed() < Duration::from_secs_f64(seconds) {
        epoch(3)?;
        steps += EPOCH;
    }
    rest(device);
    let rate = steps as f64 / start.elapsed().as_secs_f64();
    let processor = (processor::seconds() - processor) * 1e3 / steps as f64;
    let (host, step) = handed_over(&data, &train_loop, &mut optimizer, device);
    let phases = phases(&data, &train_loop, &mut optimizer, device);
    Ok(serde_json::json!({
        "framework": "eosfed", "device": device::name(device), "backbone": backbone, "size": size, "batch": batch,
        "precision": precision, "bands": bands, "steps_per_second": rate, "processor_ms": processor, "samples_per_second": rate * batch as f64,
        "host_ms": host, "step_ms": step, "phases": phases,
    }))
}

/// The middle one.
fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// Median milliseconds until a step is handed to the device, and until it is done.
fn handed_over(
    data: &TensorDataset,
    train_loop: &TrainLoop<'_>,
    optimizer: &mut AdamW,
    device: Device,
) -> (f64, f64) {
    let mut times: [Vec<f64>; 2] = Default::default();
    for step in 0..PHASE_STEPS {
        let settings = &train_loop.settings;
        let mut batches = Batches::new(data, settings.batch_size, &settings.transforms, step as u64);
        rest(device);
        let start = Instant::now();
        let Batch { images, labels, .. } = batches.next().expect("an epoch has a batch");
        (train_loop.forward)(&images, true).cross_entropy_for_logits(&labels).backward();
        optimizer.step(1e-4);
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        rest(device);
        times[1].push(start.elapsed().as_secs_f64() * 1e3);
    }
    let [host, done] = times;
    (median(host), median(done))
}

/// Median milliseconds of the phases of a step.
fn phases(
    data: &TensorDataset,
    train_loop: &TrainLoop<'_>,
    optimizer: &mut AdamW,
    device: Device,
) -> serde_json::Value {
    let mut times: [Vec<f64>; 4] = Default::default();
    for step in 0..PHASE_STEPS {
        let mut batches =
            Batches::new(data, train_loop.settings.batch_size, &train_loop.settings.transforms, step as u64);
        let mut clock = Instant::now();
        let mut lap = |phase: usize| {
            rest(device);
            times[phase].push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        let Batch { images, labels, .. } = batches.next().expect("an epoch has a batch");
        lap(0);
        let loss =
            train_loop.loss.loss(&(train_loop.forward)(&images, true), &labels).expect("all is labelled");
        lap(1);
        loss.backward();
        lap(2);
        optimizer.step(1e-4);
        lap(3);
    }
    let [batch, forward, backward, optimizer] = times.map(median);
    serde_json::json!({ "batch": batch, "forward": forward, "backward": backward, "optimizer": optimizer })
}
