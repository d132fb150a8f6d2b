//! Losses that measure overlap: soft Dice, soft Jaccard and Lovász-softmax. Each is the mean over the
//! classes that occur in the batch.

use tch::{Kind, Tensor};

const EPS: f64 = 1e-7;

/// Probabilities `[classes, pixels]`, zeros and ones of the same shape, and `[1, pixels]` with 1 where there is
/// a label. Without one, a pixel is 0 in all three: to leave it out would need to know how many there are.
fn flat(outputs: &Tensor, labels: &Tensor, known: &Tensor) -> (Tensor, Tensor, Tensor) {
    let classes = outputs.size()[1];
    let known = known.reshape([1, -1]).to_kind(Kind::Float);
    let probabilities = outputs.softmax(1, Kind::Float).transpose(0, 1).reshape([classes, -1]);
    let each = Tensor::arange(classes, (Kind::Int64, labels.device())).view([-1, 1]);
    let truth = labels.reshape([1, -1]).eq_tensor(&each).to_kind(Kind::Float);
    (probabilities * &known, truth * &known, known)
}

/// One minus `I (1 + dice) / (P + T - I (1 - dice))` with intersection `I` and sizes `P` and `T`:
/// Dice for `dice` = 1, Jaccard for 0 (Milletari et al. 2016; Rahman & Wang 2016).
pub(super) fn overlap(outputs: &Tensor, labels: &Tensor, known: &Tensor, dice: f64) -> Tensor {
    let (found, truth, _) = flat(outputs, labels, known);
    let sum = |tensor: &Tensor| tensor.sum_dim_intlist([1_i64].as_slice(), false, Kind::Float);
    let both = sum(&(&found * &truth));
    let sizes = sum(&found) + sum(&truth);
    let score = &both * (1.0 + dice) / (sizes - &both * (1.0 - dice)).clamp_min(EPS);
    let present = sum(&truth).gt(0.0).to_kind(Kind::Float);
    ((score * -1.0 + 1.0) * &present).sum(Kind::Float) / present.sum(Kind::Float)
}

/// The Lovász extension of one minus the Jaccard index (Berman et al. 2018, algorithm 1), over all
/// pixels of the batch together.
pub(super) fn lovasz_softmax(outputs: &Tensor, labels: &Tensor, known: &Tensor) -> Tensor {
    let (found, truth, known) = flat(outputs, labels, known);
    // Pixels without a label come last, where they change nothing: their error is 0.
    let (errors, order) = ((&truth - &found).abs() + (known - 1.0)).sort(1, true);
    let errors = errors.clamp_min(0.0);
    let truth = truth.gather(1, &order, false);
    let size = truth.sum_dim_intlist([1_i64].as_slice(), true, Kind::Float);
    let intersection = &size - truth.cumsum(1, Kind::Float);
    let union = &size + (&truth * -1.0 + 1.0).cumsum(1, Kind::Float);
    let jaccard = (intersection / union) * -1.0 + 1.0;
    let pixels = jaccard.size()[1];
    let step =
        &jaccard - Tensor::cat(&[jaccard.narrow(1, 0, 1).zeros_like(), jaccard.narrow(1, 0, pixels - 1)], 1);
    let each = (errors * step).sum_dim_intlist([1_i64].as_slice(), false, Kind::Float);
    let present = size.squeeze_dim(1).gt(0.0).to_kind(Kind::Float);
    (each * &present).sum(Kind::Float) / present.sum(Kind::Float)
}
