//! The checks of numbers of bands: moments, ranges and a normalisation.

use eosfed_common::assignment::{BandMoments, SignedMoments};
use eosfed_common::band_values::BandValues;
use eosfed_common::refusal::{Reason, Refusal};

use crate::domain::target::Target;

/// Most pixels of one band in statistics.
const MAX_PIXELS: u64 = 1_000_000_000_000_000;
/// Largest magnitude of the mean and of the standard deviation of a band. Like the limits of energy and samples, it is
/// far above plausible values, and small enough that every value derived from it is finite.
const MAX_MOMENT: f64 = 1e30;

/// What an institution tells of its bands beside an update: exactly those of a head in order, and plausible. It is
/// dropped in jobs of before, which do not know the bands of their head.
pub(super) fn told(
    statistics: Option<Box<SignedMoments>>,
    target: &Target,
) -> Result<Option<Box<SignedMoments>>, Refusal> {
    let Some(told) = &statistics else { return Ok(None) };
    let Target::Head(head) = target else {
        let message =
            "`statistics` must be absent but for an update of a head: a specialist has its normalisation";
        return Err(Refusal::new(Reason::Malformed, message));
    };
    if head.bands.is_empty() {
        return Ok(None);
    }
    check_moments("statistics", &told.bands, &head.bands)?;
    Ok(statistics)
}

/// Moments of exactly these bands in order, each with pixels and plausible values.
pub(super) fn check_moments(field: &str, found: &[BandMoments], bands: &[String]) -> Result<(), Refusal> {
    same_bands(field, found.iter().map(|moments| &moments.band), bands)?;
    for BandMoments { band, count, mean, m2, values } in found {
        if !(1..=MAX_PIXELS).contains(count) {
            let rule = format!("`count` must be between 1 and {MAX_PIXELS} pixels, found `{count}`");
            return Err(Refusal::new(Reason::Malformed, format!("band `{band}`: {rule}")));
        }
        check_moment(field, "mean", band, mean.get())?;
        check_moment(field, "standard deviation", band, (m2.get() / *count as f64).sqrt())?;
        check_values(field, band, values.as_ref())?;
    }
    Ok(())
}

pub(super) fn check_moment(field: &str, what: &str, band: &str, value: f64) -> Result<(), Refusal> {
    // A negative `m2` gives NaN, which no range contains.
    if value.abs() <= MAX_MOMENT {
        return Ok(());
    }
    let message = format!(
        "`{field}`: the {what} of band `{band}` must be between -{MAX_MOMENT:e} and {MAX_MOMENT:e}, found \
         `{value:e}`; is a nodata value missing in the data set?"
    );
    Err(Refusal::new(Reason::Malformed, message))
}

/// The ends of a range have the bounds of moments; their order is checked where the message is read.
pub(super) fn check_values(field: &str, band: &str, values: Option<&BandValues>) -> Result<(), Refusal> {
    let Some(BandValues { unit: _, low, high }) = values else { return Ok(()) };
    check_moment(field, "lower end", band, low.get())?;
    check_moment(field, "upper end", band, high.get())
}

pub(super) fn same_bands<'a>(
    field: &str,
    found: impl Iterator<Item = &'a String>,
    bands: &[String],
) -> Result<(), Refusal> {
    let found: Vec<_> = found.collect();
    if found.iter().copied().eq(bands) {
        return Ok(());
    }
    let message = format!("`{field}` must name the bands {bands:?} in this order, found {found:?}");
    Err(Refusal::new(Reason::Malformed, message))
}
