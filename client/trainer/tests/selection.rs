//! The learned selection of encoders. Two of eight encoders together determine which of four classes an
//! image has; the others give noise. A top-2 selection must find the two.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeSet;
use std::sync::Mutex;

use eosfed_common::model::{
    Composition, DecoderChannels, Fusion, MapDims, Selection, Task, head_signature, initial_tensors,
};
use eosfed_common::plan::Loss;
use eosfed_common::weights::Signature;
use eosfed_trainer::metrics::MetricSpec;
use eosfed_trainer::net::{Composer, ComputePrecision, Head, Maps, StepCounter};
use eosfed_trainer::parameters::Parameters;
use eosfed_trainer::train::{
    AdamW, LoopSettings, LossSettings, MixSettings, TensorDataset, TrainLoop, Transforms,
};
use tch::{Device, Kind, Tensor};

const ENCODERS: usize = 8;
const CHANNELS: usize = 6;
const SAMPLES: i64 = 240;
const DIMS: MapDims = [CHANNELS; 4];
const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The process has one random generator of libtorch, so tests that need a seed run one at a time.
static GENERATOR: Mutex<()> = Mutex::new(());

struct World {
    /// The two encoders that carry information.
    helpful: BTreeSet<usize>,
    maps: Vec<Maps>,
    data: TensorDataset,
}

/// Maps `[N, C, 2, 2]` at every level. Each helpful encoder adds one bit of the class along a direction of
/// its own; at a single position the signal is weaker than the noise.
fn world(seed: u64) -> World {
    tch::manual_seed(seed as i64);
    let first = (seed % 8) as usize;
    let helpful = BTreeSet::from([first, (first + 1 + seed as usize % 5) % 8]);
    let labels = Tensor::randint(4, [SAMPLES], (Kind::Int64, Device::Cpu));
    let bits = [labels.remainder(2), labels.floor_divide_scalar(2)];
    let mut bits = bits.iter();
    let maps = (0..ENCODERS).map(|encoder| {
        let signal = if helpful.contains(&encoder) {
            let sign = bits.next().unwrap().to_kind(Kind::Float) * 2.0 - 1.0;
            Tensor::randn([1, CHANNELS as i64, 1, 1], FLOAT).sign() * sign.view([SAMPLES, 1, 1, 1]) * 0.8
        } else {
            Tensor::zeros([1, 1, 1, 1], FLOAT)
        };
        [(); 4].map(|()| Tensor::randn([SAMPLES, CHANNELS as i64, 2, 2], FLOAT) + &signal)
    });
    let maps = maps.collect();
    let images = Tensor::arange(SAMPLES, (Kind::Int64, Device::Cpu)).unsqueeze(1);
    World { helpful, maps, data: TensorDataset { images, labels } }
}

/// The weights of all encoders after a training.
fn learned(world: &World, selection: Selection, seed: u64) -> Vec<f32> {
    let composition =
        Composition { selection, fusion: Fusion::Conv1x1 { multiple: 2 }, ..Composition::default() };
    let encoders = [DIMS; ENCODERS];
    let mut tensors = composition.signature(&encoders).0;
    tensors.extend(
        head_signature(
            Task::Classification,
            &composition.output_dims(&encoders),
            4,
            DecoderChannels::DEFAULT,
        )
        .0,
    );
    let signature = Signature(tensors);
    let parameters =
        Parameters::new(signature.clone(), &initial_tensors(&signature, seed), Device::Cpu).trainable();
    let epochs = 25;
    let composer =
        Composer::new(composition, &encoders, &parameters, StepCounter { done: 0, total: epochs * 15 });
    let head = Head::new(Task::Classification, &parameters, ComputePrecision::FULL);
    let forward = |picked: &Tensor, train: bool| {
        let picked = picked.view([-1]);
        let part: Vec<Maps> = world
            .maps
            .iter()
            .map(|maps| [0, 1, 2, 3].map(|level: usize| maps[level].index_select(0, &picked)))
            .collect();
        head.forward(&composer.forward(&part, train))
    };
    let penalty = || composer.penalty().unwrap();
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: &world.data,
        validation: None,
        test: None,
        metrics: MetricSpec::new(Task::Classification, 4, None),
        loss: LossSettings {
            task: Task::Classification,
            terms: vec![Loss::CrossEntropy],
            class_weights: None,
            label_smoothing: 0.0,
        },
        penalty: composer.penalty().is_some().then_some(&penalty as &dyn Fn() -> Tensor),
        proximal: None,
        after_backward: None,
        settings: LoopSettings {
            epochs: epochs as u32,
            batch_size: 16,
            accumulate: 1,
            learning_rate: 3e-3,
            warmup: 0.05,
            schedule: [0.0, 1.0],
            transforms: Transforms::default(),
            mix: MixSettings::default(),
            seed,
        },
    };
    let mut optimizer = AdamW::new(&parameters, 0.05, 1.0)
        .with_rate_factors(&|name| if name.starts_with("select.") { 30.0 } else { 1.0 });
    for epoch in 1..=epochs as u32 {
        train_loop.epoch(epoch, &mut optimizer, &mut |_, _| (), &|| false).unwrap();
    }
    composer.weights(ENCODERS)
}

fn largest(weights: &[f32]) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    order.into_iter().take(2).collect()
}

#[test]
fn a_top_2_selection_finds_the_two_helpful_encoders() {
    let _alone = GENERATOR.lock().unwrap();
    tch::set_num_threads(1);
    let seeds: u64 = std::env::var("SEEDS").map_or(5, |seeds| seeds.parse().unwrap());
    for scale in [false, true] {
        let mut found = 0;
        for seed in 0..seeds {
            let world = world(seed);
            let weights = learned(&world, Selection::TopK { k: 2, scale }, seed);
            assert_eq!(weights.iter().filter(|weight| **weight != 0.0).count(), 2, "{weights:?}");
            found += u64::from(largest(&weights) == world.helpful);
            println!("seed {seed}: {:?} of {:?}: {weights:?}", world.helpful, largest(&weights));
        }
        println!("scale {scale}: {found} of {seeds}");
        // By chance one in 28 would be right.
        assert!(found >= seeds * 8 / 10, "scale {scale}: {found} of {seeds}");
    }
}

#[test]
fn a_smooth_selection_reduces_the_weights_of_the_others() {
    let _alone = GENERATOR.lock().unwrap();
    tch::set_num_threads(1);
    for seed in 0..3 {
        let world = world(seed);
        let weights = learned(&world, Selection::Smooth { penalty: 0.2, scale: false }, seed);
        println!("seed {seed}: {:?}: {weights:?}", world.helpful);
        assert_eq!(largest(&weights), world.helpful, "{weights:?}");
        let least = world.helpful.iter().map(|at| weights[*at]).fold(f32::MAX, f32::min);
        let others = (0..ENCODERS).filter(|at| !world.helpful.contains(at));
        assert!(others.into_iter().all(|at| weights[at] < least / 2.0), "{weights:?}");
    }
}
