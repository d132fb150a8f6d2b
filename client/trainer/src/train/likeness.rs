//! Whether a data set is like the imagery that a network was trained on: in its units and in its scale. A network
//! gives answers for any numbers, and they are wrong without a word where the numbers mean something else.

use eosfed_common::card::BandNormalisation;
use eosfed_common::head::Imagery;
use eosfed_data::{BandStatistics, DataError, Dataset, Moments, compare_moments};

/// Things may appear so many times larger or smaller than they were learned. Within it lie the crops and the mixed
/// imagery of usual trainings.
const SCALE: f64 = 1.5;

/// What a network was trained on.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    /// Its name.
    pub(crate) name: String,
    /// Mean and standard deviation of its bands, under the names that the data have for them.
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
    /// The imagery.
    pub(crate) imagery: Imagery,
    /// Side in pixels to which tiles are resized, if they are.
    pub(crate) input_size: Option<u32>,
}

impl Seen<'_> {
    /// What is unlike the training of these networks, as sentences with numbers. What is not known is not compared.
    pub(crate) fn unlike(&self, learned: &[Learned]) -> Vec<String> {
        learned
            .iter()
            .flat_map(|one| self.other_units(one).into_iter().chain(self.other_scale(one)))
            .collect()
    }

    fn other_units(&self, learned: &Learned) -> Vec<String> {
        let own: Vec<Moments> = self
            .statistics
            .iter()
            .filter(|band| band.count > 0)
            .map(|band| Moments { band: band.band.clone(), mean: band.mean, std: band.std() })
            .collect();
        let findings = compare_moments(&own, &moments(&learned.normalisation));
        findings.iter().map(|finding| format!("{}: {finding}", learned.name)).collect()
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

/// The same numbers, to be compared.
pub(crate) fn moments(entries: &[BandNormalisation]) -> Vec<Moments> {
    let moments = |entry: &BandNormalisation| Moments {
        band: entry.band.clone(),
        mean: entry.mean.get(),
        std: entry.std.get(),
    };
    entries.iter().map(moments).collect()
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
            let seen = Seen { statistics: &statistics(1.1), imagery: imagery(64, 10.0), input_size };
            assert_eq!(seen.unlike(&[learned(input_size)]), Vec::<String>::new());
        }
        let unknown = Seen { statistics: &[], imagery: Imagery::default(), input_size: None };
        assert_eq!(unknown.unlike(&[learned(None)]), Vec::<String>::new(), "what is not known");
    }

    #[test]
    fn other_units_are_said_with_numbers() {
        let seen = Seen { statistics: &statistics(1e4), imagery: Imagery::default(), input_size: None };
        let [said] = &seen.unlike(&[learned(None)])[..] else { panic!("one difference") };
        assert!(said.starts_with("crops: ") && said.contains("by 0.0001"), "{said}");
    }

    #[test]
    fn another_scale_is_said_with_numbers_as_the_network_sees_it() {
        let seen = Seen { statistics: &[], imagery: imagery(64, 30.0), input_size: None };
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
