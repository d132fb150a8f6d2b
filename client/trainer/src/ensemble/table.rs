//! Scores for people: a table for the terminal, Markdown, JSON, and a picture.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use eosfed_common::files::write_atomically;
use eosfed_common::model::Task;
use eosfed_common::scoring::Interval;
use eosfed_data::{Dataset, Limits, Sample, SheetStyle, Target};
use eosfed_plot::{Picture, sheet};

use super::error::EnsembleError;
use super::score::{ScoreRow, ShownSample};

/// Name and heading of the metrics in tables, the main one first.
const fn shown(task: Task) -> [(&'static str, &'static str); 2] {
    match task {
        Task::Classification => [("macro_f1", "macro F1"), ("accuracy", "accuracy")],
        Task::Multilabel => [("map", "mAP"), ("macro_f1", "macro F1")],
        Task::Segmentation | Task::ChangeDetection => [("miou", "mIoU"), ("accuracy", "pixel accuracy")],
        Task::Regression => [("rmse", "RMSE"), ("r2", "R2")],
    }
}

/// A table for a terminal.
#[must_use]
pub fn table(rows: &[ScoreRow]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header(rows));
    for row in rows {
        table.add_row(cells(row));
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn header(rows: &[ScoreRow]) -> [&'static str; 5] {
    let [main, second] = shown(rows.first().map_or(Task::Segmentation, |row| row.task));
    ["head over", main.1, second.1, "samples", "head parameters"]
}

fn cells(row: &ScoreRow) -> [String; 5] {
    let [main, second] = shown(row.task).map(|(name, _)| match row.intervals.get(name) {
        Some(Interval { low, high }) => format!("{:.3} [{low:.3}, {high:.3}]", row.metrics[name]),
        None => format!("{:.3}", row.metrics[name]),
    });
    [row.name.clone(), main, second, row.samples.to_string(), row.head_parameters.to_string()]
}

fn markdown(rows: &[ScoreRow]) -> String {
    let mut text = format!("| {} |\n| --- | ---: | ---: | ---: | ---: |\n", header(rows).join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    let classes: BTreeSet<&String> = rows.iter().flat_map(|row| row.by_class.keys()).collect();
    if classes.is_empty() {
        return text;
    }
    let names: Vec<&str> = classes.iter().map(|name| name.as_str()).collect();
    let _ = writeln!(text, "\n{} by class:\n", rows[0].class_metric);
    let _ = writeln!(text, "| head over | {} |\n| --- |{}", names.join(" | "), " ---: |".repeat(names.len()));
    for row in rows {
        let score =
            |class: &&String| row.by_class.get(*class).map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
        let scores: Vec<String> = classes.iter().map(score).collect();
        let _ = writeln!(text, "| {} | {} |", row.name, scores.join(" | "));
    }
    text
}

/// Writes `results.md`, `results.json` and, for tasks of pixels, `predictions.png` of the first head.
///
/// # Errors
/// If a file cannot be written.
pub fn report(rows: &[ScoreRow], data: &Path, folder: &Path) -> Result<(), EnsembleError> {
    std::fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        write_atomically(&path, bytes).map_err(|error| EnsembleError::file(&path, error))
    };
    write("results.md", markdown(rows).as_bytes())?;
    write("results.json", &serde_json::to_vec_pretty(rows).expect("scores are plain data"))?;
    match rows.first() {
        Some(row) if row.task.is_dense() => picture(row, data, &folder.join("predictions.png")),
        _ => Ok(()),
    }
}

fn picture(row: &ScoreRow, data: &Path, path: &Path) -> Result<(), EnsembleError> {
    let dataset = Dataset::open(data, &Limits::default())?;
    let config = dataset.config();
    let read = |shown: &ShownSample| dataset.sample_named(&shown.key, &config.bands);
    let samples: Vec<Sample> = row.shown.iter().map(read).collect::<Result<_, _>>()?;
    let style = SheetStyle::new(config, &samples);
    let cells = |(sample, shown): (&Sample, &ShownSample)| -> Option<Vec<Picture>> {
        let prediction = &shown.prediction;
        let mut cells = style.cells(sample);
        cells.push(match &sample.target {
            Target::Mask(mask) if mask.len() == prediction.len() => {
                style.mask(sample, &prediction.iter().map(|class| *class as u8).collect::<Vec<_>>())
            }
            Target::Values(values) if values.len() == prediction.len() => style.values(sample, prediction),
            Target::Mask(_) | Target::Values(_) | Target::Class(_) | Target::Classes(_) => return None,
        });
        Some(cells)
    };
    let rows: Vec<Vec<Picture>> = samples.iter().zip(&row.shown).filter_map(cells).collect();
    let titles: &[&str] = match row.task {
        Task::ChangeDetection => &["before", "after", "truth", "prediction"],
        _ => &["image", "truth", "prediction"],
    };
    if rows.is_empty() {
        return Ok(());
    }
    Ok(sheet(path, titles, &rows, &style.legend())?)
}
