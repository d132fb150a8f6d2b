//! What a training step does besides its arithmetic: it does not wait for the device, and it does with less
//! memory where there is little.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use eosfed_common::model::Task;
use eosfed_common::plan::{Loss, Training};
use eosfed_common::weights::{Signature, Tensors};
use eosfed_trainer::device::memory::{contained, install};
use eosfed_trainer::device::reading::reads;
use eosfed_trainer::metrics::MetricSpec;
use eosfed_trainer::parameters::Parameters;
use eosfed_trainer::train::{AdamW, LoopSettings, LossSettings, TensorDataset, TrainLoop};
use tch::{Device, Kind, Tensor};

const SAMPLES: i64 = 64;
const BATCH: u32 = 16;

/// Sixty-four samples of four numbers, of which the largest is the class.
fn data() -> TensorDataset {
    tch::manual_seed(7);
    let images = Tensor::randn([SAMPLES, 4, 1, 1], (Kind::Float, Device::Cpu));
    TensorDataset { labels: images.view([SAMPLES, 4]).argmax(1, false), images }
}

/// Trains a linear layer for some epochs, and calls `before` with each batch; gives weights and losses.
fn train(
    batch_size: u32,
    epochs: u32,
    progress: &mut dyn FnMut(u64, f64),
    before: &dyn Fn(&Tensor),
) -> (Tensors, Vec<f64>) {
    let signature = Signature([("w".to_owned(), vec![4, 4]), ("b".to_owned(), vec![4])].into());
    let values = [("w".to_owned(), vec![0.0; 16]), ("b".to_owned(), vec![0.0; 4])].into();
    let parameters = Parameters::new(signature, &values, Device::Cpu).trainable();
    let forward = |images: &Tensor, train: bool| {
        if train {
            before(images);
        }
        images.view([-1, 4]).linear(&parameters.get("w"), Some(&parameters.get("b")))
    };
    let data = data();
    let training = Training { loss: vec![Loss::CrossEntropy], ..Training::new(epochs, batch_size, 0.1) };
    let train_loop = TrainLoop {
        parameters: &parameters,
        forward: &forward,
        training: &data,
        validation: Some(&data),
        test: None,
        metrics: MetricSpec::new(Task::Classification, 4, None),
        loss: LossSettings::of(&training, Task::Classification, 4, &data, Device::Cpu),
        penalty: None,
        proximal: None,
        after_backward: None,
        settings: LoopSettings::of(&training, [0.0, 1.0], 3),
    };
    let mut optimizer = AdamW::new(&parameters, 0.05, 1.0);
    let losses = (1..=epochs)
        .map(|epoch| train_loop.epoch(epoch, &mut optimizer, progress, &|| false).unwrap().loss)
        .collect();
    (parameters.values(), losses)
}

#[test]
fn an_epoch_reads_from_the_device_as_often_as_it_reports_and_not_with_each_step() {
    for batch_size in [SAMPLES as u32, 1] {
        let mut reports = 0;
        let before = reads();
        let (_, losses) = train(batch_size, 3, &mut |_, _| reports += 1, &|_| ());
        // Where the labels are, the losses at the end, and the scores; no more for 64 batches than for one.
        assert_eq!(reads() - before, 3 * 3 + reports, "{batch_size}");
        assert!(losses[2] < losses[0], "{losses:?}");
    }
}

/// The count counts only if nothing goes around the door.
#[test]
fn the_modules_of_a_step_have_no_other_way_to_read() {
    const WAITS: [&str; 9] = [
        ".double_value(",
        ".int64_value(",
        ".masked_select(",
        ".nonzero(",
        "Vec::try_from(",
        "to_vec(&",
        ".is_nonzero(",
        ".equal(",
        "synchronize(",
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = [
        "train/train_loop.rs",
        "train/tally.rs",
        "train/batches.rs",
        "train/labelled.rs",
        "train/shares.rs",
        "train/flat.rs",
        "train/loss/overlap.rs",
        "net/convnext.rs",
        "net/ops.rs",
        "net/pyramid.rs",
        "net/head.rs",
        "net/mod.rs",
        "net/uper.rs",
        "net/classifier.rs",
    ];
    for file in files {
        let text = fs::read_to_string(source.join(file)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let found: Vec<_> = WAITS.iter().filter(|wait| code.contains(**wait)).collect();
        assert!(found.is_empty(), "{file} waits for the device: {found:?}");
    }
    // Of these, only what a step calls.
    for (file, from, to) in [
        ("train/optimizer.rs", "pub fn step(", "/// Forgets"),
        ("train/optimizer.rs", "fn clip_factor(", "/// The learning rate"),
        ("metrics/confusion.rs", "fn sums(", "/// Adds"),
        ("metrics/values.rs", "fn sums(", "/// Adds"),
        ("train/loss/mod.rs", "fn of_labelled(", "/// Weights proportional"),
    ] {
        let text = fs::read_to_string(source.join(file)).unwrap();
        let code = text.split_once(from).unwrap().1.split_once(to).unwrap().0;
        let found: Vec<_> = WAITS.iter().filter(|wait| code.contains(**wait)).collect();
        assert!(found.is_empty(), "{file}, {from} waits for the device: {found:?}");
    }
}

/// Panics as libtorch's binding does when memory ends.
fn memory_for(samples: i64) -> impl Fn(&Tensor) {
    move |images| {
        let size = images.size()[0];
        assert!(
            size <= samples,
            "[enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
             allocate {} bytes. Error code 12 (Cannot allocate memory)",
            size * 16
        );
    }
}

#[test]
fn where_memory_does_not_suffice_for_a_batch_its_parts_add_up_to_the_same_step() {
    install();
    let (whole, losses) = train(BATCH, 2, &mut |_, _| (), &|_| ());
    let tried = RefCell::new(Vec::new());
    let fits = memory_for(5);
    let (parts, in_parts) = train(BATCH, 2, &mut |_, _| (), &|images| {
        tried.borrow_mut().push(images.size()[0]);
        fits(images);
    });
    for (name, values) in &whole {
        for (one, other) in values.iter().zip(&parts[name]) {
            assert!((one - other).abs() < 1e-5, "{name}: {one} {other}");
        }
    }
    assert!(losses.iter().zip(&in_parts).all(|(one, other)| (one - other).abs() < 1e-5));
    // Halved twice in each epoch, and never tried again in it: four batches of four parts.
    let epoch: Vec<i64> = [16, 8].into_iter().chain([4; 16]).collect();
    assert_eq!(*tried.borrow(), epoch.repeat(2));
}

#[test]
fn where_memory_does_not_suffice_for_one_sample_the_training_fails_with_the_numbers() {
    install();
    let failed = contained(|| train(BATCH, 1, &mut |_, _| (), &memory_for(0)));
    let said = failed.unwrap_err().to_string();
    assert!(said.contains("you tried to allocate 16 bytes; use a smaller batch"), "{said}");
}
