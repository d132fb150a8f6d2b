//! Measures the effect of attackers among the institutions on each strategy, on a small real task: land
//! cover of Landsat pixels by a perceptron, eight institutions, with the coordinator's own aggregation.

mod attack;
mod network;
mod scene;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use eosfed_aggregation::{AggregationInput, Server, Update, WeightsReader, aggregate, distance};
use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::robust::outliers;
use eosfed_common::weights::{Tensors, write};
use indicatif::{ParallelProgressIterator as _, ProgressBar, ProgressStyle};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use rayon::prelude::*;
use strum::VariantArray as _;

use attack::Attack;
use scene::Parts;

const INSTITUTIONS: usize = 8;
const PIXELS: usize = 1000;
const ROUNDS: u32 = 12;
const BEGIN: &str = "<!-- made by `make attacks` -->";
const END: &str = "<!-- end of what `make attacks` makes -->";

/// Attack each strategy and write the table of accuracies into a document.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the Landsat scene, as deploy/demo/fetch_scene.py prints it
    scene: PathBuf,
    /// The document, in which the text between the two marks is replaced
    document: PathBuf,
    /// Number of seeds to average over
    #[arg(long, default_value_t = 3)]
    seeds: u64,
}

/// A strategy, and whether outliers are excluded before it.
struct Defence {
    name: String,
    strategy: Strategy,
    norm_factor: Option<f64>,
}

fn defences() -> anyhow::Result<Vec<Defence>> {
    let texts = [
        ("fed-avg", "name = \"fed-avg\"", None),
        ("fed-avg, `norm_factor = 2`", "name = \"fed-avg\"", Some(2.0)),
        ("fed-avg-m", "name = \"fed-avg-m\"\nmomentum = 0.5", None),
        ("fed-adam", "name = \"fed-adam\"\nlearning_rate = 0.03\ntau = 1e-3", None),
        ("fed-yogi", "name = \"fed-yogi\"\nlearning_rate = 0.03", None),
        ("fed-adagrad", "name = \"fed-adagrad\"\nlearning_rate = 0.1\ntau = 1e-3", None),
        ("median", "name = \"median\"", None),
        ("trimmed-mean, 0.25", "name = \"trimmed-mean\"\ntrim = 0.25", None),
        ("krum, 2", "name = \"krum\"\nbyzantine = 2", None),
        ("multi-krum, 2", "name = \"multi-krum\"\nbyzantine = 2", None),
        ("geometric-median", "name = \"geometric-median\"", None),
        ("norm-bounded-mean, 1", "name = \"norm-bounded-mean\"\nbound = 1.0", None),
    ];
    let defence = |(name, text, norm_factor): (&str, &str, Option<f64>)| {
        Ok(Defence { name: name.to_owned(), strategy: toml::from_str(text)?, norm_factor })
    };
    texts.into_iter().map(defence).collect()
}

fn main() -> anyhow::Result<()> {
    let Arguments { scene, document, seeds } = Arguments::parse();
    let defences = defences()?;
    let of = |attack: &Attack| [1, 2].map(|attackers| (Some(*attack), attack.into(), attackers));
    let attacks: Vec<(Option<Attack>, &'static str, usize)> =
        [(None, "nobody", 0)].into_iter().chain(Attack::VARIANTS.iter().flat_map(of)).collect();
    let cases: Vec<_> = (0..attacks.len())
        .flat_map(|attack| (0..defences.len()).map(move |defence| (attack, defence)))
        .collect();
    let parts = (0..seeds)
        .map(|seed| scene::divide(&scene, INSTITUTIONS, PIXELS, &mut ChaCha12Rng::seed_from_u64(seed)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} federations, {eta} left")?;
    let bar = ProgressBar::new(cases.len() as u64).with_style(style);
    let run = |(attack, defence): &(usize, usize)| {
        let (kind, _, attackers) = attacks[*attack];
        let runs = parts.iter().zip(0..).map(|(parts, seed)| {
            federate(parts, &defences[*defence], kind.map(|kind| (kind, attackers)), seed)
        });
        let scores = runs.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let scores: Vec<f64> = cases.par_iter().progress_with(bar).map(run).collect::<anyhow::Result<_>>()?;
    let rows: Vec<_> = attacks.iter().zip(scores.chunks(defences.len())).collect();
    replace(&document, &table(&defences, &rows, seeds))
}

/// Runs one federation and returns the accuracy of its last weights on the test pixels.
fn federate(
    parts: &Parts,
    defence: &Defence,
    attack: Option<(Attack, usize)>,
    seed: u64,
) -> anyhow::Result<f64> {
    let mut rng = ChaCha12Rng::seed_from_u64(1000 + seed);
    // In memory if there is such a folder: these files need not survive a crash.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let signature = network::signature();
    let server = ServerPlan::default();
    let attackers = attack.map_or(0, |(_, attackers)| attackers);
    let mut now = network::initial(&mut rng);
    let mut state = None::<Tensors>;
    for round in 0..ROUNDS {
        let mut made: Vec<Tensors> = Vec::new();
        for (index, pixels) in parts.institutions.iter().enumerate() {
            let mut own = now.clone();
            let mut chance = ChaCha12Rng::seed_from_u64(rng.random());
            match attack.filter(|_| index < attackers) {
                Some((attack, _)) => network::train(&mut own, &attack.imagery(pixels), &mut chance),
                None => network::train(&mut own, pixels, &mut chance),
            }
            made.push(own);
        }
        if let Some((attack, _)) = attack {
            let honest = made.split_off(attackers);
            let spoilt: Vec<_> = made.iter().map(|own| attack.spoil(&now, own, &honest, &mut rng)).collect();
            made = spoilt.into_iter().chain(honest).collect();
        }
        let file = |name: String, tensors: &Tensors| -> anyhow::Result<_> {
            let path = folder.path().join(name);
            write(&path, &signature, tensors)?;
            Ok(path)
        };
        // Admission: updates that are not finite are refused.
        let paths = made.iter().enumerate().map(|(index, one)| file(index.to_string(), one));
        let paths = paths.collect::<anyhow::Result<Vec<_>>>()?;
        let mut readers: Vec<_> =
            paths.iter().filter_map(|path| Some(WeightsReader::check(path, &signature).ok()?.0)).collect();
        let start = WeightsReader::open(&file("now".to_owned(), &now)?, &signature)?;
        if let Some(factor) = defence.norm_factor {
            let norms = readers.iter().map(|one| distance(&signature, &start, one));
            let excluded = outliers(&norms.collect::<Result<Vec<_>, _>>()?, factor);
            let mut excluded = excluded.into_iter();
            readers.retain(|_| !excluded.next().unwrap_or(false));
        }
        let updates: Vec<_> =
            readers.iter().map(|weights| Update { weights, weight: 1.0, base: None }).collect();
        let names = Server::of(defence.strategy, server).state_signature(&signature);
        let remembered = match (&state, &names) {
            (Some(state), Some(names)) => {
                let path = folder.path().join("state");
                write(&path, names, state)?;
                Some(WeightsReader::open(&path, names)?)
            }
            _ => None,
        };
        let input = AggregationInput {
            strategy: defence.strategy,
            server,
            signature: &signature,
            global_model: &start,
            optimizer_state: remembered.as_ref(),
            step: round,
        };
        let next = aggregate(&input, &updates)?;
        (now, state) = (next.weights, next.optimizer_state);
    }
    Ok(network::accuracy(&now, &parts.test))
}

type Row<'a> = (&'a (Option<Attack>, &'static str, usize), &'a [f64]);

fn table(defences: &[Defence], rows: &[Row<'_>], seeds: u64) -> String {
    let mut text = format!(
        "Accuracy on {} pixels that nobody has trained on, mean of {seeds} seeds; {INSTITUTIONS} institutions with \
         {PIXELS} pixels each, {ROUNDS} rounds. **Bold**: more than 0.05 below the same strategy without attackers.\n\n",
        INSTITUTIONS * PIXELS / 2
    );
    let names: Vec<_> = rows
        .iter()
        .map(|((_, name, count), _)| match count {
            0 => "nobody".to_owned(),
            count => format!("{name}, {count}"),
        })
        .collect();
    let heads: Vec<_> = defences.iter().map(|defence| defence.name.as_str()).collect();
    let _ = writeln!(text, "| attack, attackers | {} |", heads.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(heads.len()));
    let calm = rows[0].1;
    for (name, (_, scores)) in names.iter().zip(rows) {
        let cells = scores.iter().zip(calm).map(|(score, calm)| {
            if *score < calm - 0.05 { format!("**{score:.3}**") } else { format!("{score:.3}") }
        });
        let _ = writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Puts `text` between the marks of a document.
fn replace(document: &Path, text: &str) -> anyhow::Result<()> {
    let place = || format!("{}", document.display());
    let old = std::fs::read_to_string(document).with_context(place)?;
    let (head, rest) =
        old.split_once(BEGIN).with_context(|| format!("{}: has no line `{BEGIN}`", place()))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("{}: has no line `{END}`", place()))?;
    std::fs::write(document, format!("{head}{BEGIN}\n\n{text}\n{END}{tail}")).with_context(place)?;
    println!("wrote {}", document.display());
    Ok(())
}
