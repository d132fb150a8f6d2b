//! The convolution that fuses the levels of a feature pyramid at the height and width of the first.
//!
//! Written as usual, every level is enlarged to that size (bilinear), all are put side by side, and a convolution
//! of 3x3 pixels takes them together. Nearly all of its work is on levels that were enlarged. Both operations are linear, so
//! the products with the weights can be taken before a level is enlarged, where it has a fourth, a sixteenth or a
//! sixty-fourth of the pixels: for each of the nine taps, a convolution of one pixel. What is left is to enlarge
//! the products, to shift each by its tap, and to add them. In each direction this is a multiplication by one
//! matrix (see [`taps`]). The sum is the same but for rounding.

use tch::{Device, Kind, Tensor};

use super::ComputePrecision;

/// Taps of the convolution in each direction.
const TAPS: i64 = 3;

/// How much longer libtorch takes for a multiplication where two matrices are multiplied than in a convolution.
const SLOWER: i64 = 2;

/// Resizes to the height and width of `like` (bilinear).
pub(super) fn resize(x: &Tensor, like: &Tensor) -> Tensor {
    let size = like.size();
    if x.size()[2..] == size[2..] {
        return x.shallow_clone();
    }
    x.upsample_bilinear2d(&size[2..], false, None, None)
}

/// The convolution by `weight`, `[out, channels of all levels, 3, 3]`, with one pixel of zeros around, of maps `[N, C, h, w]` that are
/// resized to the first: `[N, out, H, W]`.
pub(super) fn fused(levels: &[Tensor], weight: &Tensor, precision: ComputePrecision) -> Tensor {
    let mut start = 0;
    let mut whole = Vec::new();
    let mut smaller = Vec::new();
    for level in levels {
        let channels = level.size()[1];
        let weight = weight.narrow(1, start, channels);
        start += channels;
        if is_less_work(level, &levels[0]) {
            smaller.push((level, weight));
        } else {
            whole.push((resize(level, &levels[0]), weight));
        }
    }
    let (maps, weights): (Vec<Tensor>, Vec<Tensor>) = whole.into_iter().unzip();
    let y = precision.conv2d(&Tensor::cat(&maps, 1), &Tensor::cat(&weights, 1), None, 1, TAPS / 2, 1);
    if smaller.is_empty() {
        return y;
    }
    let [images, out, height, width] = y.size()[..] else { unreachable!("maps have four dimensions") };
    let (rows, down): (Vec<Tensor>, Vec<Tensor>) =
        smaller.iter().map(|(level, weight)| widened(level, weight, [height, width], precision)).unzip();
    // [N, H, W, out] in memory, of which each row of pixels is a vector.
    let sum = y.permute([0, 2, 3, 1]).reshape([images, height, width * out]);
    let down = Tensor::cat(&down, 1);
    let down = down.expand([images, height, down.size()[1]], false);
    let sum = sum.baddbmm(&down, &Tensor::cat(&rows, 1), 1.0, 1.0);
    sum.view([images, height, width, out]).permute([0, 3, 1, 2])
}

/// The products of a level with each row of taps, as wide as the result: `[N, 3 * h, W * out]`, and the matrix that
/// makes them as high, `[H, 3 * h]`.
fn widened(
    level: &Tensor,
    weight: &Tensor,
    [height, width]: [i64; 2],
    precision: ComputePrecision,
) -> (Tensor, Tensor) {
    let [out, channels] = [weight.size()[0], weight.size()[1]];
    let [images, rows, columns] = [level.size()[0], level.size()[2], level.size()[3]];
    // Its taps of one row side by side, then those of one column, then its outputs.
    let weight = weight.permute([3, 2, 0, 1]).reshape([TAPS * TAPS * out, channels]);
    let products = precision.linear(&level.permute([0, 2, 3, 1]), &weight, None);
    let products = products.reshape([images * rows, columns * TAPS, TAPS * out]);
    let like = (level.kind(), level.device());
    let across = taps(columns, width, like).permute([1, 2, 0]).reshape([1, width, columns * TAPS]);
    let wide = across.expand([images * rows, width, columns * TAPS], false).bmm(&products);
    let wide = wide.view([images, rows, width, TAPS, out]).permute([0, 3, 1, 2, 4]);
    let down = taps(rows, height, like).permute([1, 0, 2]).reshape([height, TAPS * rows]);
    (wide.reshape([images, TAPS * rows, width * out]), down)
}

/// For each tap of the convolution, the matrix that enlarges `from` values to `to` and shifts them by the tap,
/// with zeros beyond both ends: `[3, to, from]`.
fn taps(from: i64, to: i64, (kind, device): (Kind, Device)) -> Tensor {
    // libtorch itself says how much each value counts.
    let each = Tensor::eye(from, (kind, device)).unsqueeze(1);
    let enlarge = each.upsample_linear1d([to].as_slice(), false, None).squeeze_dim(1).tr();
    let padded = enlarge.constant_pad_nd([0, 0, TAPS / 2, TAPS / 2]);
    let shifted: Vec<Tensor> = (0..TAPS).map(|tap| padded.narrow(0, tap, to)).collect();
    Tensor::stack(&shifted, 0)
}

/// Whether it is less work to multiply before a level is enlarged to the size of `like`. Only processors: on a
/// GPU, starting more kernels takes longer than they save.
fn is_less_work(level: &Tensor, like: &Tensor) -> bool {
    let [_, channels, rows, columns] = level.size()[..] else { return false };
    let [_, _, height, width] = like.size()[..] else { return false };
    let each = TAPS * TAPS * rows * columns;
    // For each output channel.
    let products = each * channels + SLOWER * (each * width + TAPS * rows * height * width);
    level.device() == Device::Cpu && products < TAPS * TAPS * channels * height * width
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one convolution of all levels side by side, each enlarged.
    fn plain(levels: &[Tensor], weight: &Tensor) -> Tensor {
        let all: Vec<Tensor> = levels.iter().map(|level| resize(level, &levels[0])).collect();
        Tensor::cat(&all, 1).conv2d(weight, None::<Tensor>, 1, 1, 1, 1)
    }

    #[test]
    fn products_before_enlarging_are_the_usual_convolution_with_its_gradients() {
        tch::manual_seed(3);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let leaf = |size: &[i64]| random(size).set_requires_grad(true);
        // Also sides that are no multiples of one another, and a level of a single pixel.
        for sides in [[[8, 12], [4, 6], [2, 3], [1, 1]], [[9, 7], [9, 7], [4, 5], [1, 3]]] {
            let levels = sides.map(|[height, width]| leaf(&[2, 64, height, width]));
            let weight = (random(&[5, 256, 3, 3]) * 0.02).set_requires_grad(true);
            let less: Vec<bool> = levels.iter().map(|level| is_less_work(level, &levels[0])).collect();
            assert!(!less[0] && less[2] && less[3], "{sides:?}: nothing is tested");
            let found = fused(&levels, &weight, ComputePrecision::FULL);
            let wanted = plain(&levels, &weight);
            assert_eq!(found.size(), wanted.size());
            let leaves: Vec<&Tensor> = levels.iter().chain([&weight]).collect();
            let gradients =
                |y: &Tensor| Tensor::run_backward(&[y.sin().sum(Kind::Float)], &leaves, false, false);
            let pairs = gradients(&found).into_iter().zip(gradients(&wanted)).chain([(found, wanted)]);
            for (found, wanted) in pairs {
                let apart = ((&found - &wanted).abs().max() / wanted.abs().max()).double_value(&[]);
                assert!(apart < 1e-5, "{sides:?}: {apart}");
            }
        }
    }
}
