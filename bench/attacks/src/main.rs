//! Measures the effect of attackers among the institutions on each strategy, on a small real task: land
//! cover of Landsat pixels by a perceptron, eight institutions, with the coordinator's own aggregation.

mod attack;
mod network;
mod scene;
mod sender;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use eosfed_aggregation::{AggregationInput, Server, Update, WeightsReader, aggregate, distance};
use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::robust::outliers;
use eosfed_common::weights::{Encoding, StepCode, Tensors, write};
use indicatif::{ParallelProgressIterator as _, ProgressBar, ProgressStyle};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use rayon::prelude::*;
use strum::VariantArray as _;

use attack::Attack;
use scene::Parts;
use sender::Sender;

const INSTITUTIONS: usize = 8;
const PIXELS: usize = 1000;
const ROUNDS: u32 = 12;
/// The share of `top-k` and `top-k-bf16` here: of 487 weights in four tensors, the usual hundredth is seven.
const TOP_K_SHARE: f64 = 0.1;
/// The strategies that are measured with each encoding, by their names in [`defences`].
const ENCODED: [&str; 6] = [
    "fed-avg",
    "fed-avg, `norm_factor = 2`",
    "median",
    "trimmed-mean, 0.25",
    "multi-krum, 2",
    "geometric-median",
];
/// The attacks on them, by two attackers. What is not finite is refused in every encoding.
const ON_ENCODED: [Attack; 6] =
    [Attack::SignFlip, Attack::Scaled, Attack::Noise, Attack::ALittle, Attack::Denormals, Attack::Zeros];
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

/// Who attacks, and how many of them.
type Attackers = Option<(Attack, usize)>;

/// One federation: who attacks, the strategy by its place, and how updates are encoded.
type Case = (Attackers, usize, Option<StepCode>);

fn main() -> anyhow::Result<()> {
    let Arguments { scene, document, seeds } = Arguments::parse();
    let defences = defences()?;
    let parts = (0..seeds)
        .map(|seed| scene::divide(&scene, INSTITUTIONS, PIXELS, &mut ChaCha12Rng::seed_from_u64(seed)))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let of = |attack: &Attack| [1, 2].map(|attackers| Some((*attack, attackers)));
    let attacks: Vec<Attackers> = [None].into_iter().chain(Attack::VARIANTS.iter().flat_map(of)).collect();
    let plain = attacks.iter().flat_map(|attack| (0..defences.len()).map(move |at| (*attack, at, None)));
    let encodings = Encoding::ALL.iter().map(|encoding| (*encoding, encoding.code(TOP_K_SHARE)));
    let places = ENCODED.map(|name| defences.iter().position(|defence| defence.name == name));
    let places = places.into_iter().collect::<Option<Vec<_>>>().context("a strategy has another name")?;
    let rows: Vec<_> = places.iter().flat_map(|at| encodings.clone().map(move |one| (*at, one))).collect();
    let on_encoded: Vec<Attackers> =
        [None].into_iter().chain(ON_ENCODED.map(|attack| Some((attack, 2)))).collect();
    let encoded =
        rows.iter().flat_map(|(at, (_, code))| on_encoded.iter().map(move |who| (*who, *at, *code)));
    let cases: Vec<Case> = plain.chain(encoded).collect();

    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} federations, {eta} left")?;
    let bar = ProgressBar::new(cases.len() as u64).with_style(style);
    let run = |(attack, defence, code): &Case| {
        let runs = parts
            .iter()
            .zip(0..)
            .map(|(parts, seed)| federate(parts, &defences[*defence], *attack, *code, seed));
        let scores = runs.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let scores: Vec<f64> = cases.par_iter().progress_with(bar).map(run).collect::<anyhow::Result<_>>()?;
    let (plain, encoded) = scores.split_at(attacks.len() * defences.len());
    let named: Vec<_> = attacks.iter().zip(plain.chunks(defences.len())).collect();
    let mut text = table(&defences, &named, seeds);
    let names = rows.iter().map(|(at, (encoding, _))| (defences[*at].name.as_str(), encoding.name()));
    let named: Vec<_> = names.zip(encoded.chunks(on_encoded.len())).collect();
    text += &table_of_encodings(&on_encoded, &named);
    replace(&document, &text)
}

/// Runs one federation and returns the accuracy of its last weights on the test pixels.
fn federate(
    parts: &Parts,
    defence: &Defence,
    attack: Attackers,
    code: Option<StepCode>,
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
    let mut senders: Vec<_> = (0..INSTITUTIONS).map(|_| Sender::new(code)).collect();
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
        let base = folder.path().join("now");
        write(&base, &signature, &now)?;
        let start = WeightsReader::open(&base, &signature)?;
        // Admission: updates that are not finite are refused.
        let sent = senders.iter_mut().zip(&made).enumerate();
        let sent = sent.map(|(index, (sender, update))| {
            sender.send(&folder.path().join(index.to_string()), &signature, (&base, &now), update)
        });
        let sent = sent.collect::<anyhow::Result<Vec<_>>>()?;
        let mut readers: Vec<_> = sent.into_iter().flatten().collect();
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

fn name_of(attack: &Attackers) -> String {
    attack.map_or_else(|| "nobody".to_owned(), |(attack, count)| format!("{}, {count}", <&str>::from(attack)))
}

/// An accuracy, bold if it is well below that without attackers.
fn cell(score: f64, calm: f64) -> String {
    if score < calm - 0.05 { format!("**{score:.3}**") } else { format!("{score:.3}") }
}

fn table(defences: &[Defence], rows: &[(&Attackers, &[f64])], seeds: u64) -> String {
    let mut text = format!(
        "Accuracy on {} pixels that nobody has trained on, mean of {seeds} seeds; {INSTITUTIONS} institutions with \
         {PIXELS} pixels each, {ROUNDS} rounds. **Bold**: more than 0.05 below the same strategy without attackers.\n\n",
        INSTITUTIONS * PIXELS / 2
    );
    let heads: Vec<_> = defences.iter().map(|defence| defence.name.as_str()).collect();
    let _ = writeln!(text, "| attack, attackers | {} |", heads.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(heads.len()));
    let calm = rows[0].1;
    for (attack, scores) in rows {
        let cells = scores.iter().zip(calm).map(|(score, calm)| cell(*score, *calm));
        let _ = writeln!(text, "| {} | {} |", name_of(attack), cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Accuracies of strategies and encodings, a row for each pair of them.
fn table_of_encodings(attacks: &[Attackers], rows: &[((&str, &str), &[f64])]) -> String {
    let mut text = format!(
        "\nThe same with all updates, of attackers too, sent in each encoding with error feedback, and aggregated as \
         they come. `top-k` and `top-k-bf16` keep a share of {TOP_K_SHARE} here. **Bold**: more than 0.05 below the same strategy and \
         encoding without attackers.\n\n"
    );
    let heads: Vec<_> = attacks.iter().map(name_of).collect();
    let _ = writeln!(text, "| strategy | encoding | {} |", heads.join(" | "));
    let _ = writeln!(text, "| --- | --- |{}", " ---: |".repeat(heads.len()));
    for ((strategy, encoding), scores) in rows {
        let cells = scores.iter().map(|score| cell(*score, scores[0]));
        let _ = writeln!(text, "| {strategy} | `{encoding}` | {} |", cells.collect::<Vec<_>>().join(" | "));
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
