//! Images as they are sent to the device: in the narrowest form of their values. They are scaled and normalised
//! there.

use eosfed_common::card::BandNormalisation;
use eosfed_data::{BandScaling, Packed, Pixels};
use tch::{Device, Kind, Tensor};

/// Images of one size, `[N, C, H, W]`.
pub(super) struct Raw {
    /// Bytes, 32-bit floats, or 16-bit integers of which the highest bit counts as 32,768.
    values: Tensor,
    /// `[N, 1, H, W]`, 1 where there is no data; absent if there is data everywhere.
    invalid: Option<Tensor>,
}

impl Raw {
    /// Samples of one size.
    pub(super) fn new(samples: &[Packed]) -> Self {
        let first = &samples[0];
        let size = [first.height as i64, first.width as i64];
        let shape = [samples.len() as i64, first.channels() as i64, size[0], size[1]];
        let pixels = || samples.iter().map(|sample| &sample.pixels);
        if pixels().any(|pixels| matches!(pixels, Pixels::F32(_))) {
            let values: Vec<f32> = samples.iter().flat_map(Packed::values).collect();
            return Self { values: Tensor::from_slice(&values).view(shape), invalid: None };
        }
        let values = if pixels().all(|pixels| matches!(pixels, Pixels::U8(_))) {
            Tensor::from_slice(&pixels().fold(Vec::new(), bytes))
        } else {
            Tensor::from_slice(&pixels().fold(Vec::new(), shorts))
        };
        Self { values: values.view(shape), invalid: invalid(samples, size) }
    }

    /// The images on the device, scaled and normalised, 0 where there is no data. Without a normalisation
    /// values stay, and pixels without data are NaN.
    pub(super) fn normalised(
        self,
        scaling: &BandScaling,
        normalisation: &[BandNormalisation],
        device: Device,
    ) -> Tensor {
        let Self { values, invalid } = self;
        let values = values.to_device(device);
        let floats = values.kind() == Kind::Float;
        let mut values = match values.kind() {
            // Sixteen bits without a sign.
            Kind::Int16 => values.to_kind(Kind::Int).bitwise_and(0xffff).to_kind(Kind::Float),
            Kind::Uint8 => values.to_kind(Kind::Float),
            _ => values,
        };
        scale(&mut values, scaling);
        let missing = match invalid {
            Some(invalid) => Some(invalid.to_device(device).to_kind(Kind::Bool)),
            None => floats.then(|| values.isfinite().logical_not()),
        };
        if normalisation.is_empty() {
            return match missing {
                Some(missing) => values.masked_fill(&missing, f64::NAN),
                None => values,
            };
        }
        let channels = values.size()[1] as usize;
        // A second date has the same bands again.
        let each = || normalisation.iter().cycle().take(channels);
        let column = |numbers: Vec<f32>| Tensor::from_slice(&numbers).view([1, -1, 1, 1]).to_device(device);
        let _ = values.g_sub_(&column(each().map(|entry| entry.mean.get() as f32).collect()));
        let _ = values.g_mul_(&column(each().map(|entry| (1.0 / entry.std.get()) as f32).collect()));
        match missing {
            Some(missing) => values.masked_fill(&missing, 0.0),
            None => values,
        }
    }
}

/// Scales images of dates times bands. Numbers of files are scaled in 32 bits, as where they are read without a device.
fn scale(values: &mut Tensor, scaling: &BandScaling) {
    if let Some(scaling) = scaling.of_all() {
        let _ = values.g_mul_scalar_(f64::from(scaling.scale as f32));
        let _ = values.g_add_scalar_(f64::from(scaling.offset as f32));
        return;
    }
    let channels = values.size()[1] as usize;
    let each = || (0..channels).map(|at| scaling.of(at));
    let column =
        |numbers: Vec<f32>| Tensor::from_slice(&numbers).view([1, -1, 1, 1]).to_device(values.device());
    let by = column(each().map(|scaling| scaling.scale as f32).collect());
    let offset = column(each().map(|scaling| scaling.offset as f32).collect());
    let _ = values.g_mul_(&by);
    let _ = values.g_add_(&offset);
}

fn bytes(mut all: Vec<u8>, pixels: &Pixels) -> Vec<u8> {
    if let Pixels::U8(values) = pixels {
        all.extend_from_slice(values);
    }
    all
}

/// The bits of 16-bit numbers: libtorch computes with signed ones.
fn shorts(mut all: Vec<i16>, pixels: &Pixels) -> Vec<i16> {
    match pixels {
        Pixels::U8(values) => all.extend(values.iter().map(|value| i16::from(*value))),
        Pixels::U16(values) => all.extend(values.iter().map(|value| value.cast_signed())),
        Pixels::F32(_) => {}
    }
    all
}

fn invalid(samples: &[Packed], [height, width]: [i64; 2]) -> Option<Tensor> {
    samples.iter().any(|sample| sample.invalid.is_some()).then(|| {
        let size = (height * width) as usize;
        let flags = samples.iter().flat_map(|sample| match &sample.invalid {
            Some(invalid) => invalid.clone(),
            None => vec![0; size],
        });
        Tensor::from_slice(&flags.collect::<Vec<u8>>()).view([samples.len() as i64, 1, height, width])
    })
}
