//! Colours of classes by what their names mean, as maps of land cover usually have them.

use super::palette;

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

/// A colour for each class, all different: by the meaning of its name, else from [`palette`]. Of several classes
/// with one meaning, the later ones are lighter.
#[must_use]
pub fn class_colours(names: &[String]) -> Vec<[u8; 3]> {
    let mut colours: Vec<Option<[u8; 3]>> = Vec::new();
    for name in names {
        let found = meaning(name).and_then(|colour| {
            (0..4).map(|step| lighter(colour, step)).find(|colour| !colours.contains(&Some(*colour)))
        });
        colours.push(found);
    }
    let taken: Vec<[u8; 3]> = colours.iter().flatten().copied().collect();
    let mut others = palette(names.len() + taken.len()).into_iter().filter(|colour| !taken.contains(colour));
    let given = colours.into_iter().map(|colour| colour.or_else(|| others.next()).unwrap_or_default());
    given.collect()
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
    use super::*;

    fn colours(names: &[&str]) -> Vec<[u8; 3]> {
        class_colours(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_have_the_colours_of_their_meaning() {
        let found = colours(&["SeaLake", "forest", "built_up", "Annual Crop", "wetland"]);
        assert_eq!(found, [[0, 114, 178], [0, 90, 50], [200, 40, 40], [240, 228, 66], [86, 180, 233]]);
        // A part of a word is no word.
        assert_ne!(colours(&["seasonal"]), [[0, 114, 178]]);
    }

    #[test]
    fn all_colours_differ() {
        let names = ["river", "lake", "sea", "water", "flood", "a", "b", "c", "forest", "d", "crop"];
        let mut found = colours(&names);
        assert_eq!((found[0], found[8]), ([0, 114, 178], [0, 90, 50]));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), names.len());
        let many: Vec<String> = (0..60).map(|at| format!("class {at}")).collect();
        assert_eq!(class_colours(&many).len(), 60);
    }
}
