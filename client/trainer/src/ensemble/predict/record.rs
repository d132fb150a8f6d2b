//! What the folder of many maps says of them: how they were made, and what was warned of.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use eosfed_common::colour::ClassColours;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::head::HeadFile;
use eosfed_data::{
    BaselineOffset, Complex, FileBand, FileScaling, OwnScalings, Reading, unwritable, write_public,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::EnsembleError;
use super::options::PredictOptions;

/// The file in the folder of the maps that says how they were made.
const RECORD: &str = "predict.json";
/// The file with a line for each map: what was warned of. The last line about a map counts.
const WARNINGS: &str = "predict.warnings.jsonl";
/// Most bytes of the file of warnings that are read: 10 KB for each scene of the longest list.
const MOST_WARNINGS: u64 = 1 << 30;

/// Both files.
pub(super) fn paths(folder: &Path) -> [PathBuf; 2] {
    [RECORD, WARNINGS].map(|name| folder.join(name))
}

/// How the maps of a folder were made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    head: Digest,
    bands: Vec<String>,
    scale: f64,
    offset: f64,
    nodata: Option<Marker>,
    window: Option<usize>,
    overlap: Option<usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    confidence: bool,
    #[serde(default)]
    strict: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    file_bands: Vec<FileBand>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complex: Option<Complex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_scaling: Option<FileScaling>,
    #[serde(default, skip_serializing_if = "OwnScalings::is_empty")]
    band_scaling: OwnScalings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline_offset: Option<BaselineOffset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid: Option<String>,
    #[serde(default, skip_serializing_if = "ClassColours::is_empty")]
    class_colours: ClassColours,
}

/// The value of pixels without data. JSON has no numbers that are not finite, and NaN is not equal to itself.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Marker {
    Finite(f64),
    /// `NaN`, `inf` or `-inf`.
    Other(String),
}

impl From<f64> for Marker {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Finite(value) } else { Self::Other(value.to_string()) }
    }
}

impl Record {
    pub(super) fn of(options: &PredictOptions, head: &HeadFile) -> Result<Self, EnsembleError> {
        let path = options.head.join(HeadFile::WEIGHTS);
        // No argument says properties of bands.
        let Reading { bands, band_info: _, file_bands, complex, .. } = options.reading.clone();
        let Reading { file_scaling, baseline_offset, valid, nodata, scale, offset, band_scaling, .. } =
            options.reading.clone();
        Ok(Self {
            head: files::digest(&path).map_err(|error| EnsembleError::file(&path, error))?,
            bands,
            scale,
            offset,
            nodata: nodata.map(Marker::from),
            window: options.window,
            overlap: options.overlap,
            confidence: options.confidence,
            strict: options.strict,
            file_bands,
            complex,
            file_scaling,
            band_scaling,
            baseline_offset,
            valid,
            class_colours: head.class_colours.clone(),
        })
    }

    /// Writes this into the folder, or compares it with what a run before has written: maps of two heads side by
    /// side would look like maps of one.
    pub(super) fn keep(&self, folder: &Path) -> Result<(), EnsembleError> {
        let path = folder.join(RECORD);
        let refuse = |reason: String| Err(EnsembleError::file(&path, reason));
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Self>(&bytes) {
                Ok(before) if before == *self => Ok(()),
                Ok(before) => refuse(format!(
                    "the maps here were made with other settings: {}; write to another folder",
                    differences(&before, self)
                )),
                Err(error) => refuse(format!("it must say how the maps here were made: {error}")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
                let written = write_public(&path, |mut file| {
                    let done = file.write_all(said(self).as_bytes());
                    done.map_err(|error| EnsembleError::file(&path, error))
                })?;
                Ok(written.keep()?)
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

fn said(record: &Record) -> String {
    serde_json::to_string(record).expect("a record is plain data")
}

/// The keys in which two records differ, with both values; of a long one, the beginning.
fn differences(before: &Record, now: &Record) -> String {
    const LONGEST: usize = 100;
    let keys = |record: &Record| match serde_json::to_value(record) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "not given".to_owned(),
        Some(value) => {
            let text = value.to_string();
            let short: String = text.chars().take(LONGEST).collect();
            format!("`{short}{}`", if short.len() < text.len() { "…" } else { "" })
        }
    };
    let [before, now] = [keys(before), keys(now)];
    let all: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let differ = all.into_iter().filter(|key| before.get(*key) != now.get(*key));
    let said: Vec<String> = differ
        .map(|key| format!("`{key}` was {} and is {}", shown(before.get(key)), shown(now.get(key))))
        .collect();
    said.join(", ")
}

/// What was warned of each map of a folder. A line is on the disk before its map has its name, so no map is there without
/// its warnings.
pub(super) struct Warnings {
    path: PathBuf,
    file: File,
    known: HashMap<String, Vec<String>>,
    /// Whether the file may end in a part of a line: a run was killed, or the disk was full.
    cut: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    map: String,
    warnings: Vec<String>,
}

impl Warnings {
    /// Those of a folder that is there.
    ///
    /// # Errors
    /// If the file cannot be read or is too large.
    pub(super) fn open(folder: &Path) -> Result<Self, EnsembleError> {
        let path = folder.join(WARNINGS);
        let fail = |error: io::Error| EnsembleError::file(&path, error);
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length > MOST_WARNINGS {
            let reason =
                format!("it may have {MOST_WARNINGS} bytes, found `{length}`; write to another folder");
            return Err(EnsembleError::file(&path, reason));
        }
        let mut bytes = Vec::new();
        (&file).take(length).read_to_end(&mut bytes).map_err(fail)?;
        // A part of a line is of a map that was not finished.
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let known = lines.map(|Line { map, warnings }| (map, warnings)).collect();
        let cut = bytes.last().is_some_and(|byte| *byte != b'\n');
        Ok(Self { path, file, known, cut })
    }

    /// Those of a map that is there.
    pub(super) fn of(&self, map: &Path) -> Vec<String> {
        self.known.get(&name(map)).cloned().unwrap_or_else(|| {
            let reason =
                "what was warned of when this map was made is not known; remove it to have it made again";
            vec![reason.to_owned()]
        })
    }

    /// Adds those of a map that is about to get its name.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn add(&mut self, map: &Path, warnings: &[String]) -> Result<(), EnsembleError> {
        let line = Line { map: name(map), warnings: warnings.to_vec() };
        let text = serde_json::to_string(&line).expect("a line is plain data");
        let text = format!("{}{text}\n", if self.cut { "\n" } else { "" });
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        self.cut = written.is_err();
        written.map_err(|error| EnsembleError::file(&self.path, unwritable(&error)))
    }
}

fn name(map: &Path) -> String {
    map.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_of_missing_data_is_equal_to_itself_when_it_is_read_again() {
        for (value, json) in
            [(f64::NAN, "\"NaN\""), (f64::NEG_INFINITY, "\"-inf\""), (-9999.0, "-9999.0"), (0.1, "0.1")]
        {
            let text = serde_json::to_string(&Marker::from(value)).unwrap();
            assert_eq!(text, json);
            assert_eq!(serde_json::from_str::<Marker>(&text).unwrap(), Marker::from(value));
        }
        assert_ne!(Marker::from(f64::NAN), Marker::from(f64::INFINITY));
    }

    #[test]
    fn maps_of_other_settings_are_refused_with_the_keys_that_differ() {
        let record = || Record {
            head: Digest::of(b"head"),
            bands: (0..200).map(|band| format!("B{band}")).collect(),
            scale: 1.0,
            offset: 0.0,
            nodata: None,
            window: Some(224),
            overlap: None,
            confidence: false,
            strict: false,
            file_bands: Vec::new(),
            complex: None,
            file_scaling: None,
            band_scaling: OwnScalings::default(),
            baseline_offset: None,
            valid: None,
            class_colours: ClassColours::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        record().keep(folder.path()).unwrap();
        record().keep(folder.path()).unwrap();
        let said = |other: Record| other.keep(folder.path()).unwrap_err().to_string();
        let other = Record { scale: 0.0001, nodata: Some(Marker::from(f64::NAN)), ..record() };
        let found = said(other);
        let wanted = "predict.json: the maps here were made with other settings: `nodata` was not given and is `\"NaN\"`, \
                      `scale` was `1.0` and is `0.0001`; write to another folder";
        assert!(found.ends_with(wanted), "{found}");
        let found =
            said(Record { window: None, confidence: true, valid: Some("SCL > 3".to_owned()), ..record() });
        for part in [
            "`confidence` was not given and is `true`",
            "`window` was `224` and is not given",
            "`\"SCL > 3\"`",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
        // Long values are cut.
        let found = said(Record { bands: vec!["B1".to_owned()], ..record() });
        assert!(found.contains("`bands` was `[\"B0\",") && found.contains("…` and is `[\"B1\"]`"), "{found}");
        assert!(found.len() < 400 + folder.path().as_os_str().len(), "{found}");
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WARNINGS);
        let two = |words: &str| vec![words.to_owned(), "\n\"".to_owned()];
        let mut warnings = Warnings::open(folder.path()).unwrap();
        warnings.add(Path::new("maps/a.tif"), &two("first")).unwrap();
        warnings.add(Path::new("a.tif"), &two("second")).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"map\":\"b.tif\",\"warn"].concat()).unwrap();
        let mut warnings = Warnings::open(folder.path()).unwrap();
        assert_eq!(warnings.of(Path::new("a.tif")), two("second"));
        assert!(warnings.of(Path::new("b.tif"))[0].contains("is not known"));
        warnings.add(Path::new("b.tif"), &[]).unwrap();
        let warnings = Warnings::open(folder.path()).unwrap();
        assert_eq!(
            (warnings.of(Path::new("b.tif")), warnings.of(Path::new("a.tif"))),
            (vec![], two("second"))
        );
        // A hole instead of a real gigabyte.
        File::options().write(true).open(&path).unwrap().set_len(MOST_WARNINGS + 1).unwrap();
        let said = Warnings::open(folder.path()).err().unwrap().to_string();
        assert!(said.contains("found `1073741825`; write to another folder"), "{said}");
    }
}
