//! What a catalogue says of the numbers of a file, in place of the file: a STAC item can state the scale, the offset
//! and the value of missing pixels of each band of an asset. Where the file says something too, both must agree.

use std::fmt;

use eosfed_common::counted::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::nodata::Nodata;
use crate::bandcheck::Scaling;

/// What is done about a scale and an offset that a file states for its bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileScaling {
    /// Values are the stored numbers, times the scale, plus the offset.
    Apply,
    /// Values are the stored numbers.
    Ignore,
}

/// What is stated of one band.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct StatedBand {
    pub(crate) scaling: Option<Scaling>,
    pub(crate) nodata: Option<Nodata>,
    pub(crate) unit: Option<String>,
}

/// What is stated of the bands of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stated {
    /// Who states it, for sentences.
    pub(crate) place: String,
    /// In the order of the file; one for all bands if `every`.
    pub(crate) bands: Vec<StatedBand>,
    pub(crate) every: bool,
}

impl fmt::Display for StatedBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        let Scaling { scale, offset } = self.scaling.unwrap_or_default();
        let nodata = self.nodata.map_or_else(none, |nodata| nodata.to_string());
        let unit = self.unit.as_ref().map_or_else(none, |unit| unit.escape_debug().to_string());
        write!(f, "scale `{scale}`, offset `{offset}`, nodata `{nodata}`, unit `{unit}`")
    }
}

impl Stated {
    /// Compares it with what is stated of the same file elsewhere.
    ///
    /// # Errors
    /// If the two differ, with both.
    pub(crate) fn check_equal(&self, other: &Self) -> Result<(), String> {
        if (self.every, &self.bands) == (other.every, &other.bands) {
            return Ok(());
        }
        let differ = self.bands.iter().zip(&other.bands).find(|(one, other)| one != other);
        let found = match differ {
            Some((one, other)) => format!("{one}; and {other}"),
            None => format!("{} and {} bands", self.bands.len(), other.bands.len()),
        };
        Err(format!("{} and {} must state the same of one file, found {found}", self.place, other.place))
    }

    /// The bands of a file with so many of them.
    fn of_file(&self, bands: usize) -> Result<Vec<&StatedBand>, String> {
        match &self.bands[..] {
            [one] if self.every => Ok(vec![one; bands]),
            all if all.len() == bands => Ok(all.iter().collect()),
            all => {
                let place = &self.place;
                Err(format!(
                    "{place} must describe each of its {}, found `{}` described",
                    counted(bands, "band"),
                    all.len()
                ))
            }
        }
    }

    /// What is applied to each band of a file, of which the file itself states `own`; nothing if it is empty.
    ///
    /// # Errors
    /// If the statements differ, or if it is unclear whether they count.
    pub(crate) fn scaling(
        &self,
        own: &[Scaling],
        bands: usize,
        file_scaling: Option<FileScaling>,
        applied_later: Scaling,
    ) -> Result<Vec<Scaling>, String> {
        if file_scaling == Some(FileScaling::Ignore) {
            return Ok(Vec::new());
        }
        let stated = self.of_file(bands)?;
        let unchanged = Scaling::default();
        let mut all = Vec::with_capacity(bands);
        for (at, stated) in stated.into_iter().enumerate() {
            let own = own.get(at).copied().filter(|own| *own != unchanged);
            all.push(match (own, stated.scaling) {
                (Some(own), Some(stated)) if own != stated => return Err(self.differ(at, own, stated)),
                (Some(one), _) | (None, Some(one)) => one,
                (None, None) => unchanged,
            });
        }
        let silent = all.iter().all(|scaling| *scaling == unchanged);
        if silent || file_scaling.is_some() {
            return Ok(if silent { Vec::new() } else { all });
        }
        match all.iter().position(|scaling| *scaling != applied_later) {
            None => Ok(Vec::new()),
            Some(at) => Err(self.unclear(at, all[at])),
        }
    }

    fn differ(&self, at: usize, own: Scaling, stated: Scaling) -> String {
        format!(
            "it states a scale of `{}` and an offset of `{}` for band {} (tag 42112, GDAL_METADATA), and {} states `{}` and \
             `{}`; correct the one that is wrong, or write `file_scaling = \"ignore\"` in dataset.toml, for the stored numbers",
            own.scale,
            own.offset,
            at + 1,
            self.place,
            stated.scale,
            stated.offset
        )
    }

    fn unclear(&self, at: usize, Scaling { scale, offset }: Scaling) -> String {
        format!(
            "{} states a scale of `{scale}` and an offset of `{offset}` for its band {}, and it must be clear whether they \
             count; write `file_scaling = \"apply\"` or, for the stored numbers, `file_scaling = \"ignore\"` in dataset.toml",
            self.place,
            at + 1
        )
    }

    /// The value of missing pixels that is stated of a file, which itself has `own` or a mask; none if the file's counts.
    ///
    /// # Errors
    /// If it differs from the file's, if the file has a mask instead, or if bands have different ones.
    pub(crate) fn nodata(
        &self,
        own: Option<Nodata>,
        mask: bool,
        bands: usize,
    ) -> Result<Option<Nodata>, String> {
        let place = &self.place;
        let stated = self.of_file(bands)?;
        let Some(first) = stated.iter().find_map(|band| band.nodata) else { return Ok(None) };
        if let Some(other) = stated.iter().find(|band| band.nodata != Some(first)) {
            let other = other.nodata.map_or_else(|| "none".to_owned(), |other| other.to_string());
            return Err(format!(
                "{place} must state the same value of missing pixels (`nodata`) for all bands, found `{first}` and `{other}`; \
                 write the one that counts into the file, `gdal_edit.py -a_nodata VALUE`, and take it out of the item"
            ));
        }
        if mask {
            return Err(format!(
                "it has a mask inside it, and {place} states `{first}` for missing pixels (`nodata`), so that it is unclear \
                 which of them counts; take the wrong one out"
            ));
        }
        match own {
            Some(own) if own != first => Err(format!(
                "its value of missing pixels is `{own}` (tag 42113, GDAL_NODATA), and {place} states `{first}`; correct the \
                 one that is wrong"
            )),
            Some(_) => Ok(None),
            None => Ok(Some(first)),
        }
    }
}

/// Scales bands of so many pixels each in place.
pub(super) fn scale(values: &mut [f32], pixels: usize, scaling: &[Scaling]) {
    for (band, Scaling { scale, offset }) in values.chunks_exact_mut(pixels.max(1)).zip(scaling) {
        band.iter_mut().for_each(|value| *value = (f64::from(*value) * scale + offset) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANDSAT: Scaling = Scaling { scale: 0.0000275, offset: -0.2 };

    fn stated(bands: &[StatedBand], every: bool) -> Stated {
        Stated { place: "item `i`, asset `a`".to_owned(), bands: bands.to_vec(), every }
    }

    fn scaled(scaling: Scaling) -> StatedBand {
        StatedBand { scaling: Some(scaling), ..StatedBand::default() }
    }

    fn missing(text: &str) -> StatedBand {
        StatedBand { nodata: Nodata::parse(text.as_bytes()).unwrap(), ..StatedBand::default() }
    }

    const LATER: Scaling = Scaling { scale: 1.0, offset: 0.0 };

    #[test]
    fn a_band_takes_the_scale_of_the_file_or_of_the_item_and_never_one_of_two() {
        let apply = Some(FileScaling::Apply);
        let one = stated(&[scaled(LANDSAT)], true);
        assert_eq!(one.scaling(&[], 2, apply, LATER).unwrap(), [LANDSAT; 2]);
        assert_eq!(one.scaling(&[LANDSAT, Scaling::default()], 2, apply, LATER).unwrap(), [LANDSAT; 2]);
        let other = Scaling { scale: 0.0001, offset: -0.2 };
        let error = one.scaling(&[LANDSAT, other], 2, apply, LATER).unwrap_err();
        assert!(
            error.contains("`0.0001`") && error.contains("`0.0000275`") && error.contains("band 2"),
            "{error}"
        );
        // That a number is itself is a statement too.
        let unchanged = stated(&[scaled(Scaling::default())], true);
        assert!(unchanged.scaling(&[LANDSAT], 1, apply, LATER).is_err());
        assert_eq!(unchanged.scaling(&[], 1, None, LATER).unwrap(), []);
        // Of a band that the item says nothing of, the file's counts.
        let second = stated(&[StatedBand::default(), scaled(other)], false);
        assert_eq!(
            second.scaling(&[LANDSAT, Scaling::default()], 2, apply, LATER).unwrap(),
            [LANDSAT, other]
        );
        assert!(second.scaling(&[], 3, apply, LATER).unwrap_err().contains("each of its 3 bands, found `2`"));
    }

    #[test]
    fn without_a_word_a_stated_scale_is_refused_unless_the_data_set_applies_it() {
        let one = stated(&[scaled(LANDSAT)], true);
        let error = one.scaling(&[], 1, None, LATER).unwrap_err();
        assert!(error.contains("item `i`, asset `a` states a scale of `0.0000275`"), "{error}");
        assert_eq!(one.scaling(&[], 1, None, LANDSAT).unwrap(), []);
        assert_eq!(one.scaling(&[], 1, Some(FileScaling::Ignore), LATER).unwrap(), []);
    }

    #[test]
    fn missing_values_of_file_and_item_must_be_one() {
        let of = |text: &str| Nodata::parse(text.as_bytes()).unwrap();
        let one = stated(&[missing("-9999")], true);
        assert_eq!(one.nodata(None, false, 2).unwrap(), of("-9999.0"));
        assert_eq!(one.nodata(of("-9999.0"), false, 1).unwrap(), None);
        let error = one.nodata(of("0"), false, 1).unwrap_err();
        assert!(error.contains("`0`") && error.contains("`-9999`"), "{error}");
        assert!(one.nodata(None, true, 1).unwrap_err().contains("it has a mask inside it"));
        assert_eq!(stated(&[missing("nan")], true).nodata(of("nan"), false, 1).unwrap(), None);
        for other in ["0", ""] {
            let two = stated(&[missing("-9999"), missing(other)], false);
            assert!(
                two.nodata(None, false, 2).unwrap_err().contains("for all bands, found `-9999`"),
                "{other}"
            );
        }
    }
}
