//! The layout `table`: a CSV file with a header, one sample a line.

use std::path::{Path, PathBuf};

use csv::StringRecord;
use eosfed_common::model::Task;

use super::{Dataset, Item, Label};
use crate::config::{Layout, OneOrMany};
use crate::error::DataError;
use crate::files::position;
use crate::open::open_regular;
use crate::split::Split;

/// The separator between the classes of a sample.
const SEPARATOR: char = ';';

/// The columns that a layout names, by position.
struct Columns {
    images: Vec<Vec<usize>>,
    target: usize,
    split: Option<usize>,
    group: Option<usize>,
    /// Longitude and latitude.
    position: Option<[usize; 2]>,
}

impl Dataset {
    /// The samples of a table.
    pub(super) fn table(&self, base: &Path) -> Result<Vec<Item>, DataError> {
        let Layout::Table { file, root, .. } = &self.config.layout else { return Ok(Vec::new()) };
        let path = base.join(file);
        let root = base.join(root);
        let mut reader = csv::Reader::from_reader(open_regular(&path)?);
        let header = reader.headers().map_err(|error| DataError::file(&path, error))?.clone();
        let columns = self.columns(&path, &header)?;
        let mut items = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| DataError::file(&path, error))?;
            let line = row.position().map_or(0, csv::Position::line);
            let item = self.row(&root, &columns, &row);
            let item = item.map_err(|reason| DataError::file(&path, format!("line {line}: {reason}")))?;
            let Item { images, label, .. } = &item;
            let target = match label {
                Label::Raster(path) => Some(path),
                Label::Class(_) | Label::Classes(_) => None,
            };
            let files = images.iter().flatten().chain(target);
            self.check_links(files.map(|file| (root.as_path(), file.as_path())))?;
            items.push(item);
        }
        Ok(items)
    }

    fn columns(&self, path: &Path, header: &StringRecord) -> Result<Columns, DataError> {
        let find = |name: &str| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                let there: Vec<_> = header.iter().take(50).collect();
                DataError::file(path, format!("there is no column `{name}`; there are {}", there.join(", ")))
            })
        };
        let Layout::Table { images, after, target, split, group, lon, lat, .. } = &self.config.layout else {
            return Err(DataError::unfit(path, "the layout is no table"));
        };
        let stack = |list: &OneOrMany| list.list().iter().map(|name| find(name)).collect();
        Ok(Columns {
            images: std::iter::once(images).chain(after).map(stack).collect::<Result<_, _>>()?,
            target: find(target)?,
            split: split.as_deref().map(find).transpose()?,
            group: group.as_deref().map(find).transpose()?,
            position: match (lon, lat) {
                (Some(lon), Some(lat)) => Some([find(lon)?, find(lat)?]),
                _ => None,
            },
        })
    }

    fn row(&self, root: &Path, columns: &Columns, row: &StringRecord) -> Result<Item, String> {
        let cell = |at: usize| row.get(at).unwrap_or_default().trim();
        let file = |at: &usize| match cell(*at) {
            "" => Err("the path of an image must be given, found nothing".to_owned()),
            name => Ok(root.join(name)),
        };
        let images: Vec<Vec<PathBuf>> =
            columns.images.iter().map(|stack| stack.iter().map(file).collect()).collect::<Result<_, _>>()?;
        let key = cell(columns.images[0][0]).to_owned();
        let part = match columns.split.map(cell) {
            Some(name) => name.parse().map_err(|_| {
                format!("a part is `train`, `validation` or `test`, found `{}`", name.escape_debug())
            })?,
            None => Split::of(columns.group.map_or(key.as_str(), cell), &self.config.split),
        };
        let degrees = |at: usize| {
            let text = cell(at);
            text.parse().map_err(|_| format!("a coordinate is a number, found `{}`", text.escape_debug()))
        };
        let position = match columns.position {
            Some([lon, lat]) => Some(position(degrees(lon)?, degrees(lat)?)?),
            None => None,
        };
        Ok(Item { label: self.label(root, cell(columns.target))?, key, part, position, images })
    }

    fn label(&self, root: &Path, text: &str) -> Result<Label, String> {
        let class = |name: &str| {
            self.config.classes.iter().position(|class| class == name.trim()).ok_or_else(|| {
                let classes = self.config.classes.join(", ");
                format!("a class is one of {classes}, found `{}`", name.trim().escape_debug())
            })
        };
        match self.config.task {
            Task::Classification => class(text).map(Label::Class),
            Task::Multilabel => {
                let mut present = vec![false; self.config.classes.len()];
                for name in text.split(SEPARATOR).filter(|name| !name.trim().is_empty()) {
                    present[class(name)?] = true;
                }
                Ok(Label::Classes(present))
            }
            Task::Segmentation | Task::ChangeDetection | Task::Regression if text.is_empty() => {
                Err("the path of a mask or target raster must be given, found nothing".to_owned())
            }
            Task::Segmentation | Task::ChangeDetection | Task::Regression => {
                Ok(Label::Raster(root.join(text)))
            }
        }
    }
}
