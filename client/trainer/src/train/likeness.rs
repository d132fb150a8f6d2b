//! Whether a data set is like the imagery that a network was trained on: in its units and in its scale. A network
//! gives answers for any numbers, and they are wrong without a word where the numbers mean something else.

use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::card::BandNormalisation;
use eosfed_common::head::{HeadFile, Imagery};
use eosfed_data::{BandStatistics, DataError, Dataset, Moments, PartFacts, Rule, Surveyed, compare_moments};

/// Things may appear so many times larger or smaller than they were learned. Within it lie the crops and the mixed
/// imagery of usual trainings.
const SCALE: f64 = 1.5;

/// So many standard deviations of the training lie between the means of a band only where its numbers mean something
/// else: between the classes of crops and of sea of EuroSAT there are at most 12.
const FAR: f64 = 20.0;
/// So many times larger or smaller is no mean of the same band over other land: over open sea the short-wave infrared
/// has a thirtieth of its mean over crops.
const FAR_RATIO: f64 = 1000.0;
/// The bands whose numbers are said: those that are farthest off.
const SAID: usize = 3;

/// What a network was trained on.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    /// Its name.
    pub(crate) name: String,
    /// Moments, unit and range of its bands, under the names that the data have for them.
    pub(crate) normalisation: Vec<BandNormalisation>,
    /// Its imagery.
    pub(crate) imagery: Imagery,
    /// Side in pixels to which its tiles were resized, if they were.
    pub(crate) input_size: Option<u32>,
    /// What is not known of its bands, as a sentence.
    pub(crate) untold: Option<String>,
}

/// What a network is to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// Moments of the bands.
    pub(crate) statistics: &'a [BandStatistics],
    /// What their numbers look like, in the same order; empty where that is not known.
    pub(crate) values: &'a [Option<BandValues>],
    /// The imagery.
    pub(crate) imagery: Imagery,
    /// Side in pixels to which tiles are resized, if they are.
    pub(crate) input_size: Option<u32>,
}

/// A band here, and as it was in a training.
struct Pair<'a> {
    here: Moments,
    there: &'a BandNormalisation,
}

impl Pair<'_> {
    /// The distance of the means, in standard deviations of the training.
    fn deviations(&self) -> f64 {
        (self.here.mean - self.there.mean.get()).abs() / self.there.std.get()
    }

    fn is_far(&self) -> bool {
        let (here, there) = (self.here.mean, self.there.mean.get());
        let ratio = if here.min(there) > 0.0 { here.max(there) / here.min(there) } else { 1.0 };
        self.deviations() > FAR || ratio > FAR_RATIO
    }

    /// Its unit, and that of the training, where both are known and differ.
    fn units(&self) -> Option<[ValueUnit; 2]> {
        let units = [self.here.values?.unit?, self.there.values?.unit?];
        (units[0] != units[1]).then_some(units)
    }

    fn numbers(&self) -> String {
        let BandNormalisation { band, mean, std, values } = self.there;
        let range = values.map(|BandValues { low, high, .. }| {
            format!(" and 98 % of the pixels between {} and {}", short(low.get()), short(high.get()))
        });
        format!(
            "`{band}` has a mean of {} here and had {} there, with a standard deviation of {}{}, so the means are \
             {:.1} standard deviations apart",
            short(self.here.mean),
            short(mean.get()),
            short(std.get()),
            range.unwrap_or_default(),
            self.deviations()
        )
    }
}

/// Five digits, whatever the magnitude.
fn short(value: f64) -> String {
    format!("{value:.4e}").parse().map_or_else(|_| value.to_string(), |rounded: f64| rounded.to_string())
}

impl<'a> Seen<'a> {
    /// A part whose tiles are resized to `input_size`, if they are.
    pub(crate) fn of(facts: &'a PartFacts, input_size: Option<u32>) -> Self {
        Self { statistics: &facts.statistics, values: &facts.values, imagery: facts.imagery, input_size }
    }

    /// Samples that were looked at one by one.
    pub(crate) fn surveyed(surveyed: &'a Surveyed, imagery: Imagery, input_size: Option<u32>) -> Self {
        Self { statistics: &surveyed.statistics, values: &surveyed.report.values, imagery, input_size }
    }

    /// What is unlike the training of these networks, as sentences with numbers. What is not known is not compared.
    pub(crate) fn unlike(&self, learned: &[Learned]) -> Vec<String> {
        let values = learned.iter().flat_map(|one| {
            self.other_values(one).into_iter().map(|(said, numbers)| (one.name.as_str(), said, numbers))
        });
        together(values).into_iter().chain(learned.iter().filter_map(|one| self.other_scale(one))).collect()
    }

    fn pairs<'l>(&self, learned: &'l Learned) -> Vec<Pair<'l>> {
        let of = |(at, band): (usize, &BandStatistics)| {
            let there = learned.normalisation.iter().find(|there| there.band == band.band)?;
            let values = self.values.get(at).copied().flatten();
            (band.count > 0).then(|| Pair { here: Moments { values, ..Moments::from(band) }, there })
        };
        self.statistics.iter().enumerate().filter_map(of).collect()
    }

    /// One sentence for each way in which the numbers differ, and the numbers of the bands for the first.
    fn other_values(&self, learned: &Learned) -> Vec<(String, String)> {
        let mut pairs = self.pairs(learned);
        let own: Vec<Moments> = pairs.iter().map(|pair| pair.here.clone()).collect();
        let mut findings = compare_moments(&own, &moments(&learned.normalisation));
        let mut said = Vec::new();
        if let Some((bands, units)) = other_units(&pairs) {
            // Numbers in another unit are of another magnitude, and a power of ten need not convert them.
            findings.retain(|finding| {
                finding.rule != Rule::MomentsScale
                    || finding.bands.iter().any(|band| !bands.contains(&band.as_str()))
            });
            said.push(units);
        }
        said.extend(findings.iter().map(ToString::to_string));
        if said.is_empty() && pairs.iter().any(Pair::is_far) {
            said.push(
                "bands have numbers that no land gives them in the same unit: check `scale` and `offset`"
                    .to_owned(),
            );
        }
        pairs.sort_by(|one, other| other.deviations().total_cmp(&one.deviations()));
        let numbers: Vec<String> = pairs.iter().take(SAID).map(Pair::numbers).collect();
        let numbers = std::iter::once(numbers.join("; ")).chain(std::iter::repeat(String::new()));
        said.into_iter().zip(numbers).collect()
    }

    /// The networks whose scale is unknown, where that of what they are to see is known.
    fn unknown_scale(&self, learned: &[Learned]) -> Option<String> {
        let own = self.imagery.metres_per_pixel(self.input_size)?;
        let unknown = |one: &&Learned| one.imagery.metres_per_pixel(one.input_size).is_none();
        let names: Vec<&str> = learned.iter().filter(unknown).map(|one| one.name.as_str()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "the scale of the training is unknown for {}, and is not compared; a pixel that is seen has {own:.1} m \
                 here",
                names.join(", ")
            )
        })
    }

    fn other_scale(&self, learned: &Learned) -> Option<String> {
        let own = self.imagery.metres_per_pixel(self.input_size)?;
        let there = learned.imagery.metres_per_pixel(learned.input_size)?;
        let times = there / own;
        (!(1.0 / SCALE..=SCALE).contains(&times)).then(|| {
            format!(
                "{}: things appear {times:.2} times as large as in its training: a pixel that it sees has {own:.1} m \
                 here and had {there:.1} m there ({}; {}); resample the imagery to that, or resize tiles",
                learned.name, self.imagery, learned.imagery
            )
        })
    }
}

/// Sentences of several networks, each with its name and numbers; equal ones are said once, with all names and the numbers
/// of the first.
fn together<'a>(values: impl Iterator<Item = (&'a str, String, String)>) -> Vec<String> {
    let mut found: Vec<(Vec<&str>, String, String)> = Vec::new();
    for (name, said, numbers) in values {
        match found.iter_mut().find(|(_, known, _)| *known == said) {
            Some((names, ..)) => names.push(name),
            None => found.push((vec![name], said, numbers)),
        }
    }
    let sentence = |(names, said, numbers): (Vec<&str>, String, String)| {
        let whose = if names.len() > 1 { format!("for {}: ", names[0]) } else { String::new() };
        let numbers = if numbers.is_empty() { numbers } else { format!(" ({whose}{numbers})") };
        format!("{}: {said}{numbers}", names.join(", "))
    };
    found.into_iter().map(sentence).collect()
}

/// The bands that are in another unit than those of the training, and a sentence with both units.
fn other_units<'a>(pairs: &[Pair<'a>]) -> Option<(Vec<&'a str>, String)> {
    let differ: Vec<(&str, [ValueUnit; 2])> =
        pairs.iter().filter_map(|pair| Some((pair.there.band.as_str(), pair.units()?))).collect();
    let (_, [here, there]) = differ.first()?;
    let bands: Vec<&str> =
        differ.iter().filter(|(_, units)| units == &[*here, *there]).map(|(band, _)| *band).collect();
    let sentence = format!(
        "{} must be in {there}, as in its training, and look like {here}: convert them with `scale` and `offset`",
        bands.join(", ")
    );
    Some((bands, sentence))
}

/// What is not known of the bands of these networks, as sentences. Cards of before have no units and ranges: only
/// moments and scale are compared with them.
pub(crate) fn unknown(learned: &[Learned]) -> Vec<String> {
    let without_units = |one: &&Learned| {
        !one.normalisation.is_empty() && one.normalisation.iter().all(|band| band.values.is_none())
    };
    let names: Vec<&str> = learned.iter().filter(without_units).map(|one| one.name.as_str()).collect();
    let without_units = (!names.is_empty()).then(|| {
        format!(
            "units and ranges of bands are unknown for {}; means, deviations and scale are compared",
            names.join(", ")
        )
    });
    learned.iter().filter_map(|one| one.untold.clone()).chain(without_units).collect()
}

/// The same numbers, to be compared.
fn moments(entries: &[BandNormalisation]) -> Vec<Moments> {
    let moments = |entry: &BandNormalisation| Moments {
        band: entry.band.clone(),
        mean: entry.mean.get(),
        std: entry.std.get(),
        values: entry.values,
    };
    entries.iter().map(moments).collect()
}

/// What of the training of these networks cannot be compared with what they are to see, and what is unlike it.
///
/// # Errors
/// The differences, if the data set is `strict`.
pub(crate) fn unlike(
    dataset: &Dataset,
    seen: Seen<'_>,
    learned: &[Learned],
) -> Result<Vec<String>, DataError> {
    let differences = tolerated(dataset, seen.unlike(learned))?;
    let unknown = unknown(learned).into_iter().chain(seen.unknown_scale(learned));
    Ok(unknown.chain(differences).collect())
}

/// What there is to say of the unit of a head's target beside that of a data set.
///
/// # Errors
/// That they differ, if the data set is `strict`.
pub(crate) fn other_unit(dataset: &Dataset, head: &HeadFile) -> Result<Vec<String>, DataError> {
    let unit = head.target.as_ref().map_or("", |target| target.unit.as_str());
    match dataset.config().compare_unit(unit) {
        Ok(note) => Ok(note.into_iter().collect()),
        Err(differs) => tolerated(dataset, vec![format!("the head `{}`: {differs}", head.name)]),
    }
}

/// Lets differences pass as warnings, unless the data set is `strict`.
///
/// # Errors
/// The differences, under `strict`.
pub(crate) fn tolerated(dataset: &Dataset, differences: Vec<String>) -> Result<Vec<String>, DataError> {
    if dataset.config().strict && !differences.is_empty() {
        return Err(DataError::Unlike { path: dataset.path().to_owned(), findings: differences });
    }
    Ok(differences)
}

#[cfg(test)]
mod tests;
