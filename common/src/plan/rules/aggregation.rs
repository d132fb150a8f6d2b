//! The rules of `[rounds]`: aggregation of updates.

use crate::plan::report::Report;
use crate::plan::{Asynchronous, DEFAULT_MAX_SHARE, RoundsPlan, ServerPlan, Strategy, Weighting};
use crate::weights::Encoding;

/// Most rounds of a job.
const MAX_ROUNDS: u32 = 10_000;
/// Largest momentum and decay rate of a moment.
const MAX_DECAY: f64 = 0.9999;
/// Largest learning rate of the server.
const MAX_SERVER_RATE: f64 = 100.0;
/// Largest weight of an institution.
const MAX_WEIGHT: f64 = 1e6;

/// The rules of `[rounds]` in a job whose rounds close with at least `min` updates.
pub(in crate::plan) fn aggregation(rounds: &RoundsPlan, min: u32, report: &mut Report) {
    let RoundsPlan { count, strategy, weighting, max_share, encodings, top_k_share, server, asynchronous } =
        rounds;
    report.range("rounds.count", 1..=MAX_ROUNDS, *count);
    strategy_settings(*strategy, report);
    strategy_minimum(*strategy, min, report);
    server_step(*strategy, *server, report);
    weights(weighting, report);
    if let Some(share) = *max_share {
        // A lone update has everything, whatever the limit; so the default fits every plan.
        let least = (1.0 / f64::from(min.max(1))).min(DEFAULT_MAX_SHARE);
        let rule = format!("between {least:.3} (1 / `participation.min`, at most 0.5) and 1");
        report.rule(share >= least - 1e-9 && share <= 1.0, "rounds.max_share", rule, share);
    }
    accepted(encodings, *top_k_share, report);
    if let Some(rules) = *asynchronous {
        buffered(*strategy, rules, report);
    }
}

/// The rules of the encodings of updates.
pub(in crate::plan) fn accepted(encodings: &[Encoding], top_k_share: f64, report: &mut Report) {
    let each_once = (1..encodings.len()).all(|index| !encodings[..index].contains(&encodings[index]));
    let names = encodings.iter().map(|encoding| encoding.name()).collect::<Vec<_>>().join(", ");
    report.rule(
        !encodings.is_empty() && each_once,
        "rounds.encodings",
        "at least one name, each once",
        names,
    );
    report.range("rounds.top_k_share", 0.0001..=0.5, top_k_share);
}

fn server_step(strategy: Strategy, server: ServerPlan, report: &mut Report) {
    let ServerPlan { learning_rate, momentum } = server;
    rate("rounds.server.learning_rate", learning_rate, report);
    report.range("rounds.server.momentum", 0.0..=MAX_DECAY, momentum);
    let fits = !strategy.is_adaptive() || server == ServerPlan::default();
    let rule = "absent: this strategy has its own learning rate and moments";
    report.rule(fits, "rounds.server", rule, strategy.name());
    if matches!(strategy, Strategy::FedAvgM { .. }) {
        let rule = "absent: `fed-avg-m` has its own";
        report.rule(momentum == 0.0, "rounds.server.momentum", rule, momentum);
    }
}

fn rate(key: &str, rate: f64, report: &mut Report) {
    let holds = rate > 0.0 && rate <= MAX_SERVER_RATE;
    report.rule(holds, key, format!("above 0 and at most {MAX_SERVER_RATE}"), rate);
}

fn weights(weighting: &Weighting, report: &mut Report) {
    match weighting {
        Weighting::Samples { cap: Some(cap) } => {
            report.rule(*cap > 0, "rounds.weighting.cap", "above 0", cap);
        }
        Weighting::Samples { cap: None } | Weighting::Equal => {}
        Weighting::Institution { weights } => {
            for (name, weight) in weights {
                let holds = *weight > 0.0 && *weight <= MAX_WEIGHT;
                let key = format!("rounds.weighting.weights.{name}");
                report.rule(holds, key, format!("above 0 and at most {MAX_WEIGHT}"), weight);
            }
        }
    }
}

fn buffered(strategy: Strategy, rules: Asynchronous, report: &mut Report) {
    let Asynchronous { max_staleness, exponent } = rules;
    report.range("rounds.asynchronous.max_staleness", 0..=1000, max_staleness);
    report.range("rounds.asynchronous.exponent", 0.0..=10.0, exponent);
    let rule = "a mean (`fed-avg`, `fed-prox`, `fed-avg-m`, `fed-adam`, `fed-yogi`, `fed-adagrad`) in \
                asynchronous rounds, whose updates start from different weights";
    report.rule(strategy.is_mean(), "rounds.strategy", rule, strategy.name());
}

fn strategy_settings(strategy: Strategy, report: &mut Report) {
    match strategy {
        Strategy::FedAvg
        | Strategy::Median
        | Strategy::GeometricMedian
        | Strategy::Krum { .. }
        | Strategy::MultiKrum { .. } => {}
        Strategy::FedProx { mu } => proximal_mu("rounds.strategy.mu", mu, report),
        Strategy::FedAvgM { momentum } => {
            report.range("rounds.strategy.momentum", 0.0..=MAX_DECAY, momentum);
        }
        Strategy::FedAdam { learning_rate, beta_1, beta_2, tau }
        | Strategy::FedYogi { learning_rate, beta_1, beta_2, tau } => {
            adaptive(learning_rate, tau, report);
            report.range("rounds.strategy.beta_1", 0.0..=MAX_DECAY, beta_1);
            report.range("rounds.strategy.beta_2", 0.0..=MAX_DECAY, beta_2);
        }
        Strategy::FedAdagrad { learning_rate, tau } => adaptive(learning_rate, tau, report),
        Strategy::TrimmedMean { trim } => {
            report.rule((0.0..0.5).contains(&trim), "rounds.strategy.trim", "from 0 to below 0.5", trim);
        }
        Strategy::NormBoundedMean { bound } => {
            let holds = bound > 0.0 && bound.is_finite();
            report.rule(holds, "rounds.strategy.bound", "above 0", bound);
        }
    }
}

/// The weight of FedProx's term.
pub(in crate::plan) fn proximal_mu(key: &str, mu: f64, report: &mut Report) {
    report.range(key, 0.0..=1000.0, mu);
}

fn adaptive(learning_rate: f64, tau: f64, report: &mut Report) {
    rate("rounds.strategy.learning_rate", learning_rate, report);
    report.rule(tau > 0.0 && tau <= 1.0, "rounds.strategy.tau", "above 0 and at most 1", tau);
}

/// Checks that the smallest number of updates in a round is enough for the strategy.
fn strategy_minimum(strategy: Strategy, min: u32, report: &mut Report) {
    let fewest = strategy.fewest();
    let rule = format!("at least {fewest}: `{}` needs 2 * byzantine + 3 updates", strategy.name());
    report.rule(fewest == 1 || min >= fewest, "participation.min", rule, min);
    if let Strategy::MultiKrum { keep: Some(keep), .. } = strategy {
        report.range("rounds.strategy.keep", 1..=min.max(1), keep);
    }
}
