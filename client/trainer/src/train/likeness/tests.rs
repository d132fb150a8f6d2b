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
        untold: None,
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
        let seen = Seen { statistics: &statistics(1.1), values: &[], imagery: imagery(64, 10.0), input_size };
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
    let seen =
        Seen { statistics: &statistics(1.1), values: &values, imagery: Imagery::default(), input_size: None };
    assert_eq!(seen.unlike(&[own.clone()]), Vec::<String>::new(), "the same unit");
    let [said] = &seen.unlike(&[with_values(ValueUnit::Reflectance)])[..] else { panic!("one difference") };
    assert!(
        said.starts_with("crops: B02, B03, B04, B08 must be in reflectance, as in its training"),
        "{said}"
    );
    assert!(
        said.contains("look like 8-bit numbers") && said.contains("98 % of the pixels between 0.01 and 0.6"),
        "{said}"
    );
    own.normalisation.iter_mut().for_each(|band| band.values = None);
    assert_eq!(seen.unlike(&[own]), Vec::<String>::new(), "a unit that is not known is not compared");
}

/// Numbers in another unit are of another magnitude: that is one difference, and it is said once of networks that learned
/// the same.
#[test]
fn another_unit_is_said_once_and_without_a_power_of_ten() {
    let eight_bit = with_values(ValueUnit::EightBit);
    let values: Vec<Option<BandValues>> = eight_bit.normalisation.iter().map(|band| band.values).collect();
    let seen = Seen {
        statistics: &statistics(235.0),
        values: &values,
        imagery: Imagery::default(),
        input_size: None,
    };
    let head = with_values(ValueUnit::Reflectance);
    let mut specialist = Learned { name: "specialist".to_owned(), ..head.clone() };
    specialist.normalisation[0].std = Finite::literal(0.06);
    let [said] = &seen.unlike(&[head.clone(), specialist.clone()])[..] else { panic!("one difference") };
    assert!(said.starts_with("crops, specialist: B02, B03, B04, B08 must be in reflectance"), "{said}");
    assert!(
        said.contains("convert them with") && said.contains("(for crops: `B08` has a mean of 58.75"),
        "{said}"
    );
    assert!(!said.contains("multiply"), "{said}");
    // What is wrong with one of them only is said of that one.
    let like = Learned { normalisation: Vec::new(), ..specialist };
    let [said] = &seen.unlike(&[head.clone(), like])[..] else { panic!("one difference") };
    assert!(said.starts_with("crops: ") && said.contains("(`B08` has"), "{said}");
    // A unit of one band is not why all have another magnitude.
    let mut one = head;
    one.normalisation[1..].iter_mut().for_each(|band| band.values = None);
    let said = seen.unlike(&[one]);
    assert!(
        said.len() == 2 && said[0].starts_with("crops: B02 must be in") && said[1].contains("multiply"),
        "{said:?}"
    );
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

/// What a network of blue, green and red learned from BigEarthNet, and the same imagery with a constant added.
fn shifted(offset: f64) -> (Learned, Vec<BandStatistics>, Vec<Option<BandValues>>) {
    let bands = [
        ("B02", 0.035, 0.036, 0.0, 0.162),
        ("B03", 0.054, 0.042, 0.002, 0.196),
        ("B04", 0.051, 0.052, 0.0, 0.227),
    ];
    let range = |low: f64, high: f64| {
        let end = |value: f64| Finite::literal(value);
        Some(BandValues { unit: Some(ValueUnit::Reflectance), low: end(low), high: end(high) })
    };
    let entry = |(band, mean, std, low, high): &(&str, f64, f64, f64, f64)| BandNormalisation {
        band: (*band).to_owned(),
        mean: Finite::literal(*mean),
        std: Finite::literal(*std),
        values: range(*low, *high),
    };
    let statistics = |(band, mean, std, ..): &(&str, f64, f64, f64, f64)| BandStatistics {
        count: 100,
        mean: mean + offset,
        m2: std * std * 100.0,
        ..BandStatistics::new(band)
    };
    (
        Learned { normalisation: bands.iter().map(entry).collect(), ..learned(None) },
        bands.iter().map(statistics).collect(),
        bands.iter().map(|(.., low, high)| range(low + offset, high + offset)).collect(),
    )
}

#[test]
fn reflectance_with_a_constant_added_is_said_of_three_bands() {
    for (offset, words) in [(0.1, "darkest pixels"), (-0.1, "must not be negative")] {
        let (learned, statistics, values) = shifted(offset);
        let seen =
            Seen { statistics: &statistics, values: &values, imagery: Imagery::default(), input_size: None };
        let [said] = &seen.unlike(&[learned])[..] else { panic!("one difference: {offset}") };
        for part in [words, "`B03`", "04.00", "`offset`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let (learned, statistics, values) = shifted(0.0);
    let seen =
        Seen { statistics: &statistics, values: &values, imagery: Imagery::default(), input_size: None };
    assert_eq!(seen.unlike(&[learned]), Vec::<String>::new());
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
    let [said] = &unknown(&[with_values(ValueUnit::Reflectance), old, nothing])[..] else {
        panic!("one sentence")
    };
    assert!(said.contains("unknown for old@1;"), "{said}");
    assert_eq!(unknown(&[with_values(ValueUnit::Reflectance)]), Vec::<String>::new());
}

#[test]
fn a_head_that_does_not_know_its_bands_says_so() {
    let head = |untold: Option<&str>| Learned {
        name: "the head `h`".to_owned(),
        normalisation: Vec::new(),
        untold: untold.map(ToOwned::to_owned),
        ..learned(None)
    };
    let sentence = "unknown: none of the 3 institutions told them";
    assert_eq!(unknown(&[head(Some(sentence)), with_values(ValueUnit::Reflectance)]), [sentence]);
    assert_eq!(unknown(&[head(None)]), Vec::<String>::new());
}

#[test]
fn a_scale_that_only_one_side_knows_is_said() {
    let nowhere = Learned { imagery: Imagery::default(), ..learned(None) };
    let seen = Seen { statistics: &[], values: &[], imagery: imagery(64, 30.0), input_size: None };
    let said = seen.unknown_scale(&[learned(None), nowhere.clone()]).unwrap();
    assert!(said.contains("unknown for crops,") && said.contains("30.0 m"), "{said}");
    assert_eq!(seen.unknown_scale(&[learned(None)]), None);
    let plain = Seen { imagery: Imagery::default(), ..seen };
    assert_eq!(plain.unknown_scale(&[nowhere]), None, "nothing to compare with");
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
