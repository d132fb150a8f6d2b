//! The table `[normalisation]`: where per-band mean and standard deviation come from.

use std::collections::BTreeSet;

use crate::card::BandNormalisation;
use crate::plan::raw::RawNormalisation;
use crate::plan::report::Report;
use crate::plan::{OneShotNormalisation, SharedNormalisation};

/// In a one-shot job whose specialists take `bands`.
pub(in crate::plan) fn one_shot<'a>(
    raw: Option<RawNormalisation>,
    bands: impl IntoIterator<Item = &'a String>,
    report: &mut Report,
) -> Option<OneShotNormalisation> {
    match raw {
        None | Some(RawNormalisation::Local) => Some(OneShotNormalisation::Local),
        Some(RawNormalisation::Federated) => {
            let rule = "`local` or `given` in a one-shot job";
            report.rule(false, "normalisation.from", rule, "federated");
            None
        }
        Some(RawNormalisation::Given { bands: given }) => {
            check(&given, bands, report);
            Some(OneShotNormalisation::Given { bands: given })
        }
    }
}

/// In a job of rounds whose specialist takes `bands`. Given entries are put into their order.
pub(in crate::plan) fn shared(
    raw: Option<RawNormalisation>,
    bands: &[String],
    report: &mut Report,
) -> Option<SharedNormalisation> {
    match raw {
        None | Some(RawNormalisation::Local) => {
            let rule = "`federated` or `given` in a job of rounds, where all share one normalisation";
            report.rule(false, "normalisation.from", rule, "local");
            None
        }
        Some(RawNormalisation::Federated) => Some(SharedNormalisation::Federated),
        Some(RawNormalisation::Given { bands: given }) => {
            check(&given, bands, report);
            Some(SharedNormalisation::Given { bands: in_order(&given, bands) })
        }
    }
}

/// The entries of `given` for `bands`, in their order.
#[must_use]
pub fn in_order(given: &[BandNormalisation], bands: &[String]) -> Vec<BandNormalisation> {
    bands.iter().filter_map(|band| given.iter().find(|entry| entry.band == *band)).cloned().collect()
}

fn check<'a>(
    entries: &[BandNormalisation],
    bands: impl IntoIterator<Item = &'a String>,
    report: &mut Report,
) {
    let given: BTreeSet<_> = entries.iter().map(|entry| &entry.band).collect();
    report.rule(
        given.len() == entries.len(),
        "normalisation.bands",
        "one entry for each band",
        entries.len(),
    );
    for (index, entry) in entries.iter().enumerate() {
        let key = format!("normalisation.bands[{index}].std");
        report.rule(entry.std > 0.0, key, "above 0", entry.std);
        if let Some(values) = entry.values {
            let key = format!("normalisation.bands[{index}].values.low");
            report.rule(values.check().is_ok(), key, "at most `high`", values.low);
        }
    }
    let used: BTreeSet<_> = bands.into_iter().collect();
    for band in used.difference(&given) {
        let rule = format!("complete: `{band}` is used");
        report.rule(false, "normalisation.bands", rule, "no such entry");
    }
}
