//! `eosfed-trainer fit`, `score` and `ensemble`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use eosfed_common::head::HeadTraining;
use eosfed_common::model::{BandRule, Composition, FeatureNorm, Fusion, Method, Selection};
use eosfed_common::outln;
use eosfed_common::plan::{ClassWeights, Loss};
use eosfed_common::stdout::print_warning;
use eosfed_data::{Dataset, Limits, Split};
use eosfed_trainer::ensemble::{
    self, AblationReport, Choice, FitOptions, FitReport, PruneOptions, PruneReport, Release,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{DeviceArgument, raised, stop_flag};

/// Train a new head over frozen encoders of a pulled release, on few labels.
///
/// Examples:
///   eosfed-trainer fit --release release-2 --data labelled/dataset.toml --output heads/all
///   eosfed-trainer fit --release release-2 --data labelled --select top-5 --fuse conv1x1 --output heads/top5
///   eosfed-trainer fit --release release-2 --data labelled --method router --output heads/router
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FitArguments {
    /// Folder of a release, as `eosfed release pull` makes it.
    #[arg(long)]
    release: PathBuf,
    /// The labelled data: a dataset.toml or its folder; its training part is learned from.
    #[arg(long)]
    data: PathBuf,
    /// `all`, names joined by commas, or `random[:SEED]` for an encoder that has learned nothing.
    #[arg(long, default_value = "all")]
    encoders: Choice,
    /// Folder for the head.
    #[arg(long)]
    output: PathBuf,
    /// Name of the head in tables; default: the output folder's name.
    #[arg(long)]
    name: Option<String>,
    /// How the head comes to its answer.
    #[arg(long, value_enum, default_value_t)]
    method: MethodArgument,
    /// How each encoder's maps are normalised before they are fused.
    #[arg(long, value_enum, default_value_t)]
    norm: NormArgument,
    /// Which encoders count: `all`, `top-K` (learned, hard) or `smooth[:PENALTY]` (learned numbers,
    /// which the penalty draws towards zero).
    #[arg(long, default_value = "all", value_parser = selection)]
    select: Selection,
    /// Multiply maps by the selection's weights themselves.
    #[arg(long)]
    scale: bool,
    /// Give each encoder's maps a 1x1 convolution and a leaky ReLU of their own.
    #[arg(long)]
    project: bool,
    /// How maps become one: `concatenate`, `conv1x1[:MULTIPLE]`, `mlp[:MULTIPLE]`, `sum` or `product`.
    #[arg(long, default_value = "concatenate", value_parser = fusion)]
    fuse: Fusion,
    /// How an encoder's bands are found among the data's.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
    /// Passes over the labelled samples in all eight orientations.
    #[arg(long, default_value_t = 12)]
    epochs: u32,
    /// Samples in a step.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Top of the learning-rate schedule.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// AdamW's weight decay.
    #[arg(long, default_value_t = 0.05)]
    weight_decay: f64,
    /// Terms of the loss, joined by commas and summed; default: the task's usual one.
    #[arg(long, value_delimiter = ',', value_parser = loss)]
    loss: Vec<Loss>,
    /// Weigh classes in the loss by the inverse square root of their frequency.
    #[arg(long)]
    balanced: bool,
    /// Side in pixels to which square tiles are resized; a multiple of 32.
    #[arg(long)]
    input_size: Option<u32>,
    /// Gigabytes up to which the encoders' maps of all samples are kept in memory; above, they are
    /// computed in every pass.
    #[arg(long, default_value_t = 2.0)]
    cache_gb: f64,
    /// Seed of start and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
    /// How to print the result.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
}

/// Score heads on samples that they have not seen, side by side.
///
/// Writes results.md, results.json and, for tasks of pixels, predictions.png of the first head.
///
/// Example: eosfed-trainer score heads/all heads/west-rgb --data test/dataset.toml --split test --output results
#[derive(Args)]
pub(super) struct ScoreArguments {
    /// Folders of heads, as `fit` makes them.
    #[arg(required = true)]
    heads: Vec<PathBuf>,
    #[command(flatten)]
    on: OnArguments,
    /// Folder for the results.
    #[arg(long)]
    output: PathBuf,
}

/// Score a head with all its encoders and without each of them in turn.
///
/// Writes ablation.json and ablation.png. An encoder without which nothing gets worse can be left
/// out of a smaller release: eosfed release prune.
///
/// Example: eosfed-trainer ensemble ablate heads/all --data test/dataset.toml --output ablation
#[derive(Args)]
pub(super) struct AblateArguments {
    /// Folder of a head, as `fit` makes it.
    head: PathBuf,
    #[command(flatten)]
    on: OnArguments,
    /// Folder for the results.
    #[arg(long)]
    output: PathBuf,
}

/// Say in words how the bands of data would be given to each encoder of a release.
///
/// Example: eosfed-trainer ensemble explain --release release-2 --data labelled/dataset.toml
#[derive(Args)]
pub(super) struct ExplainArguments {
    /// Folder of a release.
    #[arg(long)]
    release: PathBuf,
    /// The data: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// `all`, or names joined by commas.
    #[arg(long, default_value = "all")]
    encoders: Choice,
    /// How an encoder's bands are found among the data's.
    #[arg(long, value_enum, default_value_t)]
    bands: BandsArgument,
}

/// Keep only the encoders that a head has learned to choose, and say what that costs.
///
/// Trains the head again over the kept ones as it was trained, scores both, and writes prune.json,
/// from which `eosfed release prune` cuts the smaller release.
///
/// Example: eosfed-trainer ensemble prune heads/smooth --top-k 5 --train labelled --data test --output heads/pruned
#[derive(Args)]
pub(super) struct PruneArguments {
    /// Folder of a head with a learned selection (`fit --select`).
    head: PathBuf,
    /// How many encoders to keep.
    #[arg(long)]
    top_k: usize,
    /// The labelled data that the head was trained on: a dataset.toml or its folder.
    #[arg(long)]
    train: PathBuf,
    #[command(flatten)]
    on: OnArguments,
    /// Folder for the smaller head.
    #[arg(long)]
    output: PathBuf,
}

/// `eosfed-trainer ensemble`.
#[derive(Subcommand)]
pub(super) enum EnsembleCommand {
    Explain(ExplainArguments),
    Ablate(AblateArguments),
    Prune(PruneArguments),
}

/// What heads are tried on.
#[derive(Args)]
struct OnArguments {
    /// The data: a dataset.toml or its folder.
    #[arg(long)]
    data: PathBuf,
    /// Which part to score on.
    #[arg(long, value_enum, default_value_t)]
    split: SplitArgument,
    /// Folder of the release; default: where it was when the head was trained.
    #[arg(long)]
    release: Option<PathBuf>,
    /// How to print the scores.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
    /// Threads; default: all processors.
    #[arg(long)]
    threads: Option<u32>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceArgument,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum SplitArgument {
    Train,
    Validation,
    #[default]
    Test,
}

impl From<SplitArgument> for Split {
    fn from(argument: SplitArgument) -> Self {
        match argument {
            SplitArgument::Train => Self::Train,
            SplitArgument::Validation => Self::Validation,
            SplitArgument::Test => Self::Test,
        }
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum MethodArgument {
    /// Fuse the encoders' maps and learn a new head over them.
    #[default]
    Fusion,
    /// The mean of the specialists' own answers; learns nothing.
    MeanLogits,
    /// The specialists' own answers, weighed by a learned router.
    Router,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum NormArgument {
    /// Over the channels of each position.
    #[default]
    Pixel,
    /// Over all channels and positions of an image's map.
    Layer,
    /// Each channel by its mean and variance over the training part.
    Batch,
    /// Not at all.
    None,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum BandsArgument {
    /// By what bands are called and see.
    #[default]
    ByName,
    /// The same, and where nothing fits, the nearest band again.
    ByNameOrRepeat,
    /// By the number of bands, as the reference implementation of EoS-FM does.
    Eosfm,
}

impl From<BandsArgument> for BandRule {
    fn from(argument: BandsArgument) -> Self {
        match argument {
            BandsArgument::ByName => Self::ByName,
            BandsArgument::ByNameOrRepeat => Self::ByNameOrRepeat,
            BandsArgument::Eosfm => Self::Eosfm,
        }
    }
}

/// Reads `--select`; whether weights scale is said beside it.
fn selection(text: &str) -> Result<Selection, String> {
    let wrong = || format!("use `all`, `top-K` or `smooth[:PENALTY]`, found `{text}`");
    match text.split_once(':').unwrap_or((text, "")) {
        ("all", "") => Ok(Selection::All),
        ("smooth", "") => Ok(Selection::Smooth { penalty: 0.0, scale: false }),
        ("smooth", penalty) => {
            penalty.parse().map(|penalty| Selection::Smooth { penalty, scale: false }).map_err(|_| wrong())
        }
        (top, "") => {
            let k = top.strip_prefix("top-").and_then(|k| k.parse().ok()).ok_or_else(wrong)?;
            Ok(Selection::TopK { k, scale: false })
        }
        _ => Err(wrong()),
    }
}

/// Reads `--fuse`.
fn fusion(text: &str) -> Result<Fusion, String> {
    let wrong = || {
        format!(
            "use `concatenate`, `conv1x1[:MULTIPLE]`, `mlp[:MULTIPLE]`, `sum` or `product`, found `{text}`"
        )
    };
    let (kind, multiple) = text.split_once(':').unwrap_or((text, "1"));
    let multiple: usize = multiple.parse().map_err(|_| wrong())?;
    match kind {
        "concatenate" => Ok(Fusion::Concatenate),
        "conv1x1" => Ok(Fusion::Conv1x1 { multiple }),
        "mlp" => Ok(Fusion::Mlp { multiple }),
        "sum" => Ok(Fusion::Sum),
        "product" => Ok(Fusion::Product),
        _ => Err(wrong()),
    }
}

/// Reads one term of `--loss`.
fn loss(text: &str) -> Result<Loss, String> {
    let all = eosfed_common::model::Task::ALL.into_iter().flat_map(|task| Loss::of(task).iter().copied());
    let names: std::collections::BTreeSet<_> = all.clone().map(Loss::name).collect();
    let names: Vec<_> = names.into_iter().collect();
    all.into_iter()
        .find(|loss| loss.name() == text)
        .ok_or_else(|| format!("there is no loss `{text}`; there are {}", names.join(", ")))
}

fn composition(arguments: &FitArguments) -> Composition {
    let scaled = arguments.scale;
    Composition {
        norm: match arguments.norm {
            NormArgument::Pixel => FeatureNorm::Pixel,
            NormArgument::Layer => FeatureNorm::Layer,
            NormArgument::Batch => FeatureNorm::Batch,
            NormArgument::None => FeatureNorm::None,
        },
        projection: arguments.project,
        selection: match arguments.select {
            Selection::All => Selection::All,
            Selection::TopK { k, scale: _ } => Selection::TopK { k, scale: scaled },
            Selection::Smooth { penalty, scale: _ } => Selection::Smooth { penalty, scale: scaled },
        },
        fusion: arguments.fuse,
    }
}

pub(super) fn fit(arguments: &FitArguments) -> anyhow::Result<ExitCode> {
    let device = eosfed_trainer::device::set_up(arguments.device.into(), arguments.threads)?;
    let folder_name = arguments.output.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = arguments.name.clone().or(folder_name).unwrap_or_else(|| "head".to_owned());
    let options = FitOptions {
        name,
        release: std::path::absolute(&arguments.release)?,
        data: arguments.data.clone(),
        encoders: arguments.encoders.clone(),
        band_rule: arguments.bands.into(),
        method: match arguments.method {
            MethodArgument::Fusion => Method::Fusion,
            MethodArgument::MeanLogits => Method::MeanLogits,
            MethodArgument::Router => Method::Router,
        },
        composition: composition(arguments),
        output: arguments.output.clone(),
        training: HeadTraining {
            epochs: arguments.epochs,
            batch_size: arguments.batch_size,
            learning_rate: arguments.learning_rate,
            weight_decay: arguments.weight_decay,
            loss: arguments.loss.clone(),
            class_weights: if arguments.balanced { ClassWeights::Balanced } else { ClassWeights::None },
            seed: arguments.seed,
        },
        input_size: arguments.input_size,
        cache: (arguments.cache_gb.max(0.0) * 1e9) as u64,
    };
    let style = ProgressStyle::with_template("fitting {wide_bar} {pos}/{len} epochs  {msg}")?;
    let bar = ProgressBar::new(u64::from(options.training.epochs)).with_style(style);
    let flag = stop_flag()?;
    let mut progress = |epoch: u32, epochs: u32, loss: f64| {
        bar.set_length(u64::from(epochs));
        bar.set_position(u64::from(epoch));
        bar.set_message(format!("loss {loss:.4}"));
    };
    let report = ensemble::fit(&options, device, &mut progress, &|| raised(&flag))?;
    bar.finish_and_clear();
    match arguments.format {
        Format::Table => print_fit(&report, ensemble::selects(&options.composition)),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_fit(report: &FitReport, selects: bool) {
    report.notes.iter().for_each(|note| outln!("note: {note}"));
    let loss = report.loss.map_or_else(|| "nothing learned".to_owned(), |loss| format!("loss {loss:.4}"));
    outln!(
        "{}: {} parameters learned on {} samples over {}, {loss}",
        report.head.display(),
        report.parameters,
        report.samples,
        report.encoders.join(" + "),
    );
    if let (true, Some(weights)) = (selects, &report.weights) {
        let mut order: Vec<_> = report.encoders.iter().zip(weights).collect();
        order.sort_by(|a, b| b.1.total_cmp(a.1));
        order.iter().for_each(|(encoder, weight)| outln!("  {weight:6.3}  {encoder}"));
    }
}

pub(super) fn score(arguments: &ScoreArguments) -> anyhow::Result<ExitCode> {
    let ScoreArguments { heads, on, output } = arguments;
    let device = eosfed_trainer::device::set_up(on.device.into(), on.threads)?;
    let split = Split::from(on.split);
    let release = on.release.as_deref();
    let rows: Result<Vec<_>, _> =
        heads.iter().map(|head| ensemble::score(head, release, &on.data, split, device)).collect();
    let rows = rows?;
    rows.first().iter().for_each(|row| warn_of_skipped(&row.skipped));
    ensemble::report(&rows, &on.data, split, output)?;
    match on.format {
        Format::Table => outln!("{}", ensemble::table(&rows)),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&rows)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Names the files that were left out, on standard error.
pub(super) fn warn_of_skipped(skipped: &[String]) {
    if !skipped.is_empty() {
        let reasons: String = skipped.iter().map(|reason| format!("\n  {reason}")).collect();
        print_warning(format_args!("{} file(s) cannot be read and were left out:{reasons}", skipped.len()));
    }
}

pub(super) fn look_into(command: &EnsembleCommand) -> anyhow::Result<ExitCode> {
    match command {
        EnsembleCommand::Explain(arguments) => explain(arguments),
        EnsembleCommand::Ablate(arguments) => ablate(arguments),
        EnsembleCommand::Prune(arguments) => prune(arguments),
    }
}

fn ablate(arguments: &AblateArguments) -> anyhow::Result<ExitCode> {
    let AblateArguments { head, on, output } = arguments;
    let device = eosfed_trainer::device::set_up(on.device.into(), on.threads)?;
    let style = ProgressStyle::with_template("ablating {wide_bar} {pos}/{len} encoders")?;
    let bar = ProgressBar::new(0).with_style(style);
    let mut progress = |done: usize, count: usize| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
    };
    let release = on.release.as_deref();
    let report = ensemble::ablate(head, release, &on.data, on.split.into(), device, &mut progress)?;
    bar.finish_and_clear();
    std::fs::create_dir_all(output)?;
    let json = serde_json::to_string_pretty(&report)?;
    std::fs::write(output.join("ablation.json"), &json)?;
    ensemble::ablation_chart(&report, &output.join("ablation.png"))?;
    match on.format {
        Format::Table => outln!("{}", ablation_table(&report)),
        Format::Json => outln!("{json}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn ablation_table(report: &AblationReport) -> Table {
    let mut table = Table::new();
    let header = ["without", "weight", &report.metric, "change"];
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table.add_row(["(all encoders)".to_owned(), String::new(), format!("{:.3}", report.all), String::new()]);
    for ablation in &report.ablations {
        let numbers = [ablation.weight.into(), ablation.without];
        let [weight, without] = numbers.map(|number: f64| format!("{number:.3}"));
        table.add_row([ablation.specialist.clone(), weight, without, format!("{:+.3}", ablation.change)]);
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn prune(arguments: &PruneArguments) -> anyhow::Result<ExitCode> {
    let PruneArguments { head, top_k, train, on, output } = arguments;
    let device = eosfed_trainer::device::set_up(on.device.into(), on.threads)?;
    let options = PruneOptions {
        head: head.clone(),
        release: on.release.clone(),
        top_k: *top_k,
        train: train.clone(),
        data: on.data.clone(),
        split: on.split.into(),
        output: output.clone(),
    };
    let flag = stop_flag()?;
    let report = ensemble::prune(&options, device, &|| raised(&flag))?;
    match on.format {
        Format::Table => outln!("{}", prune_table(&report)),
        Format::Json => outln!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn prune_table(report: &PruneReport) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["", "before", "after"]);
    let sides = [&report.before, &report.after];
    let row = |name: &str, cell: &dyn Fn(&ensemble::PruneSide) -> String| {
        vec![name.to_owned(), cell(sides[0]), cell(sides[1])]
    };
    table.add_row(row("encoders", &|side| side.encoders.len().to_string()));
    table.add_row(row("size of their weights, MB", &|side| format!("{:.1}", side.bytes as f64 / 1e6)));
    table.add_row(row("head parameters", &|side| side.head_parameters.to_string()));
    table.add_row(row("milliseconds a sample", &|side| format!("{:.1}", side.milliseconds)));
    table.add_row(row(&report.metric, &|side| format!("{:.3}", side.score)));
    table.add_row(vec!["kept".to_owned(), String::new(), report.after.encoders.join("\n")]);
    for column in 1..3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let release = Release::open(&arguments.release)?;
    let dataset = Dataset::open(&arguments.data, &Limits::default())?;
    let config = dataset.config();
    let bands = config.named_bands();
    outln!("the data have the bands {}", config.bands.join(", "));
    let mut usable = true;
    for card in release.cards(&arguments.encoders)? {
        let one = Choice::Named(vec![card.name.clone()]);
        match release.choose(&one, &bands, arguments.bands.into(), &[]) {
            Ok((encoders, words)) => {
                let takes = encoders.iter().map(|encoder| sources(&encoder.sources)).collect::<Vec<_>>();
                outln!(
                    "{}: wants {}; gets {}",
                    card.name,
                    card.model.bands.join(", "),
                    takes.join(" and, again, ")
                );
                words.iter().for_each(|said| outln!("  {said}"));
            }
            Err(error) => {
                usable = false;
                outln!("{}: cannot be used: {error}", card.name);
            }
        }
    }
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sources(sources: &[Vec<String>]) -> String {
    let one = |bands: &Vec<String>| match &bands[..] {
        [band] => band.clone(),
        several => format!("mean({})", several.join(", ")),
    };
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_compositions() {
        assert_eq!(selection("all"), Ok(Selection::All));
        assert_eq!(selection("top-5"), Ok(Selection::TopK { k: 5, scale: false }));
        assert_eq!(selection("smooth:0.01"), Ok(Selection::Smooth { penalty: 0.01, scale: false }));
        for bad in ["top", "top-x", "smooth:x", "all:1", "best"] {
            assert!(selection(bad).unwrap_err().contains("top-K"), "{bad}");
        }
        assert_eq!(fusion("mlp:2"), Ok(Fusion::Mlp { multiple: 2 }));
        assert_eq!(fusion("sum"), Ok(Fusion::Sum));
        assert!(fusion("conv1x1:x").is_err() && fusion("stack").is_err());
        assert_eq!(loss("lovasz"), Ok(Loss::Lovasz));
        assert!(loss("l2").unwrap_err().contains("cross_entropy"));
    }
}
