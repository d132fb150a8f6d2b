//! Models, normalisation, moments, metrics and energy.

use std::collections::BTreeMap;

use eosfed_common::assignment::{BandMoments, CurvePoint, MAX_METRIC_NAME, MAX_METRICS};
use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::card::{BandNormalisation, Energy, EnergySource};
use eosfed_common::finite::Finite;
use eosfed_common::model::{Backbone, MAX_BANDS, MAX_CLASSES, ModelSpec, TargetScale};
use eosfed_common::printable::MAX_WORD;
use eosfed_proto::v1;

use super::{Wire, WireError, at_most, finite, printable, specified, wrong};

impl Wire for ModelSpec {
    type Message = v1::Model;

    fn from_message(message: v1::Model) -> Result<Self, WireError> {
        let v1::Model { backbone, task, bands, classes, target } = message;
        let known = Backbone::ALL.into_iter().find(|known| known.name() == backbone);
        let backbone = known.ok_or_else(|| {
            wrong(
                "backbone",
                format!(
                    "one of this version, found `{}`",
                    backbone.escape_debug().take(80).collect::<String>()
                ),
            )
        })?;
        let task = super::task("task", task)?;
        for word in bands.iter().chain(&classes) {
            printable("bands, classes", word, 1..=MAX_WORD)?;
        }
        let bands = at_most("bands", MAX_BANDS, bands)?;
        let classes = at_most("classes", MAX_CLASSES, classes)?;
        let target = target.map(TargetScale::from_message).transpose()?;
        Ok(Self { backbone, task, bands, classes, target })
    }

    fn into_message(self) -> v1::Model {
        let ModelSpec { backbone, task, bands, classes, target } = self;
        let task = super::task_message(task);
        let target = target.map(Wire::into_message);
        v1::Model { backbone: backbone.name().to_owned(), task: task.into(), bands, classes, target }
    }
}

impl Wire for TargetScale {
    type Message = v1::TargetScale;

    fn from_message(message: v1::TargetScale) -> Result<Self, WireError> {
        let v1::TargetScale { offset, scale, unit } = message;
        let scale = finite("target.scale", scale)?.get();
        if scale <= 0.0 {
            return Err(wrong("target.scale", format!("above 0, found `{scale}`")));
        }
        Ok(Self {
            offset: finite("target.offset", offset)?.get(),
            scale,
            unit: printable("target.unit", &unit, 0..=MAX_WORD)?,
        })
    }

    fn into_message(self) -> v1::TargetScale {
        let TargetScale { offset, scale, unit } = self;
        v1::TargetScale { offset, scale, unit }
    }
}

impl Wire for BandNormalisation {
    type Message = v1::BandNormalisation;

    fn from_message(message: v1::BandNormalisation) -> Result<Self, WireError> {
        let v1::BandNormalisation { band, mean, std, values } = message;
        let std = finite("std", std)?;
        if *std <= 0.0 {
            return Err(wrong("std", format!("above 0, found `{std}`")));
        }
        Ok(Self {
            band: printable("band", &band, 1..=MAX_WORD)?,
            mean: finite("mean", mean)?,
            std,
            values: values.map(BandValues::from_message).transpose()?,
        })
    }

    fn into_message(self) -> v1::BandNormalisation {
        let BandNormalisation { band, mean, std, values } = self;
        let values = values.map(Wire::into_message);
        v1::BandNormalisation { band, mean: mean.get(), std: std.get(), values }
    }
}

impl Wire for BandMoments {
    type Message = v1::BandMoments;

    fn from_message(message: v1::BandMoments) -> Result<Self, WireError> {
        let v1::BandMoments { band, count, mean, m2, values } = message;
        let m2 = finite("m2", m2)?;
        if *m2 < 0.0 {
            return Err(wrong("m2", format!("at least 0, found `{m2}`")));
        }
        Ok(Self {
            band: printable("band", &band, 1..=MAX_WORD)?,
            count,
            mean: finite("mean", mean)?,
            m2,
            values: values.map(BandValues::from_message).transpose()?,
        })
    }

    fn into_message(self) -> v1::BandMoments {
        let BandMoments { band, count, mean, m2, values } = self;
        let values = values.map(Wire::into_message);
        v1::BandMoments { band, count, mean: mean.get(), m2: m2.get(), values }
    }
}

impl Wire for BandValues {
    type Message = v1::BandValues;

    fn from_message(message: v1::BandValues) -> Result<Self, WireError> {
        let v1::BandValues { unit, low, high } = message;
        let unit = match v1::ValueUnit::try_from(unit) {
            Err(_) => return Err(wrong("values.unit", format!("a known value, found `{unit}`"))),
            Ok(v1::ValueUnit::Unspecified) => None,
            Ok(v1::ValueUnit::Reflectance) => Some(ValueUnit::Reflectance),
            Ok(v1::ValueUnit::TenThousandths) => Some(ValueUnit::TenThousandths),
            Ok(v1::ValueUnit::EightBit) => Some(ValueUnit::EightBit),
            Ok(v1::ValueUnit::SixteenBit) => Some(ValueUnit::SixteenBit),
            Ok(v1::ValueUnit::Decibels) => Some(ValueUnit::Decibels),
            Ok(v1::ValueUnit::LinearPower) => Some(ValueUnit::LinearPower),
        };
        let values = Self { unit, low: finite("values.low", low)?, high: finite("values.high", high)? };
        values.check().map_err(|rule| wrong("values", rule))?;
        Ok(values)
    }

    fn into_message(self) -> v1::BandValues {
        let Self { unit, low, high } = self;
        let unit = match unit {
            None => v1::ValueUnit::Unspecified,
            Some(ValueUnit::Reflectance) => v1::ValueUnit::Reflectance,
            Some(ValueUnit::TenThousandths) => v1::ValueUnit::TenThousandths,
            Some(ValueUnit::EightBit) => v1::ValueUnit::EightBit,
            Some(ValueUnit::SixteenBit) => v1::ValueUnit::SixteenBit,
            Some(ValueUnit::Decibels) => v1::ValueUnit::Decibels,
            Some(ValueUnit::LinearPower) => v1::ValueUnit::LinearPower,
        };
        v1::BandValues { unit: unit.into(), low: low.get(), high: high.get() }
    }
}

/// A list of per-band values, with at most as many entries as a model can have bands.
pub(super) fn bands<T: Wire>(field: &'static str, list: Vec<T::Message>) -> Result<Vec<T>, WireError> {
    at_most(field, MAX_BANDS, list)?.into_iter().map(T::from_message).collect()
}

/// Metrics by name, finite and without repetition.
pub(super) fn metrics(list: Vec<v1::Metric>) -> Result<BTreeMap<String, Finite>, WireError> {
    let mut metrics = BTreeMap::new();
    for v1::Metric { name, value } in at_most("metrics", MAX_METRICS, list)? {
        let value = finite("metrics.value", value)?;
        let name = printable("metrics.name", &name, 1..=MAX_METRIC_NAME)?;
        if metrics.insert(name, value).is_some() {
            return Err(wrong("metrics", "each name once"));
        }
    }
    Ok(metrics)
}

/// Metrics as messages.
pub(super) fn metric_messages(metrics: BTreeMap<String, Finite>) -> Vec<v1::Metric> {
    metrics.into_iter().map(|(name, value)| v1::Metric { name, value: value.get() }).collect()
}

impl Wire for CurvePoint {
    type Message = v1::CurvePoint;

    fn from_message(message: v1::CurvePoint) -> Result<Self, WireError> {
        let v1::CurvePoint { step, loss, metrics: list } = message;
        Ok(Self { step, loss: finite("loss", loss)?, metrics: metrics(list)? })
    }

    fn into_message(self) -> v1::CurvePoint {
        let CurvePoint { step, loss, metrics } = self;
        v1::CurvePoint { step, loss: loss.get(), metrics: metric_messages(metrics) }
    }
}

impl Wire for Energy {
    type Message = v1::Energy;

    fn from_message(message: v1::Energy) -> Result<Self, WireError> {
        let v1::Energy { kwh, source, co2e_grams } = message;
        let source = match specified("energy.source", source)? {
            v1::EnergySource::Unspecified => return Err(wrong("energy.source", "a specified value")),
            v1::EnergySource::Measured => EnergySource::Measured,
            v1::EnergySource::Estimated => EnergySource::Estimated,
            v1::EnergySource::Unavailable => EnergySource::Unavailable,
            v1::EnergySource::Partial => EnergySource::Partial,
        };
        let positive = |field: &'static str, value: f64| match finite(field, value)? {
            value if *value < 0.0 => Err(wrong(field, format!("at least 0, found `{value}`"))),
            value => Ok(value),
        };
        let kwh = positive("energy.kwh", kwh)?;
        let co2e_g = co2e_grams.map(|grams| positive("energy.co2e_grams", grams)).transpose()?;
        Ok(Self { kwh, source, co2e_g })
    }

    fn into_message(self) -> v1::Energy {
        let Energy { kwh, source, co2e_g } = self;
        let source = match source {
            EnergySource::Measured => v1::EnergySource::Measured,
            EnergySource::Estimated => v1::EnergySource::Estimated,
            EnergySource::Unavailable => v1::EnergySource::Unavailable,
            EnergySource::Partial => v1::EnergySource::Partial,
        };
        v1::Energy { kwh: kwh.get(), source: source.into(), co2e_grams: co2e_g.map(Finite::get) }
    }
}
