//! What a file says of each of its bands besides their numbers: a description and a wavelength, as GDAL's metadata have
//! them.

use roxmltree::Node;

use crate::xml::unescaped;

/// Wavelengths from here on are in nanometres if nothing says their unit: no optical sensor measures beyond 100
/// micrometres, or below 100 nanometres.
const NANOMETRES_FROM: f64 = 100.0;

/// The words of one band.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct BandName {
    pub(crate) description: Option<String>,
    /// In nanometres.
    pub(crate) wavelength: Option<f64>,
}

/// What was read of one band so far.
#[derive(Clone, Default)]
struct Words<'a> {
    description: Option<String>,
    /// In micrometres, from the domain IMAGERY.
    central: Option<f64>,
    /// In the unit of the next one.
    wavelength: Option<f64>,
    unit: Option<&'a str>,
}

/// The bands of a file with so many of them, from the items of its metadata.
pub(super) fn band_names<'a>(items: impl Iterator<Item = Node<'a, 'a>>, bands: usize) -> Vec<BandName> {
    let mut words = vec![Words::default(); bands];
    let mut unit_of_all = None;
    for item in items {
        let text = item.text().unwrap_or_default().trim();
        let name = item.attribute("name").unwrap_or_default();
        let named = |other: &str| name.eq_ignore_ascii_case(other);
        let Some(sample) = item.attribute("sample") else {
            if named("wavelength_units") {
                unit_of_all = Some(text);
            }
            continue;
        };
        let Some(band) = sample.parse().ok().and_then(|at: usize| words.get_mut(at)) else { continue };
        if item.attribute("role") == Some("description") {
            // GDAL escapes texts before it writes them as XML.
            band.description = Some(unescaped(text));
        } else if named("CENTRAL_WAVELENGTH_UM") {
            band.central = positive(text);
        } else if named("wavelength") {
            band.wavelength = positive(text);
        } else if named("wavelength_units") {
            band.unit = Some(text);
        }
    }
    words.into_iter().map(|words| words.name(unit_of_all)).collect()
}

/// A number of a wavelength.
fn positive(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

#[cfg(feature = "gdal")]
impl BandName {
    /// From GDAL's words: the description, CENTRAL_WAVELENGTH_UM, wavelength and wavelength_units.
    pub(crate) fn of_words(
        description: Option<&str>,
        central: Option<&str>,
        wavelength: Option<&str>,
        unit: Option<&str>,
    ) -> Self {
        let [central, wavelength] = [central, wavelength].map(|text| text.and_then(positive));
        let description = description.map(str::to_owned);
        Words { description, central, wavelength, unit: None }.name(unit)
    }
}

impl Words<'_> {
    fn name(self, unit_of_all: Option<&str>) -> BandName {
        let unit = self.unit.or(unit_of_all).map_or(Some(None), |unit| factor(unit).map(Some));
        // A wavelength in a unit that is not known says nothing.
        let stated = self.wavelength.zip(unit).map(|(number, factor)| nanometres(number, factor));
        let described = || self.description.as_deref().and_then(wavelength);
        let wavelength = self.central.map(|number| number * 1e3).or(stated).or_else(described);
        BandName { description: self.description, wavelength }
    }
}

fn nanometres(number: f64, factor: Option<f64>) -> f64 {
    number * factor.unwrap_or(if number < NANOMETRES_FROM { 1e3 } else { 1.0 })
}

/// Nanometres of a unit of length.
fn factor(unit: &str) -> Option<f64> {
    match unit.to_ascii_lowercase().as_str() {
        "nm" | "nanometers" | "nanometer" | "nanometres" | "nanometre" => Some(1.0),
        "um" | "µm" | "μm" | "micrometers" | "micrometer" | "micrometres" | "micrometre" | "microns"
        | "micron" => Some(1e3),
        _ => None,
    }
}

/// The wavelength in nanometres that a text says: its only number that a unit of length follows, as in `Band 48 (650.3
/// nm)`.
pub(crate) fn wavelength(text: &str) -> Option<f64> {
    let separates = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | ':' | ';' | '=');
    let words: Vec<&str> = text.split(separates).filter(|word| !word.is_empty()).collect();
    let positive = |number: &f64| number.is_finite() && *number > 0.0;
    let of = |at: usize| {
        let word = words[at];
        let end = word.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(word.len());
        let number: f64 = word[..end].parse().ok().filter(positive)?;
        let unit = if end < word.len() { &word[end..] } else { words.get(at + 1)? };
        Some(number * factor(unit)?)
    };
    let mut found = (0..words.len()).filter_map(of);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wavelength_is_a_number_with_its_unit() {
        for (text, nm) in [
            ("665 nm", 665.0),
            ("0.665 um", 665.0),
            ("Band 48 (650.3 nm)", 650.3),
            ("404.613 Nanometers", 404.613),
            ("wavelength=2.19µm", 2190.0),
            ("[1610nm]", 1610.0),
        ] {
            let found = wavelength(text).unwrap();
            assert!((found - nm).abs() < 1e-9, "{text}: {found}");
        }
        for text in ["665", "B04", "red", "nm", "490 nm and 665 nm", "0 nm", "-3 nm", "10 m", "1e3 nm", ""] {
            assert_eq!(wavelength(text), None, "{text}");
        }
    }

    fn names(items: &str, bands: usize) -> Vec<BandName> {
        let text = format!("<GDALMetadata>{items}</GDALMetadata>");
        let document = roxmltree::Document::parse(&text).unwrap();
        band_names(document.root_element().children().filter(|node| node.has_tag_name("Item")), bands)
    }

    #[test]
    fn bands_are_known_by_each_way_in_which_gdal_writes_them() {
        let found = names(
            "<Item name=\"DESCRIPTION\" sample=\"0\" role=\"description\">red edge</Item>
             <Item name=\"wavelength\" sample=\"1\">0.665</Item>
             <Item name=\"wavelength_units\" sample=\"1\">Micrometers</Item>
             <Item name=\"CENTRAL_WAVELENGTH_UM\" sample=\"2\" domain=\"IMAGERY\">2.19</Item>
             <Item name=\"wavelength\" sample=\"3\">842</Item>
             <Item name=\"DESCRIPTION\" sample=\"4\" role=\"description\">404.6 Nanometers</Item>
             <Item name=\"wavelength\" sample=\"9\">1</Item>",
            5,
        );
        let nm: Vec<Option<f64>> = found.iter().map(|name| name.wavelength.map(f64::round)).collect();
        assert_eq!(nm, [None, Some(665.0), Some(2190.0), Some(842.0), Some(405.0)]);
        assert_eq!(found[0].description.as_deref(), Some("red edge"));
        let all = names(
            "<Item name=\"wavelength\" sample=\"0\">2</Item><Item name=\"wavelength_units\">nanometers</Item>",
            1,
        );
        assert_eq!(all[0].wavelength, Some(2.0));
        let unknown =
            "<Item name=\"wavelength\" sample=\"0\">2</Item><Item name=\"wavelength_units\">Index</Item>";
        assert_eq!(names(unknown, 1), [BandName::default()]);
        assert_eq!(names("<Item name=\"AREA\">Point</Item>", 3), vec![BandName::default(); 3]);
    }
}
