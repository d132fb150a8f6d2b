//! The layout `table`: one sample a row.

use std::path::{Path, PathBuf};

use eosfed_common::model::Task;

use super::items;
use super::rows::{Row, SEPARATOR, Table};
use super::statements::Statements;
use super::template::Template;
use super::{Dataset, Item, Label};
use crate::config::{Layout, OneOrMany, SplitBy};
use crate::error::DataError;
use crate::files::{below, has_ending, position};
use crate::split::Split;

/// From which number on a class is present.
const THRESHOLD: f64 = 0.5;

/// The columns that a layout names, by position.
struct Columns {
    images: Vec<Vec<Template>>,
    target: Target,
    split: Option<usize>,
    group: Option<usize>,
    /// Longitude and latitude.
    position: Option<[usize; 2]>,
}

enum Target {
    One(Template),
    /// A column for each class, and from which number on it is present.
    Many(Vec<usize>, f64),
}

impl Dataset {
    /// The samples of a table, and what it states about their files.
    pub(super) fn table(&self, base: &Path) -> Result<(Vec<Item>, Statements), DataError> {
        let mut statements = Statements::default();
        let Layout::Table { file, root, .. } = &self.config.layout else {
            return Ok((Vec::new(), statements));
        };
        let path = base.join(file);
        let root = below(base, root);
        let collection = has_ending(&path, &["json", "geojson"]);
        let Table { columns, rows } = if collection { items::open(&path)? } else { Table::open(&path)? };
        let columns = self.columns(&path, &columns)?;
        let mut items = Vec::new();
        for row in rows {
            let row = row?;
            let wrong = |reason| DataError::file(&path, format!("{}: {reason}", row.place));
            let item = self.row(&root, &columns, &row).map_err(wrong)?;
            let Item { images, label, .. } = &item;
            let target = label.file();
            let files = images.iter().flatten().chain(target);
            for (date, files) in images.iter().enumerate() {
                for (stack, file) in files.iter().enumerate() {
                    statements.add(&row, &root, file, Some([date, stack])).map_err(wrong)?;
                }
            }
            if let Some(file) = target {
                statements.add(&row, &root, file, None).map_err(wrong)?;
            }
            self.check_links(files.map(|file| (root.as_path(), file.as_path())))?;
            items.push(item);
        }
        Ok((items, statements))
    }

    fn columns(&self, path: &Path, header: &[String]) -> Result<Columns, DataError> {
        let find = |name: &str| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                let there: Vec<_> = header.iter().take(50).map(String::as_str).collect();
                DataError::file(path, format!("there is no column `{name}`; there are {}", there.join(", ")))
            })
        };
        let Layout::Table { images, after, target, targets, threshold, split, group, lon, lat, .. } =
            &self.config.layout
        else {
            return Err(DataError::unfit(path, "the layout is no table"));
        };
        let template =
            |text: &String| Template::parse(text, find, |reason| DataError::unfit(&self.path, reason));
        let stack = |list: &OneOrMany| list.list().iter().map(template).collect();
        Ok(Columns {
            images: std::iter::once(images).chain(after).map(stack).collect::<Result<_, _>>()?,
            target: match target {
                Some(target) => Target::One(template(target)?),
                None => {
                    let all = targets.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
                    Target::Many(all, threshold.unwrap_or(THRESHOLD))
                }
            },
            split: split.as_deref().map(find).transpose()?,
            group: group.as_deref().map(find).transpose()?,
            position: match (lon, lat) {
                (Some(lon), Some(lat)) => Some([find(lon)?, find(lat)?]),
                _ => None,
            },
        })
    }

    fn row(&self, root: &Path, columns: &Columns, row: &Row) -> Result<Item, String> {
        let file = |template: &Template| {
            let name = template.text(row)?;
            if name.is_empty() {
                return Err("the path of an image must be given, found nothing".to_owned());
            }
            if let Some((scheme, _)) = name.split_once("://") {
                let rule = "a path must be one on this machine; fetch the file";
                return Err(format!("{rule}, found `{}://`", scheme.escape_debug()));
            }
            Ok(root.join(name))
        };
        let images: Vec<Vec<PathBuf>> =
            columns.images.iter().map(|stack| stack.iter().map(file).collect()).collect::<Result<_, _>>()?;
        let key = columns.images[0][0].text(row)?;
        let group = columns.group.map(|at| row.text(at));
        let part = match columns.split.map(|at| row.text(at)) {
            Some(name) => name.parse().map_err(|_| {
                format!("a part is `train`, `validation` or `test`, found `{}`", name.escape_debug())
            })?,
            None => Split::of(group.as_deref().unwrap_or(&key), &self.config.split),
        };
        let number = |at: usize, what: &str| {
            let text = row.text(at);
            text.parse().map_err(|_| format!("{what} is a number, found `{}`", text.escape_debug()))
        };
        let position = match columns.position {
            Some([lon, lat]) => Some(position(number(lon, "a coordinate")?, number(lat, "a coordinate")?)?),
            None => None,
        };
        let label = match &columns.target {
            Target::One(template) => self.label(root, &template.text(row)?)?,
            Target::Many(all, threshold) => {
                let present = |at: &usize| {
                    let share: f64 = number(*at, "whether a class is present, or its share,")?;
                    if share.is_finite() {
                        Ok(share >= *threshold)
                    } else {
                        Err(format!("a share is finite, found `{share}`"))
                    }
                };
                Label::Classes(all.iter().map(present).collect::<Result<_, String>>()?)
            }
        };
        let group = group.filter(|_| self.config.split_by() == SplitBy::Class);
        Ok(Item { label, key, group, part, position, images })
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
                Ok(Label::of_file(root.join(text)))
            }
        }
    }
}
