//! A training step on several threads of a processor, each of which takes a share of a batch's samples through a
//! network of its own. The threads wait for one another twice in a step. Where all of them compute each layer of
//! one network together, as libtorch does it by itself, they wait several hundred times, and so longer than the
//! small layers take.
//!
//! The networks have the same parameters in the same memory; each thread adds gradients in a buffer of its own. The loss is
//! computed of all outputs together, so it does not depend on the number of threads, and gradients are
//! added in the order of the shares. So equal numbers of threads give equal bytes.

use std::any::Any;
use std::cell::RefCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tch::{Kind, Tensor};

use super::optimizer::AdamW;
use crate::net::Network;
use crate::parameters::Parameters;

/// Most bytes of all threads' gradients together.
const MOST_BYTES: usize = 256 << 20;

/// What a thread is to do.
enum Work {
    /// Outputs of these images; in training, what their gradient needs is kept.
    Forward(Tensor, bool),
    /// Adds the gradient of the parameters, for this one of the outputs.
    Backward(Tensor),
}

/// The outputs, or the panic of the thread.
type Done = Result<Option<Tensor>, Box<dyn Any + Send>>;

/// A thread with its own network.
struct Worker {
    work: Option<Sender<Work>>,
    done: Receiver<Done>,
    gradients: Tensor,
    thread: Option<JoinHandle<()>>,
}

/// Outputs that a loss is being computed of.
struct Pending {
    /// Those of this thread, from which their gradient can be computed.
    own: Tensor,
    /// Those of all shares, of which the loss is.
    all: Tensor,
    shares: Vec<Range<i64>>,
}

/// A network that this thread and others compute together, each a share of the samples.
pub(super) struct Shares<'a> {
    network: &'a Network,
    /// The gradient of the optimiser.
    gradients: Tensor,
    workers: Vec<Worker>,
    pending: RefCell<Option<Pending>>,
    /// libtorch's threads before.
    threads: i32,
}

impl<'a> Shares<'a> {
    /// As many threads as libtorch has been told, and at most `most`, or fewer where their gradients would take
    /// much memory. `build` makes a network over parameters.
    pub(super) fn new(
        network: &'a Network,
        parameters: &Parameters,
        optimizer: &AdamW,
        most: usize,
        build: &dyn Fn(&Parameters) -> Network,
    ) -> Self {
        let threads = tch::get_num_threads();
        let bytes = 4 * parameters.signature().parameters();
        let shares = (threads as usize).min(most).min(MOST_BYTES / bytes.max(1) + 1).max(1);
        let each = threads / shares as i32;
        let workers = (1..shares).map(|_| {
            let (parameters, gradients) = optimizer.replica(parameters.signature());
            Worker::start(build(&parameters), gradients, each)
        });
        let workers = workers.collect();
        if shares > 1 {
            tch::set_num_threads(each);
        }
        let gradients = optimizer.gradients();
        Self { network, gradients, workers, pending: RefCell::new(None), threads }
    }

    /// Outputs of images.
    pub(super) fn forward(&self, images: &Tensor, train: bool) -> Tensor {
        if self.workers.is_empty() {
            return self.network.forward(images, train);
        }
        let shares = shares(images.size()[0], self.workers.len() + 1);
        let part = |range: &Range<i64>| images.narrow(0, range.start, range.end - range.start);
        self.ask(&shares, |range| Work::Forward(part(range), train));
        let own = catch_unwind(AssertUnwindSafe(|| self.network.forward(&part(&shares[0]), train)));
        let (own, others) = self.gather(&shares, own);
        let all: Vec<Tensor> = std::iter::once(own.detach()).chain(others).collect();
        let all = Tensor::cat(&all, 0);
        if !train {
            return all;
        }
        let all = all.set_requires_grad(true);
        *self.pending.borrow_mut() = Some(Pending { own, all: all.shallow_clone(), shares });
        all
    }

    /// Takes the gradient of the loss from the outputs to the parameters. Call it after the loss's own.
    pub(super) fn backward(&self) {
        let Some(Pending { own, all, shares }) = self.pending.take() else { return };
        let gradient = all.grad();
        let part = |range: &Range<i64>| gradient.narrow(0, range.start, range.end - range.start);
        self.ask(&shares, |range| Work::Backward(part(range)));
        let own = catch_unwind(AssertUnwindSafe(|| along(&own, &part(&shares[0]))));
        let _ = self.gather(&shares, own);
        let _guard = tch::no_grad_guard();
        for worker in self.workers.iter().take(shares.len() - 1) {
            let _ = self.gradients.shallow_clone().g_add_(&worker.gradients);
            let _ = worker.gradients.shallow_clone().zero_();
        }
    }

    /// Gives each share but the first to a thread.
    fn ask(&self, shares: &[Range<i64>], work: impl Fn(&Range<i64>) -> Work) {
        for (worker, range) in self.workers.iter().zip(&shares[1..]) {
            let work_of = worker.work.as_ref().expect("a thread is told to end where it is dropped");
            work_of.send(work(range)).expect("a thread ends where it is dropped");
        }
    }

    /// What this thread and the others have found, once all are done. The first panic goes on here; what it leaves of
    /// gradients is forgotten.
    fn gather<T>(&self, shares: &[Range<i64>], own: std::thread::Result<T>) -> (T, Vec<Tensor>) {
        let workers = self.workers.iter().take(shares.len() - 1);
        let others: Vec<Done> = workers.map(|worker| worker.done.recv().expect("a thread answers")).collect();
        let found = own.and_then(|own| Ok((own, others.into_iter().collect::<Result<Vec<_>, _>>()?)));
        match found {
            Ok((own, others)) => (own, others.into_iter().flatten().collect()),
            Err(panic) => {
                let _guard = tch::no_grad_guard();
                for worker in &self.workers {
                    let _ = worker.gradients.shallow_clone().zero_();
                }
                resume_unwind(panic)
            }
        }
    }
}

impl Drop for Shares<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.work = None;
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
        if !self.workers.is_empty() {
            tch::set_num_threads(self.threads);
        }
    }
}

impl Worker {
    fn start(network: Network, gradients: Tensor, threads: i32) -> Self {
        let (work, asked) = channel();
        let (answer, done) = channel();
        let thread = std::thread::spawn(move || {
            // libtorch counts threads for each thread that computes.
            tch::set_num_threads(threads);
            let mut kept = None;
            for work in asked {
                let done = catch_unwind(AssertUnwindSafe(|| share(&network, work, &mut kept)));
                if answer.send(done).is_err() {
                    return;
                }
            }
        });
        Self { work: Some(work), done, gradients, thread: Some(thread) }
    }
}

/// Does a thread's work. `kept` are outputs with what their gradient needs.
fn share(network: &Network, work: Work, kept: &mut Option<Tensor>) -> Option<Tensor> {
    match work {
        Work::Forward(images, train) => {
            *kept = None;
            let _guard = (!train).then(tch::no_grad_guard);
            let outputs = network.forward(&images, train);
            let detached = outputs.detach();
            *kept = train.then_some(outputs);
            Some(detached)
        }
        Work::Backward(gradient) => {
            if let Some(outputs) = kept.take() {
                along(&outputs, &gradient);
            }
            None
        }
    }
}

/// Adds the gradient of the parameters, for this one of the outputs.
fn along(outputs: &Tensor, gradient: &Tensor) {
    (outputs * gradient).sum(Kind::Float).backward();
}

/// Divides so many samples into shares, of which none is empty and the first are the larger ones.
fn shares(samples: i64, threads: usize) -> Vec<Range<i64>> {
    let count = samples.min(threads as i64).max(1);
    let bound = |at: i64| at * (samples / count) + at.min(samples % count);
    (0..count).map(|at| bound(at)..bound(at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::{Backbone, ModelSpec, Task, initial_weights, signature};
    use tch::Device;

    use super::*;
    use crate::net::ComputePrecision;

    const BANDS: i64 = 2;

    /// The same numbers each time: libtorch's random ones are those of all tests together.
    fn images(count: i64, bands: i64) -> Tensor {
        let numbers = Tensor::arange(count * bands * 32 * 32, (Kind::Float, Device::Cpu));
        (numbers * 0.7312).sin().view([count, bands, 32, 32])
    }

    /// The outputs and the gradient of a step, without and with other threads.
    fn gradient(
        forward: &dyn Fn(&Tensor) -> Tensor,
        after: &dyn Fn(),
        from: &Tensor,
        count: i64,
    ) -> [Tensor; 2] {
        let outputs = forward(&images(count, BANDS));
        let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(3);
        outputs.cross_entropy_for_logits(&labels).backward();
        after();
        let found = from.copy();
        let _guard = tch::no_grad_guard();
        let _ = from.shallow_clone().zero_();
        [outputs.detach(), found]
    }

    #[test]
    fn shares_add_up_to_the_gradient_of_the_batch_also_after_one_has_failed() {
        let names = |what: &str, count: i64| (0..count).map(|at| format!("{what}{at}")).collect();
        let model = ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Classification,
            bands: names("band", BANDS),
            classes: names("class", 3),
            target: None,
        };
        let values = initial_weights(&model, 1);
        let parameters = Parameters::new(signature(&model), &values, Device::Cpu).trainable();
        let build = |parameters: &Parameters| Network::new(&model, parameters, 0.0, ComputePrecision::FULL);
        let network = build(&parameters);
        let optimizer = AdamW::new(&parameters, 0.0, 0.0);
        let from = optimizer.gradients();
        tch::set_num_threads(3);
        let threads = Shares::new(&network, &parameters, &optimizer, 8, &build);
        assert_eq!((threads.workers.len(), tch::get_num_threads()), (2, 1));
        // As many as there are threads, not a multiple of them, and fewer.
        for count in [6, 7, 2, 1] {
            let alone = gradient(&|images| network.forward(images, true), &|| (), &from, count);
            assert!(alone[1].abs().max().double_value(&[]) > 0.0);
            let shared =
                || gradient(&|images| threads.forward(images, true), &|| threads.backward(), &from, count);
            let found = shared();
            for (found, wanted) in found.iter().zip(&alone) {
                let apart = ((found - wanted).norm() / wanted.norm()).double_value(&[]);
                assert!(apart < 1e-5, "{count} samples: {apart}");
            }
            assert_eq!(shared(), found, "the same bytes each time");
            let scored = threads.forward(&images(count, BANDS), false);
            assert!(!scored.requires_grad() && scored.allclose(&alone[0], 1e-4, 1e-5, false));
            // A batch of other bands fails on all threads and leaves nothing behind.
            let wrong = AssertUnwindSafe(|| threads.forward(&images(count, BANDS + 1), true));
            assert!(catch_unwind(wrong).is_err());
            assert_eq!(shared(), found, "after a failure");
            // So does a gradient of other outputs, on the way back.
            let _ = threads.forward(&images(count, BANDS), true);
            let other = Tensor::ones([count, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
            other.sum(Kind::Float).backward();
            threads.pending.borrow_mut().as_mut().unwrap().all = other;
            assert!(catch_unwind(AssertUnwindSafe(|| threads.backward())).is_err());
            assert_eq!(shared(), found, "after a failure on the way back");
        }
        drop(threads);
        assert_eq!(tch::get_num_threads(), 3);
    }

    #[test]
    fn threads_are_no_more_than_samples_and_their_gradients_have_a_limit() {
        assert_eq!(shares(7, 3), [0..3, 3..5, 5..7]);
        assert_eq!(shares(2, 3), [0..1, 1..2]);
        assert_eq!(shares(6, 2), [0..3, 3..6]);
    }
}
