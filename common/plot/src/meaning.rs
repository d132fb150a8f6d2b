//! Colours of classes by what their names mean, as maps of land cover usually have them.

use super::colours;

/// Words in the singular, and the colour of a class that has one of them in its name. The first that fits counts.
const MEANINGS: &[(&[&str], [u8; 3])] = &[
    (&["cloud"], [225, 225, 225]),
    (&["shadow"], [60, 60, 70]),
    (&["snow", "ice", "glacier"], [200, 240, 255]),
    (&["wetland", "marsh", "swamp", "bog", "mangrove", "peatland"], [86, 180, 233]),
    (&["water", "lake", "river", "sea", "ocean", "flood", "flooded", "waterbody"], [0, 114, 178]),
    (&["burnt", "burned", "burn", "fire"], [120, 50, 20]),
    (&["road", "highway", "street", "railway", "rail"], [90, 90, 90]),
    (
        &[
            "built",
            "developed",
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
    (&["shrub", "shrubland", "scrub", "bushland", "moor", "heathland", "heath"], [150, 150, 60]),
    (
        &[
            "crop",
            "cropland",
            "agriculture",
            "agricultural",
            "agro",
            "farmland",
            "arable",
            "cultivated",
            "cultivation",
            "orchard",
        ],
        [240, 228, 66],
    ),
    (&["forest", "tree", "wood", "woodland"], [0, 90, 50]),
    (&["grass", "grassland", "pasture", "meadow", "vegetation", "herbaceous"], [130, 190, 80]),
    (&["bare", "barren", "soil", "sand", "dune", "rock", "desert", "beach", "sediment"], [205, 170, 120]),
    (&["background", "other", "none", "unknown"], [180, 180, 180]),
];

/// Of several classes with one meaning, the colour of the first is the meaning's, and the others have shades of it:
/// the share of white, or below 0 of black.
const SHADES: [f64; 5] = [0.0, 0.35, -0.3, 0.6, -0.55];

/// A colour for each class: the given one, else one by the meaning of its name, else one of [`palette`](super::palette).
/// Colours that are not given differ from all others, and are not near a given one as long as there are such.
#[must_use]
pub fn class_colours(names: &[String], given: impl Fn(&str) -> Option<[u8; 3]>) -> Vec<[u8; 3]> {
    /// So many colours are tried for one that is far from the given ones. More differ than there are classes.
    const TRIED: usize = 4096;
    let given: Vec<Option<[u8; 3]>> = names.iter().map(|name| given(name)).collect();
    let mut found = given.clone();
    for share in SHADES {
        for (at, name) in names.iter().enumerate() {
            let wanted = meaning(name).map(|colour| shade(colour, share));
            let free = wanted.filter(|colour| are_far(&found, *colour));
            found[at] = found[at].or(free);
        }
    }
    // Beside classes with a meaning, a colour that means something else would mislead.
    let misleads = names.iter().any(|name| meaning(name).is_some());
    let means = |colour: &[u8; 3]| MEANINGS.iter().any(|(_, meant)| meant == colour);
    let others = || colours().take(TRIED).filter(|colour| !(misleads && means(colour)));
    for at in 0..names.len() {
        let free = |colour: &[u8; 3]| !found.contains(&Some(*colour));
        let far = |colour: &[u8; 3]| free(colour) && are_far(&given, *colour);
        found[at] = found[at].or_else(|| others().find(far)).or_else(|| others().find(free));
    }
    found.into_iter().flatten().collect()
}

/// Whether a colour can be told apart from all of those.
fn are_far(colours: &[Option<[u8; 3]>], colour: [u8; 3]) -> bool {
    colours.iter().flatten().all(|other| is_far(*other, colour))
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
    let singular = |word: &str, end: &str, known: &[&str]| {
        word.strip_suffix(end).is_some_and(|word| known.contains(&word))
    };
    let fits = |(known, _): &&(&[&str], [u8; 3])| {
        words.iter().any(|word| ["", "s", "es"].iter().any(|end| singular(word, end, known)))
    };
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

/// A colour with a share of white, or below 0 of black.
fn shade(colour: [u8; 3], share: f64) -> [u8; 3] {
    let end = if share < 0.0 { 0.0 } else { 255.0 };
    colour.map(|channel| (f64::from(channel) + (end - f64::from(channel)) * share.abs()).round() as u8)
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
    fn plural_names_mean_the_same_and_other_classes_have_no_colour_with_a_meaning() {
        let found = by_meaning(&["Beaches, dunes, sands", "Inland waters", "trees", "Pastures", "grass"]);
        let [sand, water, forest, grass] = [[205, 170, 120], [0, 114, 178], [0, 90, 50], [130, 190, 80]];
        assert_eq!(found[..4], [sand, water, forest, grass]);
        let many: Vec<String> = (0..20).map(|at| format!("class {at}")).collect();
        let beside: Vec<&str> = many.iter().map(String::as_str).chain(["forest"]).collect();
        let found = by_meaning(&beside);
        assert!(
            found[..20].iter().all(|colour| MEANINGS.iter().all(|(_, meant)| meant != colour)),
            "{found:?}"
        );
        // Without any meaning, they are those that can best be told apart.
        assert_eq!(by_meaning(&beside[..20]), palette(20));
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
    fn classes_of_one_meaning_have_shades_that_can_be_told_apart_from_all() {
        let names =
            ["crops", "shrubs", "arable land", "agriculture", "orchard", "cultivated", "bare", "forest"];
        let found = by_meaning(&names);
        assert_eq!((found[0], found[1]), ([240, 228, 66], [150, 150, 60]), "the meaning's own go first");
        for (at, one) in found.iter().enumerate() {
            assert!(found[..at].iter().all(|other| is_far(*other, *one)), "{at}: {found:?}");
            assert!(is_far(*one, [255; 3]), "{at}: {found:?}");
        }
    }

    #[test]
    fn many_given_colours_leave_one_for_the_last_class_in_any_case() {
        // Given colours everywhere, so that none is far from all of them.
        let names: Vec<String> = (0..1000).map(|at| at.to_string()).collect();
        let given = |name: &str| {
            let at: u8 = name.parse::<u16>().ok().filter(|at| *at < 999)?.try_into().unwrap_or(u8::MAX);
            Some([(at % 10) * 28, (at / 10 % 10) * 28, at])
        };
        let grid = |name: &str| {
            let at: u32 = name.parse().ok().filter(|at| *at < 999)?;
            Some([at % 10, at / 10 % 10, at / 100].map(|step| (step * 28) as u8))
        };
        for found in [class_colours(&names, given), class_colours(&names, grid)] {
            assert!(found.len() == 1000 && !found[..999].contains(&found[999]), "{:?}", found[999]);
        }
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
