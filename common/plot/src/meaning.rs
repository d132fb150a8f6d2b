//! Colours of classes by what their names mean, as maps of land cover usually have them.

use super::colours;

/// Words, and the colour of a class that has one of them in its name. The first that fits counts.
const MEANINGS: &[(&[&str], [u8; 3])] = &[
    (&["cloud", "clouds"], [225, 225, 225]),
    (&["shadow", "shadows"], [60, 60, 70]),
    (&["snow", "ice", "glacier", "glaciers"], [200, 240, 255]),
    (&["wetland", "wetlands", "marsh", "marshes", "swamp", "bog", "mangrove", "mangroves"], [86, 180, 233]),
    (&["water", "lake", "river", "sea", "ocean", "flood", "flooded", "waterbody"], [0, 114, 178]),
    (&["burnt", "burned", "burn", "fire"], [120, 50, 20]),
    (&["road", "roads", "highway", "street", "railway", "rail"], [90, 90, 90]),
    (
        &[
            "built",
            "developed",
            "buildings",
            "building",
            "urban",
            "city",
            "residential",
            "settlement",
            "impervious",
            "artificial",
            "industrial",
            "commercial",
        ],
        [200, 40, 40],
    ),
    (&["shrub", "shrubs", "shrubland", "scrub", "bushland"], [150, 150, 60]),
    (
        &["crop", "crops", "cropland", "agriculture", "agricultural", "farmland", "arable", "orchard"],
        [240, 228, 66],
    ),
    (&["forest", "forests", "tree", "trees", "wood", "woods", "woodland"], [0, 90, 50]),
    (&["grass", "grassland", "pasture", "meadow", "meadows", "vegetation", "herbaceous"], [130, 190, 80]),
    (&["bare", "barren", "soil", "sand", "rock", "rocks", "desert", "beach", "sediment"], [205, 170, 120]),
    (&["background", "other", "others", "none", "unknown"], [180, 180, 180]),
];

/// A colour for each class: the given one, else one by the meaning of its name, else one of [`palette`](super::palette).
/// Of several classes with one meaning, the later ones are lighter. Colours that are not given differ from all others,
/// and are not near a given one.
#[must_use]
pub fn class_colours(names: &[String], given: impl Fn(&str) -> Option<[u8; 3]>) -> Vec<[u8; 3]> {
    let given: Vec<Option<[u8; 3]>> = names.iter().map(|name| given(name)).collect();
    let mut found = given.clone();
    for (at, name) in names.iter().enumerate() {
        let shades = |colour| (0..4).map(move |step| lighter(colour, step));
        let by_meaning = meaning(name).into_iter().flat_map(shades);
        found[at] = found[at].or_else(|| free(by_meaning, &found, &given));
    }
    let mut others = colours();
    for at in 0..names.len() {
        found[at] = found[at].or_else(|| free(&mut others, &found, &given));
    }
    found.into_iter().flatten().collect()
}

/// The first colour that no class has and that is not near a given one.
fn free(
    mut colours: impl Iterator<Item = [u8; 3]>,
    found: &[Option<[u8; 3]>],
    given: &[Option<[u8; 3]>],
) -> Option<[u8; 3]> {
    colours.find(|colour| {
        !found.contains(&Some(*colour)) && given.iter().flatten().all(|other| is_far(*other, *colour))
    })
}

/// Whether two colours can be told apart.
fn is_far(one: [u8; 3], other: [u8; 3]) -> bool {
    /// Distance in the cube of colours.
    const NEAR: u32 = 30;
    let square = |(a, b): (u8, u8)| u32::from(a.abs_diff(b)).pow(2);
    one.into_iter().zip(other).map(square).sum::<u32>() > NEAR.pow(2)
}

fn meaning(name: &str) -> Option<[u8; 3]> {
    let words = words(name);
    let fits = |meant: &&(&[&str], [u8; 3])| words.iter().any(|word| meant.0.contains(&word.as_str()));
    MEANINGS.iter().find(fits).map(|(_, colour)| *colour)
}

/// The words of a name in small letters: `AnnualCrop`, `annual_crop` and `annual crop` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && small) {
            words.push(String::new());
        }
        small = letter.is_lowercase();
        if letter.is_alphanumeric() {
            words.last_mut().expect("there is one").extend(letter.to_lowercase());
        }
    }
    words
}

/// A colour, a step nearer to white with each number.
fn lighter(colour: [u8; 3], step: u8) -> [u8; 3] {
    let share = f64::from(step) * 0.28;
    colour.map(|channel| (f64::from(channel) + (255.0 - f64::from(channel)) * share).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::super::palette;
    use super::*;

    fn with(names: &[&str], given: &[(&str, [u8; 3])]) -> Vec<[u8; 3]> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        class_colours(&names, |class| {
            given.iter().find(|(name, _)| *name == class).map(|(_, colour)| *colour)
        })
    }

    fn by_meaning(names: &[&str]) -> Vec<[u8; 3]> {
        with(names, &[])
    }

    #[test]
    fn names_have_the_colours_of_their_meaning() {
        let found = by_meaning(&["SeaLake", "forest", "built_up", "Annual Crop", "wetland"]);
        assert_eq!(found, [[0, 114, 178], [0, 90, 50], [200, 40, 40], [240, 228, 66], [86, 180, 233]]);
        // A part of a word is no word.
        assert_ne!(by_meaning(&["seasonal"]), [[0, 114, 178]]);
    }

    #[test]
    fn given_colours_are_kept_and_no_other_class_has_one_like_them() {
        // Forest has water's blue and water has none of its own.
        let blue = [0, 114, 178];
        let names = ["water", "forest", "lake", "a"];
        let found = with(&names, &[("forest", blue), ("a", [0, 90, 50])]);
        assert_eq!((found[1], found[3]), (blue, [0, 90, 50]));
        assert!(is_far(found[0], blue) && is_far(found[2], blue) && found[0] != found[2], "{found:?}");
        // Colours near a given one count as the same.
        let near = with(&["water", "x"], &[("x", [1, 113, 178])]);
        assert!(is_far(near[0], [1, 113, 178]), "{near:?}");
        // Two given ones may be equal, and the first colours of the palette may all be given.
        assert_eq!(with(&["a", "b"], &[("a", blue), ("b", blue)]), [blue, blue]);
        let given: Vec<(String, [u8; 3])> =
            (0..40).map(|at| format!("class {at}")).zip(palette(40)).collect();
        let names: Vec<String> = (0..60).map(|at| format!("class {at}")).collect();
        let mut found = class_colours(&names, |class| {
            given.iter().find(|(name, _)| name == class).map(|(_, colour)| *colour)
        });
        assert_eq!(found[..40], palette(40));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 60);
    }

    #[test]
    fn all_colours_differ() {
        let names = ["river", "lake", "sea", "water", "flood", "a", "b", "c", "forest", "d", "crop"];
        let mut found = by_meaning(&names);
        assert_eq!((found[0], found[8]), ([0, 114, 178], [0, 90, 50]));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), names.len());
        let many: Vec<String> = (0..256).map(|at| format!("class {at}")).collect();
        let mut found = class_colours(&many, |_| None);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 256);
    }
}
