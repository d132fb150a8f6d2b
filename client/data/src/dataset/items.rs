//! The items of a STAC item collection as rows of a table, and what they state about the numbers of their assets: by
//! `raster:bands` (STAC 1.0), or by `bands` and fields of the asset or the item (STAC 1.1, extension Raster 2).

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::rows::{Row, Table, joined};
use crate::bandcheck::Scaling;
use crate::error::DataError;
use crate::geotiff::{Nodata, Stated, StatedBand};
use crate::open::open_regular;

/// Most bytes of an item collection, which is read whole.
const MOST_BYTES: u64 = 256 << 20;
/// Most bands that an item may describe of an asset.
const MOST_BANDS: usize = 1024;

/// Reads an item collection.
///
/// # Errors
/// If it cannot be read, is too large, or is none.
pub(super) fn open(path: &Path) -> Result<Table, DataError> {
    let mut bytes = Vec::new();
    let read = open_regular(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| DataError::file(path, error))?;
    if bytes.len() as u64 > MOST_BYTES {
        let reason = format!("an item collection may take {MOST_BYTES} bytes, found more");
        return Err(DataError::file(path, reason));
    }
    let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| DataError::file(path, error))?;
    let Some(Value::Array(items)) = document.get_mut("features").map(Value::take) else {
        let reason = "must be a STAC item collection, a GeoJSON object with `features`; found none";
        return Err(DataError::file(path, reason));
    };
    let columns = columns(&items);
    let names = columns.iter().map(|column| column.name.clone()).collect();
    let row = move |item: Value| {
        let cells = columns.iter().map(|column| cell(&item, column)).collect();
        let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
        Ok(Row { cells, place: format!("item `{}`", id.escape_debug()), item: Some(item) })
    };
    Ok(Table { columns: names, rows: Box::new(items.into_iter().map(row)) })
}

/// A column of an item collection.
struct Column {
    name: String,
    from: From,
}

enum From {
    Id,
    /// The middle of the box, from west to east or from south to north.
    Middle(usize),
    Asset(String),
    Property(String),
}

/// Assets come before properties: a property with the name of an asset is called `properties.NAME`.
fn columns(items: &[Value]) -> Vec<Column> {
    let keys = |part: &str| {
        let maps = items.iter().filter_map(|item| item.get(part)?.as_object());
        maps.flat_map(|map| map.keys().cloned()).collect::<BTreeSet<String>>()
    };
    let fixed = [("id", From::Id), ("lon", From::Middle(0)), ("lat", From::Middle(1))];
    let mut columns: Vec<Column> =
        fixed.into_iter().map(|(name, from)| Column { name: name.to_owned(), from }).collect();
    columns
        .extend(keys("assets").into_iter().map(|key| Column { name: key.clone(), from: From::Asset(key) }));
    for key in keys("properties") {
        let taken = columns.iter().any(|column| column.name == key);
        let name = if taken { format!("properties.{key}") } else { key.clone() };
        columns.push(Column { name, from: From::Property(key) });
    }
    columns
}

fn cell(item: &Value, column: &Column) -> String {
    let found = match &column.from {
        From::Id => item.get("id"),
        From::Middle(axis) => {
            return middle(item, *axis).map_or_else(String::new, |middle| middle.to_string());
        }
        From::Asset(key) => item.get("assets").and_then(|assets| assets.get(key)?.get("href")),
        From::Property(key) => item.get("properties").and_then(|properties| properties.get(key)),
    };
    found.map(text).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.strip_prefix("file://").unwrap_or(text).to_owned(),
        Value::Array(list) => joined(list.iter().map(text)),
        other => other.to_string(),
    }
}

/// Of the box, which has two or three coordinates of each of two corners.
fn middle(item: &Value, axis: usize) -> Option<f64> {
    let corners = item.get("bbox")?.as_array()?;
    let at = |index: usize| corners.get(index)?.as_f64();
    Some(f64::midpoint(at(axis)?, at(axis + corners.len() / 2)?))
}

/// What an item states about the numbers of a file, which is an asset of it by its path relative to `root`.
///
/// # Errors
/// If it states something that is none of the kind, or two things.
pub(super) fn stated(item: &Value, root: &Path, file: &Path) -> Result<Option<Arc<Stated>>, String> {
    let assets = item.get("assets").and_then(Value::as_object).into_iter().flatten();
    let is_file = |asset: &Value| asset.get("href").is_some_and(|href| root.join(text(href).trim()) == file);
    let id = item.get("id").and_then(Value::as_str).unwrap_or_default().escape_debug();
    let mut found: Option<Arc<Stated>> = None;
    for (key, asset) in assets.filter(|(_, asset)| is_file(asset)) {
        let key = key.escape_debug();
        let described = described(item, asset).map_err(|reason| format!("asset `{key}`: {reason}"))?;
        let Some((bands, every)) = described else { continue };
        let stated = Stated { place: format!("item `{id}`, asset `{key}`,"), bands, every };
        match &found {
            Some(other) => other.check_equal(&stated)?,
            None => found = Some(Arc::new(stated)),
        }
    }
    Ok(found)
}

/// What is stated of the bands of an asset, and whether one entry is for all of them; none if nothing is.
fn described(item: &Value, asset: &Value) -> Result<Option<(Vec<StatedBand>, bool)>, String> {
    let lists = ["bands", "raster:bands"].map(|key| asset.get(key).and_then(Value::as_array));
    let count = lists.iter().flatten().map(|list| list.len()).max().unwrap_or(0);
    if count > MOST_BANDS {
        return Err(format!("an item may describe {MOST_BANDS} bands of an asset, found {count}"));
    }
    let band = |at: usize| {
        let own = lists.iter().flatten().filter_map(|list| list.get(at)).collect();
        Levels { band: own, above: std::iter::once(asset).chain(item.get("properties")).collect() }.band()
    };
    let all: Vec<StatedBand> = (0..count.max(1)).map(band).collect::<Result<_, _>>()?;
    let silent = all.iter().all(|band| *band == StatedBand::default());
    Ok((!silent).then_some((all, count == 0)))
}

/// Where something can be stated of a band.
struct Levels<'a> {
    /// At the band, which can be described twice.
    band: Vec<&'a Value>,
    /// Otherwise at the asset, otherwise at the item.
    above: Vec<&'a Value>,
}

impl Levels<'_> {
    fn band(&self) -> Result<StatedBand, String> {
        let [scale, offset] = [self.number("scale")?, self.number("offset")?];
        if scale == Some(0.0) {
            return Err("`scale` must not be 0, found `0`".to_owned());
        }
        let unchanged = Scaling::default();
        let scaling = (scale.is_some() || offset.is_some()).then(|| Scaling {
            scale: scale.unwrap_or(unchanged.scale),
            offset: offset.unwrap_or(unchanged.offset),
        });
        let nodata = match self.field("nodata", "nodata")? {
            None => None,
            Some(value) => Nodata::parse(text(value).as_bytes()).map_err(|()| {
                format!("`nodata` must be a number, `nan`, `inf` or `-inf`, found `{}`", shown(value))
            })?,
        };
        let unit = match self.field("unit", "unit")? {
            None => None,
            Some(Value::String(unit)) => Some(unit.clone()),
            Some(other) => return Err(format!("`unit` must be text, found `{}`", shown(other))),
        };
        Ok(StatedBand { scaling, nodata, unit })
    }

    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.field(name, &format!("raster:{name}"))? else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| format!("`{name}` must be a finite number, found `{}`", shown(value)))
    }

    /// The nearest statement: at the band under either name, above it under the extension's only, since an asset can have
    /// another `scale`.
    fn field(&self, name: &str, prefixed: &str) -> Result<Option<&Value>, String> {
        let there = |part: &&Value, name: &str| part.get(name).is_some_and(|value| !value.is_null());
        let of_band = self.band.iter().flat_map(|part| {
            let names = if name == prefixed { vec![name] } else { vec![name, prefixed] };
            names.into_iter().filter(|name| there(part, name)).map(|name| &part[name])
        });
        let of_band: Vec<&Value> = of_band.collect();
        let same =
            |one: &Value, other: &Value| one == other || (one.is_number() && one.as_f64() == other.as_f64());
        match &of_band[..] {
            [] => Ok(self.above.iter().find(|part| there(part, prefixed)).map(|part| &part[prefixed])),
            [first, rest @ ..] => match rest.iter().find(|other| !same(first, other)) {
                None => Ok(Some(first)),
                Some(other) => Err(format!(
                    "`{name}` must be stated once for a band, found `{}` and `{}`",
                    shown(first),
                    shown(other)
                )),
            },
        }
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect::<String>().escape_debug().to_string()
}
