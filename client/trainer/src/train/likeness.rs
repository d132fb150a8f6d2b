//! Whether a data set is like the imagery that a network was trained on: in its units and in its scale. A network
//! gives answers for any numbers, and they are wrong without a word where the numbers mean something else.

use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::card::BandNormalisation;
use eosfed_common::head::Imagery;
use eosfed_data::{BandStatistics, DataError, Dataset, Moments, PartFacts, Surveyed, compare_moments};

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
    unit: Option<ValueUnit>,
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
        let units = [self.unit?, self.there.values?.unit?];
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
        learned
            .iter()
            .flat_map(|one| self.other_values(one).into_iter().chain(self.other_scale(one)))
            .collect()
    }

    fn pairs<'l>(&self, learned: &'l Learned) -> Vec<Pair<'l>> {
        let of = |(at, band): (usize, &BandStatistics)| {
            let there = learned.normalisation.iter().find(|there| there.band == band.band)?;
            let values = self.values.get(at).copied().flatten();
            (band.count > 0).then(|| Pair {
                here: Moments::from(band),
                unit: values.and_then(|values| values.unit),
                there,
            })
        };
        self.statistics.iter().enumerate().filter_map(of).collect()
    }

    /// One sentence for each way in which the numbers differ; the first has those of the bands.
    fn other_values(&self, learned: &Learned) -> Vec<String> {
        let mut pairs = self.pairs(learned);
        let own: Vec<Moments> = pairs.iter().map(|pair| pair.here.clone()).collect();
        let findings = compare_moments(&own, &moments(&learned.normalisation));
        let mut said: Vec<String> = other_units(&pairs).into_iter().collect();
        said.extend(findings.iter().map(ToString::to_string));
        if said.is_empty() && pairs.iter().any(Pair::is_far) {
            said.push(
                "bands have numbers that no land gives them in the same unit: check `scale` and `offset`"
                    .to_owned(),
            );
        }
        pairs.sort_by(|one, other| other.deviations().total_cmp(&one.deviations()));
        let numbers: Vec<String> = pairs.iter().take(SAID).map(Pair::numbers).collect();
        if let Some(first) = said.first_mut() {
            *first = format!("{first} ({})", numbers.join("; "));
        }
        said.iter().map(|said| format!("{}: {said}", learned.name)).collect()
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

/// The bands that are in another unit, with both units.
fn other_units(pairs: &[Pair<'_>]) -> Option<String> {
    let differ: Vec<(&str, [ValueUnit; 2])> =
        pairs.iter().filter_map(|pair| Some((pair.there.band.as_str(), pair.units()?))).collect();
    let (_, [here, there]) = differ.first()?;
    let bands: Vec<&str> =
        differ.iter().filter(|(_, units)| units == &[*here, *there]).map(|(band, _)| *band).collect();
    Some(format!(
        "{} must be in {there}, as in its training, and look like {here}: convert them with `scale` and `offset`",
        bands.join(", ")
    ))
}

/// The networks whose cards are of before units and ranges were on them: only moments and scale are compared.
pub(crate) fn without_units(learned: &[Learned]) -> Option<String> {
    let unknown = |one: &&Learned| {
        !one.normalisation.is_empty() && one.normalisation.iter().all(|band| band.values.is_none())
    };
    let names: Vec<&str> = learned.iter().filter(unknown).map(|one| one.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "units and ranges of bands are unknown for {}; means, deviations and scale are compared",
            names.join(", ")
        )
    })
}

/// The same numbers, to be compared.
fn moments(entries: &[BandNormalisation]) -> Vec<Moments> {
    let moments = |entry: &BandNormalisation| Moments {
        band: entry.band.clone(),
        mean: entry.mean.get(),
        std: entry.std.get(),
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
    Ok(without_units(learned).into_iter().chain(differences).collect())
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
mod tests {
    use eosfed_common::finite::Finite;
    use eosfed_data::{Limits, Raster, write_geotiff};

    use super::*;

    const BANDS: [&str; 4] = ["B02", "B03", "B04", "B08"];

    fn imagery(tile: u32, metres: f64) -> Imagery {
        Imagery { tile: Some([tile, tile]), ground_sampling_distance: Some(metres) }
    }

    fn learned(input_size: Option<u32>) -> Learned {
        let entry = |(at, band): (usize, &&str)| BandNormalisation {
            band: (*band).to_owned(),
            mean: Finite::literal(0.1 + 0.05 * at as f64),
            std: Finite::literal(0.05),
            values: None,
        };
        Learned {
            name: "crops".to_owned(),
            normalisation: BANDS.iter().enumerate().map(entry).collect(),
            imagery: imagery(64, 10.0),
            input_size,
        }
    }

    /// Statistics whose means are so many times those of the training.
    fn statistics(times: f64) -> Vec<BandStatistics> {
        let of = |(at, band): (usize, &&str)| {
            let mean = times * (0.1 + 0.05 * at as f64);
            let mut statistics = BandStatistics::new(band);
            statistics.add(&[(mean - 0.05 * times) as f32, (mean + 0.05 * times) as f32]);
            BandStatistics { band: (*band).to_owned(), ..statistics }
        };
        BANDS.iter().enumerate().map(of).collect()
    }

    #[test]
    fn data_like_the_training_are_not_objected_to() {
        for input_size in [None, Some(224)] {
            let seen =
                Seen { statistics: &statistics(1.1), values: &[], imagery: imagery(64, 10.0), input_size };
            assert_eq!(seen.unlike(&[learned(input_size)]), Vec::<String>::new());
        }
        let unknown = Seen { statistics: &[], values: &[], imagery: Imagery::default(), input_size: None };
        assert_eq!(unknown.unlike(&[learned(None)]), Vec::<String>::new(), "what is not known");
    }

    #[test]
    fn other_units_are_said_with_numbers() {
        let seen =
            Seen { statistics: &statistics(1e4), values: &[], imagery: Imagery::default(), input_size: None };
        let [said] = &seen.unlike(&[learned(None)])[..] else { panic!("one difference") };
        assert!(said.starts_with("crops: ") && said.contains("by 0.0001"), "{said}");
        let numbers = "`B08` has a mean of 2500 here and had 0.25 there, with a standard deviation of 0.05, so the \
                       means are 49995.0 standard deviations apart";
        assert!(said.contains(numbers), "{said}");
        // The other way, too, where the means are few deviations of the training apart.
        let seen = Seen { statistics: &statistics(1e-4), ..seen };
        let [said] = &seen.unlike(&[learned(None)])[..] else { panic!("one difference") };
        assert!(said.contains("by 10000") && said.contains("5.0 standard deviations apart"), "{said}");
    }

    /// A network with what its bands look like.
    fn with_values(unit: ValueUnit) -> Learned {
        let mut learned = learned(None);
        let (low, high) = (Finite::literal(0.01), Finite::literal(0.6));
        let values = BandValues { unit: Some(unit), low, high };
        learned.normalisation.iter_mut().for_each(|band| band.values = Some(values));
        learned
    }

    #[test]
    fn another_unit_of_the_same_magnitude_is_said() {
        let mut own = with_values(ValueUnit::EightBit);
        let values: Vec<Option<BandValues>> = own.normalisation.iter().map(|band| band.values).collect();
        let seen = Seen {
            statistics: &statistics(1.1),
            values: &values,
            imagery: Imagery::default(),
            input_size: None,
        };
        assert_eq!(seen.unlike(&[own.clone()]), Vec::<String>::new(), "the same unit");
        let [said] = &seen.unlike(&[with_values(ValueUnit::Reflectance)])[..] else {
            panic!("one difference")
        };
        assert!(
            said.starts_with("crops: B02, B03, B04, B08 must be in reflectance, as in its training"),
            "{said}"
        );
        assert!(
            said.contains("look like 8-bit numbers")
                && said.contains("98 % of the pixels between 0.01 and 0.6"),
            "{said}"
        );
        own.normalisation.iter_mut().for_each(|band| band.values = None);
        assert_eq!(seen.unlike(&[own]), Vec::<String>::new(), "a unit that is not known is not compared");
    }

    #[test]
    fn one_band_in_another_unit_is_said() {
        for times in [1e4, 1e-4] {
            let mut statistics = statistics(1.0);
            statistics[2].mean *= times;
            let seen =
                Seen { statistics: &statistics, values: &[], imagery: Imagery::default(), input_size: None };
            let [said] = &seen.unlike(&[learned(None)])[..] else { panic!("one difference: {times}") };
            assert!(said.contains("(`B04` has a mean of") && said.contains("check `scale`"), "{said}");
        }
    }

    #[test]
    fn bands_in_another_order_are_said() {
        // EuroSAT's annual crops, in ten-thousandths, with blue and near infrared exchanged.
        let crops =
            [("B02", 1214.0, 298.0), ("B03", 1246.0, 362.0), ("B04", 1356.0, 719.0), ("B08", 3161.0, 923.0)];
        let entry = |(band, mean, std): &(&str, f64, f64)| BandNormalisation {
            band: (*band).to_owned(),
            mean: Finite::literal(*mean),
            std: Finite::literal(*std),
            values: None,
        };
        let learned = Learned { normalisation: crops.iter().map(entry).collect(), ..learned(None) };
        let here = |order: [usize; 4]| -> Vec<BandStatistics> {
            let of = |(at, from): (usize, usize)| {
                let (_, mean, std) = crops[from];
                BandStatistics { count: 100, mean, m2: std * std * 100.0, ..BandStatistics::new(crops[at].0) }
            };
            order.into_iter().enumerate().map(of).collect()
        };
        let said = |order| {
            let statistics = here(order);
            let seen =
                Seen { statistics: &statistics, values: &[], imagery: Imagery::default(), input_size: None };
            seen.unlike(std::slice::from_ref(&learned))
        };
        assert_eq!(said([0, 1, 2, 3]), Vec::<String>::new());
        let [swapped] = &said([3, 1, 2, 0])[..] else { panic!("one difference") };
        assert!(swapped.contains("as B08 B03 B04 B02 they would be 0.0"), "{swapped}");
        assert!(swapped.contains("`B02` has a mean of 3161 here and had 1214 there"), "{swapped}");
    }

    #[test]
    fn cards_of_before_are_named() {
        let old = Learned { name: "old@1".to_owned(), ..learned(None) };
        let nothing = Learned { normalisation: Vec::new(), ..learned(None) };
        let said = without_units(&[with_values(ValueUnit::Reflectance), old, nothing]).unwrap();
        assert!(said.contains("unknown for old@1;"), "{said}");
        assert_eq!(without_units(&[with_values(ValueUnit::Reflectance)]), None);
    }

    #[test]
    fn another_scale_is_said_with_numbers_as_the_network_sees_it() {
        let seen = Seen { statistics: &[], values: &[], imagery: imagery(64, 30.0), input_size: None };
        let [said] = &seen.unlike(&[learned(None)])[..] else { panic!("one difference") };
        for part in ["0.33 times as large", "30.0 m here and had 10.0 m there", "64x64 pixels at 10.00 m"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // Larger tiles at a finer distance that are resized to the same side show the same ground.
        let same = Seen { imagery: imagery(128, 5.0), input_size: Some(32), ..seen };
        assert_eq!(same.unlike(&[learned(Some(32))]), Vec::<String>::new());
        let other = Seen { imagery: imagery(128, 10.0), ..same };
        assert!(other.unlike(&[learned(Some(32))])[0].contains("0.50 times"), "{other:?}");
    }

    #[test]
    fn differences_are_errors_under_strict() {
        let folder = tempfile::tempdir().unwrap();
        ["a", "b"].iter().for_each(|class| std::fs::create_dir(folder.path().join(class)).unwrap());
        let raster = Raster { width: 32, height: 32, bands: 1, data: vec![0.5; 1024], reference: None };
        write_geotiff(&folder.path().join("a/0.tif"), &raster).unwrap();
        let dataset = |strict: bool| {
            let text = format!(
                "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\nstrict = {strict}\n\
                 [layout]\nkind = \"folders\"\nroot = \".\"\n"
            );
            std::fs::write(folder.path().join("dataset.toml"), text).unwrap();
            Dataset::open(folder.path(), &Limits::default()).unwrap()
        };
        let found = || vec!["crops: ten times".to_owned()];
        assert_eq!(tolerated(&dataset(false), found()).unwrap(), found());
        assert_eq!(tolerated(&dataset(true), Vec::new()).unwrap(), Vec::<String>::new());
        let refused = tolerated(&dataset(true), found()).unwrap_err().to_string();
        assert!(refused.contains("strict = true") && refused.contains("crops: ten times"), "{refused}");
    }
}
