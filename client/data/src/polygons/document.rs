//! Reading GeoJSON (RFC 7946, and the member `crs` of the specification of 2008). Only polygons and the value of one
//! property are kept, and each bound is checked while the file is read.

use std::fmt;
use std::io::{BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::classes::{Classes, Others};
use super::system::{WGS84, code};
use crate::error::DataError;
use crate::open::open_regular;
use crate::sample::IGNORE;

/// Most bytes of a file.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// Most features of a file.
const MOST_FEATURES: usize = 1_000_000;
/// Most positions of all rings, which take 16 bytes each.
const MOST_VERTICES: usize = 20_000_000;

/// What is kept of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// The EPSG code of its reference system.
    pub(super) system: u16,
    pub(super) features: Vec<Feature>,
    /// Values without a class, and how many features have each.
    pub(super) others: Vec<(String, u64)>,
}

/// A feature.
#[derive(Debug, PartialEq)]
pub(super) struct Feature {
    /// Its class, or [`IGNORE`].
    pub(super) class: u8,
    /// The rings of each of its polygons, of which all but the first are holes; none if it has no area.
    pub(super) polygons: Vec<Vec<Ring>>,
}

pub(super) type Ring = Vec<[f64; 2]>;

/// Reads a file.
///
/// # Errors
/// If it cannot be read, exceeds a bound, or is not GeoJSON of polygons.
pub(super) fn read(path: &Path, classes: &Classes) -> Result<Document, DataError> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(|error| DataError::file(path, error))?.len();
    if length > MOST_BYTES {
        let reason = format!(
            "a file of polygons may take {MOST_BYTES} bytes, found `{length}`; divide it by `ogr2ogr -clipsrc`"
        );
        return Err(DataError::file(path, reason));
    }
    parse(BufReader::with_capacity(1 << 20, file.take(MOST_BYTES)), classes)
        .map_err(|reason| DataError::file(path, reason))
}

fn parse(from: impl std::io::Read, classes: &Classes) -> Result<Document, String> {
    let mut parser = serde_json::Deserializer::from_reader(from);
    let mut reader = Reader::new(classes);
    let read = Collection(&mut reader).deserialize(&mut parser);
    let (system, features) = read
        .and_then(|found| parser.end().map(|()| found))
        .map_err(|error| format!("must be GeoJSON of polygons: {error}"))?;
    Ok(reader.finish(system, features))
}

/// That all rings have no more positions than are kept.
///
/// # Errors
/// With both numbers, if they have.
pub(super) fn check_vertices(vertices: usize) -> Result<(), String> {
    if vertices <= MOST_VERTICES {
        return Ok(());
    }
    Err(format!(
        "rings may have {MOST_VERTICES} positions in all, found {vertices} or more; divide the file by `ogr2ogr -clipsrc`"
    ))
}

/// What has been read so far.
pub(super) struct Reader<'a> {
    classes: &'a Classes,
    others: Others,
    features: usize,
    vertices: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(classes: &'a Classes) -> Self {
        Self { classes, others: Others::default(), features: 0, vertices: 0 }
    }

    /// A feature begins.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.features += 1;
        if self.features <= MOST_FEATURES {
            return Ok(());
        }
        Err(format!("a file may have {MOST_FEATURES} features, found more; divide it by `ogr2ogr -clipsrc`"))
    }

    /// So many positions are read next.
    ///
    /// # Errors
    /// If there are too many.
    #[cfg(feature = "gdal")]
    pub(super) fn expect(&mut self, positions: usize) -> Result<(), String> {
        self.vertices = self.vertices.saturating_add(positions);
        check_vertices(self.vertices)
    }

    pub(super) fn finish(self, system: u16, features: Vec<Feature>) -> Document {
        Document { system, features, others: self.others.list() }
    }

    /// The class of a value.
    pub(super) fn class(&mut self, value: Option<&str>) -> u8 {
        let class = value.and_then(|value| self.classes.values.get(value)).copied();
        if class.is_none() {
            self.others.add(value);
        }
        class.unwrap_or(IGNORE)
    }
}

/// Reads the outermost object.
struct Collection<'r, 'a>(&'r mut Reader<'a>);

impl<'de> DeserializeSeed<'de> for Collection<'_, '_> {
    type Value = (u16, Vec<Feature>);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Collection<'_, '_> {
    type Value = (u16, Vec<Feature>);

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object with `type` and `features`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kind: Option<String> = None;
        let mut system = WGS84;
        let mut features = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "crs" => system = named(map.next_value()?).map_err(A::Error::custom)?,
                "features" if features.is_some() => return Err(A::Error::duplicate_field("features")),
                "features" => features = Some(map.next_value_seed(Features(&mut *self.0))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (kind.as_deref(), features) {
            (Some("FeatureCollection"), Some(features)) => Ok((system, features)),
            (kind, _) => {
                let kind = kind.unwrap_or("nothing").chars().take(40).collect::<String>();
                let found = kind.escape_debug();
                Err(A::Error::custom(format!(
                    "`type` must be `FeatureCollection` beside `features`, found `{found}`"
                )))
            }
        }
    }
}

/// The member `crs`.
#[derive(Deserialize)]
struct Crs {
    properties: Option<CrsProperties>,
}

#[derive(Deserialize)]
struct CrsProperties {
    name: Option<String>,
}

/// The EPSG code that the member says.
fn named(crs: Option<Crs>) -> Result<u16, String> {
    let name = crs.and_then(|crs| crs.properties?.name);
    let Some(name) = name else {
        return Err("`crs` must name a reference system, found none; `ogr2ogr -a_srs` gives a file its own"
            .to_owned());
    };
    code(&name).ok_or_else(|| {
        let found = name.chars().take(100).collect::<String>();
        format!(
            "`crs` must name a reference system by its EPSG code, `urn:ogc:def:crs:EPSG::32633`, or be CRS84, found `{}`; bring \
             the file into the system of the images by `ogr2ogr -t_srs EPSG:…`",
            found.escape_debug()
        )
    })
}

struct Features<'r, 'a>(&'r mut Reader<'a>);

impl<'de> DeserializeSeed<'de> for Features<'_, '_> {
    type Value = Vec<Feature>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Features<'_, '_> {
    type Value = Vec<Feature>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut features = Vec::new();
        while let Some(feature) = list.next_element_seed(OneFeature(&mut *self.0))? {
            features.push(feature);
        }
        Ok(features)
    }
}

struct OneFeature<'r, 'a>(&'r mut Reader<'a>);

impl<'de> DeserializeSeed<'de> for OneFeature<'_, '_> {
    type Value = Feature;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.begin().map_err(D::Error::custom)?;
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneFeature<'_, '_> {
    type Value = Feature;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a feature")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self(reader) = self;
        let number = reader.features;
        let fail = |reason: String| A::Error::custom(format!("feature {number}: {reason}"));
        let mut kind: Option<String> = None;
        let mut value = None;
        let mut polygons = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "properties" => value = map.next_value_seed(Property(&reader.classes.attribute))?,
                "geometry" => {
                    let Geometry { kind, coordinates } =
                        map.next_value_seed(OneGeometry(&mut reader.vertices))?;
                    polygons = Some(shapes(kind.as_deref(), coordinates).map_err(fail)?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if kind.as_deref() != Some("Feature") {
            return Err(fail("its `type` must be `Feature`".to_owned()));
        }
        let class = reader.class(value.as_deref());
        Ok(Feature { class, polygons: polygons.unwrap_or_default() })
    }
}

/// Reads the value of one property as text; none if it is not there, or null.
struct Property<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Property<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Property<'_> {
    type Value = Option<String>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("properties, or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                found = map.next_value::<Text>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A value as text: whole numbers without a point, lists and objects by what they are.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(Some(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        // 311.0 is written `311`; no number is written `-0`.
        Ok(Text(Some((value + 0.0).to_string())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text(Some(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(Some("[a list]".to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(Some("{an object}".to_owned())))
    }
}

/// A geometry as it is written; without a kind where it is null.
#[derive(Default)]
struct Geometry {
    kind: Option<String>,
    coordinates: Option<Nested>,
}

/// Reads a geometry, and counts positions.
struct OneGeometry<'r>(&'r mut usize);

impl<'de> DeserializeSeed<'de> for OneGeometry<'_> {
    type Value = Geometry;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Geometry, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneGeometry<'_> {
    type Value = Geometry;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a geometry, or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Geometry, E> {
        Ok(Geometry::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Geometry, A::Error> {
        let mut found = Geometry::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => found.kind = Some(map.next_value()?),
                "coordinates" => {
                    let seed = NestedSeed { vertices: &mut *self.0, depth: 0 };
                    found.coordinates = Some(map.next_value_seed(seed)?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if found.kind.is_none() {
            return Err(A::Error::missing_field("type"));
        }
        Ok(found)
    }
}

/// Coordinates: a position, or a list of such or of lists.
#[derive(Debug)]
enum Nested {
    Position([f64; 2]),
    List(Vec<Nested>),
}

/// A number, or what holds some.
enum Item {
    Number(f64),
    Nested(Nested),
}

/// Reads coordinates that lie in so many lists.
struct NestedSeed<'r> {
    vertices: &'r mut usize,
    depth: usize,
}

/// Lists in which a position of a multipolygon lies, with its own.
const MOST_DEPTH: usize = 4;

impl<'de> DeserializeSeed<'de> for NestedSeed<'_> {
    type Value = Nested;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Nested, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for NestedSeed<'_> {
    type Value = Nested;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of coordinates")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nested, A::Error> {
        let Self { vertices, depth } = self;
        if depth >= MOST_DEPTH {
            return Err(A::Error::custom(format!(
                "coordinates of polygons lie in {MOST_DEPTH} lists at most, found more"
            )));
        }
        let mut found = Vec::new();
        while let Some(item) =
            list.next_element_seed(ItemSeed(NestedSeed { vertices: &mut *vertices, depth: depth + 1 }))?
        {
            match item {
                Item::Nested(nested) => found.push(nested),
                Item::Number(x) if found.is_empty() => {
                    *vertices += 1;
                    check_vertices(*vertices).map_err(A::Error::custom)?;
                    let y = list
                        .next_element()?
                        .ok_or_else(|| A::Error::custom("a position has two numbers, found one"))?;
                    // A height, and what some programs write after it.
                    while list.next_element::<f64>()?.is_some() {}
                    return Ok(Nested::Position([x, y]));
                }
                Item::Number(_) => {
                    return Err(A::Error::custom("a list has positions or numbers, found both"));
                }
            }
        }
        Ok(Nested::List(found))
    }
}

struct ItemSeed<'r>(NestedSeed<'r>);

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Item, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = Item;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a coordinate or a list of such")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Item, E> {
        Ok(Item::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Item, E> {
        Ok(Item::Number(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Item, A::Error> {
        self.0.visit_seq(list).map(Item::Nested)
    }
}

/// The polygons of a geometry.
fn shapes(kind: Option<&str>, coordinates: Option<Nested>) -> Result<Vec<Vec<Ring>>, String> {
    let polygons = match (kind, coordinates) {
        (None, _) => return Ok(Vec::new()),
        (Some("Polygon"), Some(polygon)) => vec![polygon],
        (Some("MultiPolygon"), Some(Nested::List(polygons))) => polygons,
        (Some(kind @ ("Polygon" | "MultiPolygon")), _) => {
            return Err(format!("a {kind} must have lists of `coordinates`"));
        }
        (Some(other), _) => {
            let other = other.chars().take(40).collect::<String>();
            return Err(format!(
                "must be a Polygon or a MultiPolygon, found `{}`; leave it out, or draw its outline",
                other.escape_debug()
            ));
        }
    };
    let rings = polygons.into_iter().map(|polygon| match polygon {
        Nested::List(rings) => rings.into_iter().map(ring).collect::<Result<Vec<Ring>, String>>(),
        Nested::Position(_) => Err("a polygon must be a list of rings, found a position".to_owned()),
    });
    let polygons: Vec<Vec<Ring>> = rings.collect::<Result<_, _>>()?;
    // An empty polygon is written without a ring.
    Ok(polygons.into_iter().filter(|rings| !rings.is_empty()).collect())
}

fn ring(nested: Nested) -> Result<Ring, String> {
    let Nested::List(positions) = nested else {
        return Err("a ring must be a list of positions, found a position".to_owned());
    };
    let position = |nested: Nested| match nested {
        Nested::Position(position) => Ok(position),
        Nested::List(_) => Err("a ring must be a list of positions, found a list of lists".to_owned()),
    };
    closed(positions.into_iter().map(position).collect::<Result<_, _>>()?)
}

/// Checks that a ring is one.
///
/// # Errors
/// If it has too few positions, or its last one is not its first one.
pub(super) fn closed(ring: Ring) -> Result<Ring, String> {
    let [first, _, .., _, last] = &ring[..] else {
        return Err(format!("a ring must have four positions or more, found {}", ring.len()));
    };
    if first != last {
        return Err(format!(
            "a ring must be closed, its last position its first, found {last:?} after {first:?}; repeat the first"
        ));
    }
    Ok(ring)
}

#[cfg(test)]
mod tests;
