//! The keys of a reference system (OGC GeoTIFF 1.1, section 7.4), as far as they are needed to compare two of
//! them.

use std::collections::BTreeMap;

use super::GeoReference;

const DOUBLES: u16 = 34736;
const TEXT: u16 = 34737;
const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const PIXEL_IS_POINT: u16 = 2;
const GEOGRAPHIC: u16 = 2;
const GEODETIC_SYSTEM: u16 = 2048;
const ANGULAR_UNITS: u16 = 2054;
const PROJECTED_SYSTEM: u16 = 3072;
const PROJECTED_CITATION: u16 = 3073;
/// Keys from here on are of heights.
const VERTICAL: u16 = 4096;
/// A value that only the other keys explain.
const USER_DEFINED: u16 = 32767;
/// Two codes of the same degree; GDAL has written both.
const DEGREE_OF_SUPPLIER: u16 = 9122;
const DEGREE: u16 = 9102;
/// How a projection is given for which there are no keys.
const ESRI_STRING: &str = "ESRI PE String";
/// Relative difference of two parameters that are equal.
const NOISE: f64 = 1e-9;

/// The value of a key.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Code(u16),
    Numbers(Vec<f64>),
    Text(String),
}

/// The keys that define a reference system.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReferenceSystem(BTreeMap<u16, Value>);

/// The result of comparing two reference systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comparison {
    /// They are equal.
    Equal,
    /// They differ, with both values.
    Different(String, String),
    /// Nothing contradicts, but they are defined in ways that cannot be compared.
    Unknown,
}

/// Whether coordinates are those of pixel centres.
pub(super) fn counts_from_centres(reference: &GeoReference) -> bool {
    entries(reference).any(|(key, value)| key == RASTER_TYPE && value == Value::Code(PIXEL_IS_POINT))
}

/// The code of a key, if it has one.
pub(super) fn code(reference: &GeoReference, wanted: u16) -> Option<u16> {
    entries(reference).find_map(|(key, value)| match value {
        Value::Code(code) if key == wanted => Some(code),
        _ => None,
    })
}

/// Keys with their values; a key that points outside the parameters is left out.
fn entries(reference: &GeoReference) -> impl Iterator<Item = (u16, Value)> {
    let keys = reference.keys.get(4..).unwrap_or_default();
    keys.chunks_exact(4).filter_map(|entry| {
        let start = usize::from(entry[3]);
        let count = usize::from(entry[2]);
        let value = match entry[1] {
            0 => Value::Code(entry[3]),
            DOUBLES => Value::Numbers(reference.doubles.get(start..start + count)?.to_vec()),
            TEXT => Value::Text(reference.text.get(start..start + count)?.to_owned()),
            _ => return None,
        };
        Some((entry[0], value))
    })
}

impl ReferenceSystem {
    /// The reference system of a file; `None` if it has none.
    pub(super) fn of(reference: &GeoReference) -> Option<Self> {
        let defines = |(key, value): &(u16, Value)| match value {
            Value::Code(_) | Value::Numbers(_) => *key < VERTICAL && *key != RASTER_TYPE,
            Value::Text(text) => *key == PROJECTED_CITATION && text.starts_with(ESRI_STRING),
        };
        let degree = |(key, value): (u16, Value)| {
            let supplied = key == ANGULAR_UNITS && value == Value::Code(DEGREE_OF_SUPPLIER);
            (key, if supplied { Value::Code(DEGREE) } else { value })
        };
        let keys: BTreeMap<u16, Value> = entries(reference).filter(defines).map(degree).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    fn code_of(&self, key: u16) -> Option<u16> {
        match self.0.get(&key) {
            Some(Value::Code(code)) if *code != 0 && *code != USER_DEFINED => Some(*code),
            _ => None,
        }
    }

    /// The code that defines all of it.
    pub(super) fn code(&self) -> Option<u16> {
        let geographic = || {
            let model = self.code_of(MODEL_TYPE);
            let only = !self.0.contains_key(&PROJECTED_SYSTEM);
            (model == Some(GEOGRAPHIC) || (model.is_none() && only)).then(|| self.code_of(GEODETIC_SYSTEM))?
        };
        self.code_of(PROJECTED_SYSTEM).or_else(geographic)
    }

    pub(super) fn compared(&self, other: &Self) -> Comparison {
        match (self.code(), other.code()) {
            (Some(mine), Some(theirs)) if mine == theirs => return Comparison::Equal,
            (Some(mine), Some(theirs)) => {
                return Comparison::Different(format!("EPSG:{mine}"), format!("EPSG:{theirs}"));
            }
            (Some(_), None) | (None, Some(_)) | (None, None) => {}
        }
        let defined = |value: &Value| *value != Value::Code(USER_DEFINED) && *value != Value::Code(0);
        for (key, mine) in self.0.iter().filter(|(_, value)| defined(value)) {
            match other.0.get(key) {
                Some(theirs) if defined(theirs) && !alike(mine, theirs) => {
                    return Comparison::Different(said(*key, mine), said(*key, theirs));
                }
                Some(_) | None => {}
            }
        }
        let equal = self.code() == other.code() && self.0.keys().eq(other.0.keys());
        if equal { Comparison::Equal } else { Comparison::Unknown }
    }
}

fn alike(mine: &Value, theirs: &Value) -> bool {
    match (mine, theirs) {
        (Value::Numbers(mine), Value::Numbers(theirs)) => {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= NOISE * a.abs().max(b.abs());
            mine.len() == theirs.len() && mine.iter().zip(theirs).all(near)
        }
        _ => mine == theirs,
    }
}

fn said(key: u16, value: &Value) -> String {
    const MOST: usize = 200;
    match (key, value) {
        (MODEL_TYPE, Value::Code(1)) => "a projected system".to_owned(),
        (MODEL_TYPE, Value::Code(GEOGRAPHIC)) => "longitudes and latitudes".to_owned(),
        (_, Value::Code(code)) => format!("key {key} = {code}"),
        (_, Value::Numbers(numbers)) => format!("key {key} = {numbers:?}"),
        (_, Value::Text(text)) => text.chars().take(MOST).collect::<String>().escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(keys: &[[u16; 4]], doubles: &[f64], text: &str) -> ReferenceSystem {
        let header = [1, 1, 0, u16::try_from(keys.len()).unwrap()];
        let keys = header.into_iter().chain(keys.iter().flatten().copied()).collect();
        let doubles = doubles.to_vec();
        let text = text.to_owned();
        ReferenceSystem::of(&GeoReference { keys, doubles, text, ..GeoReference::default() }).unwrap()
    }

    const PROJECTED: [u16; 4] = [MODEL_TYPE, 0, 1, 1];
    const OWN: [u16; 4] = [PROJECTED_SYSTEM, 0, 1, USER_DEFINED];

    fn epsg(code: u16) -> ReferenceSystem {
        system(&[PROJECTED, [PROJECTED_SYSTEM, 0, 1, code]], &[], "")
    }

    #[test]
    fn codes_are_compared_if_both_have_one() {
        let wordy = system(&[PROJECTED, [2049, TEXT, 4, 0], [PROJECTED_SYSTEM, 0, 1, 32633]], &[], "abc|");
        assert_eq!(epsg(32633).compared(&wordy), Comparison::Equal);
        let different = Comparison::Different("EPSG:32633".to_owned(), "EPSG:32634".to_owned());
        assert_eq!(epsg(32633).compared(&epsg(32634)), different);
        let degrees = |unit| {
            system(
                &[[MODEL_TYPE, 0, 1, 2], [GEODETIC_SYSTEM, 0, 1, 4326], [ANGULAR_UNITS, 0, 1, unit]],
                &[],
                "",
            )
        };
        assert_eq!(degrees(9102).compared(&degrees(9122)), Comparison::Equal);
        assert!(matches!(degrees(9102).compared(&epsg(32633)), Comparison::Different(..)));
    }

    #[test]
    fn user_defined_systems_are_compared_by_parameters() {
        let own = |latitude: f64| {
            let parallel = [3082, DOUBLES, 1, 0];
            system(&[PROJECTED, OWN, [3075, 0, 1, 10], parallel], &[latitude], "")
        };
        assert_eq!(own(50.0).compared(&own(50.0 + 1e-12)), Comparison::Equal);
        let Comparison::Different(mine, theirs) = own(50.0).compared(&own(51.0)) else {
            panic!("they differ")
        };
        assert_eq!([mine.as_str(), theirs.as_str()], ["key 3082 = [50.0]", "key 3082 = [51.0]"]);
        // One has a code and the other parameters: nothing contradicts.
        assert_eq!(own(50.0).compared(&epsg(3035)), Comparison::Unknown);
        let esri = |name: &str| {
            let text = format!("{ESRI_STRING} = {name}");
            system(&[[PROJECTED_CITATION, TEXT, u16::try_from(text.len()).unwrap(), 0]], &[], &text)
        };
        assert_eq!(esri("Mollweide").compared(&esri("Mollweide")), Comparison::Equal);
        assert!(matches!(esri("Mollweide").compared(&esri("Robinson")), Comparison::Different(..)));
    }

    #[test]
    fn keys_that_point_outside_are_left_out() {
        let outside = [[3082, DOUBLES, 3, 65_000], [3073, TEXT, 9, 65_000], [1, 7, 0, 0]];
        let found = system(&[&outside[..], &[PROJECTED]].concat(), &[1.0], "é");
        assert_eq!(found, system(&[PROJECTED], &[], ""));
    }
}
