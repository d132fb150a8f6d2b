//! The rules of a plan, each reported with its key and the value found; never stops at the first.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{
    AdmissionPlan, Asynchronous, EvaluationPlan, Floor, HeadPlan, JobKind, Loss, Mode, ModelPlan,
    Normalisation, PLAN_VERSION, Plan, Precision, Problem, ReleasePolicy, RoundsPlan, ServerPlan, Strategy,
    Training, Weighting,
};
use crate::duration;
use crate::head::Method;
use crate::model::{FeatureNorm, MAX_BANDS, TargetScale, Task};

const MAX_NAME: usize = 80;
const MAX_WORD: usize = 64;

/// Every rule that `plan` breaks, in the order of the file.
pub(super) fn problems(plan: &Plan) -> Vec<Problem> {
    let mut report = Report::default();
    head(plan, &mut report);
    match plan.kind {
        JobKind::Evaluation => {
            evaluation(plan, &mut report);
            participation(plan, &mut report);
        }
        JobKind::Specialist | JobKind::Downstream => trained(plan, &mut report),
    }
    report.0
}

/// The rules of a job that trains something.
fn trained(plan: &Plan, report: &mut Report) {
    report.rule(plan.evaluation.is_none(), "evaluation", "absent in a job that trains", "a table");
    match &plan.model {
        Some(part) => model(plan, part, report),
        None => report.rule(false, "model", "given in a job that trains", "nothing"),
    }
    match plan.kind {
        JobKind::Specialist => specialists(plan, report),
        JobKind::Downstream | JobKind::Evaluation => downstream(plan, report),
    }
    participation(plan, report);
    rounds(plan, report);
    admission(plan, report);
    normalisation(plan, report);
    match &plan.training {
        Some(part) => training(plan, part, report),
        None => report.rule(false, "training", "given in a job that trains", "nothing"),
    }
}

/// What only evaluations have, and what they do not.
fn evaluation(plan: &Plan, report: &mut Report) {
    let rule = "`rounds` in an evaluation, which has a round for each specialist";
    report.rule(plan.mode == Mode::Rounds, "mode", rule, plan.mode);
    for (key, there) in [
        ("model", plan.model.is_some()),
        ("specialist", !plan.specialists.is_empty()),
        ("head", plan.head.is_some()),
        ("rounds", plan.rounds.is_some()),
        ("training", plan.training.is_some()),
        ("admission", plan.admission != AdmissionPlan::default()),
        ("normalisation", plan.normalisation != Normalisation::Local),
    ] {
        report.rule(!there, key, "absent in an evaluation: specialists are scored as they are", "a table");
    }
    let rule = "`manual` in an evaluation, which makes no specialist";
    report.rule(plan.release == ReleasePolicy::Manual, "release", rule, "auto");
    let rule = "1, the default, in an evaluation: a specialist that nobody can score is passed over";
    let attempts = plan.participation.attempts;
    report.rule([1, super::default_attempts()].contains(&attempts), "participation.attempts", rule, attempts);
    match &plan.evaluation {
        None => report.rule(false, "evaluation", "given in an evaluation job", "nothing"),
        Some(EvaluationPlan { release: _, specialists }) => {
            let distinct: BTreeSet<_> = specialists.iter().collect();
            let repeated = specialists.len() - distinct.len();
            let found = format!("{repeated} repeated");
            report.rule(repeated == 0, "evaluation.specialists", "without repetition", found);
        }
    }
}

#[derive(Default)]
struct Report(Vec<Problem>);

impl Report {
    fn rule(&mut self, holds: bool, key: impl Display, rule: impl Display, found: impl Display) {
        if !holds {
            let found = found.to_string().chars().take(200).collect();
            self.0.push(Problem { key: key.to_string(), rule: rule.to_string(), found });
        }
    }

    fn range<T: PartialOrd + Display>(&mut self, key: impl Display, range: RangeInclusive<T>, found: T) {
        let rule = format!("between {} and {}", range.start(), range.end());
        self.rule(range.contains(&found), key, rule, found);
    }
}

fn is_word(text: &str) -> bool {
    (1..=MAX_WORD).contains(&text.len()) && text.chars().all(|c| !c.is_control())
}

/// A list of distinct, printable words.
fn words(key: &str, list: &[String], length: RangeInclusive<usize>, report: &mut Report) {
    let rule = format!("a list of {} to {} names", length.start(), length.end());
    report.rule(length.contains(&list.len()), key, rule, format!("{} names", list.len()));
    let mut seen = BTreeSet::new();
    for (index, word) in list.iter().enumerate() {
        let key = format!("{key}[{index}]");
        report.rule(
            is_word(word),
            &key,
            format!("1 to {MAX_WORD} printable characters"),
            word.escape_debug(),
        );
        report.rule(seen.insert(word), &key, "listed once", word.escape_debug());
    }
}

fn head(plan: &Plan, report: &mut Report) {
    report.rule(plan.version == PLAN_VERSION, "version", PLAN_VERSION, plan.version);
    for (key, text) in [("name", &plan.name), ("licence", &plan.licence)] {
        let holds = (1..=MAX_NAME).contains(&text.len()) && text.chars().all(|c| !c.is_control());
        report.rule(holds, key, format!("1 to {MAX_NAME} printable characters"), text.escape_debug());
    }
}

fn model(plan: &Plan, model: &ModelPlan, report: &mut Report) {
    let ModelPlan { backbone, task, classes, target } = model;
    let (rule, found) = match plan.kind {
        JobKind::Specialist => ("given in a job for specialists", "nothing".to_owned()),
        JobKind::Downstream | JobKind::Evaluation => {
            let found = backbone.map_or_else(String::new, |backbone| backbone.to_string());
            ("absent in a downstream job, whose encoders are the release's", found)
        }
    };
    report.rule(backbone.is_some() == (plan.kind == JobKind::Specialist), "model.backbone", rule, found);
    words("model.classes", classes, task.classes(), report);
    if let Some(TargetScale { offset, scale, unit }) = target {
        let rule = "absent unless the task is `regression`";
        report.rule(*task == Task::Regression, "model.target", rule, format!("a table, for {task}"));
        report.rule(offset.is_finite(), "model.target.offset", "a finite number", offset);
        report.rule(scale.is_finite() && *scale > 0.0, "model.target.scale", "above 0", scale);
        let holds = unit.len() <= MAX_WORD && !unit.chars().any(char::is_control);
        let rule = format!("at most {MAX_WORD} printable characters");
        report.rule(holds, "model.target.unit", rule, unit.escape_debug());
    }
}

/// What only heads over frozen specialists have, and what they do not.
fn downstream(plan: &Plan, report: &mut Report) {
    let count = plan.specialists.len();
    report.rule(count == 0, "specialist (number of entries)", "0 in a downstream job", count);
    let rule =
        "`rounds` in a downstream job; a head of one institution alone is `eosfed-trainer fit`'s affair";
    report.rule(plan.mode == Mode::Rounds, "mode", rule, plan.mode);
    let rule = "`manual` in a downstream job, which makes no specialist";
    report.rule(plan.release == ReleasePolicy::Manual, "release", rule, "auto");
    match &plan.head {
        None => report.rule(false, "head", "given in a downstream job", "nothing"),
        Some(head) => head_plan(head, report),
    }
    let Some(training) = &plan.training else { return };
    let rule = "absent in a downstream job, where each pass shows every sample in all eight orientations";
    report.rule(training.augment.is_empty(), "training.augment", rule, training.augment.len());
    report.rule(training.crop.is_none(), "training.crop", rule, training.crop.unwrap_or_default());
    let rule = "absent in a downstream job, whose encoders are frozen";
    report.rule(training.drop_path == 0.0, "training.drop_path", rule, training.drop_path);
    report.rule(training.precision == Precision::Full, "training.precision", rule, "bf16");
}

fn head_plan(head: &HeadPlan, report: &mut Report) {
    words("head.bands", &head.bands, 1..=MAX_BANDS, report);
    let distinct: BTreeSet<_> = head.specialists.iter().collect();
    let repeated = head.specialists.len() - distinct.len();
    report.rule(repeated == 0, "head.specialists", "without repetition", format!("{repeated} repeated"));
    let rule = "`fusion` or `router`: there is nothing to learn together otherwise";
    report.rule(head.method != Method::MeanLogits, "head.method", rule, "mean_logits");
    let rule =
        "`pixel`, `layer` or `none` in rounds: the moments of `batch` are of one institution's imagery";
    report.rule(head.composition.norm != FeatureNorm::Batch, "head.composition.norm", rule, "batch");
}

fn specialists(plan: &Plan, report: &mut Report) {
    let rule = "absent in a job for specialists";
    report.rule(plan.head.is_none(), "head", rule, "a table");
    let count = plan.specialists.len();
    match plan.mode {
        Mode::OneShot => report.range("specialist (number of entries)", 1..=1000, count),
        Mode::Rounds => {
            report.rule(count == 1, "specialist (number of entries)", "1 in a job of rounds", count);
        }
    }
    let (mut names, mut institutions) = (BTreeSet::new(), BTreeSet::new());
    for (index, specialist) in plan.specialists.iter().enumerate() {
        let key = |field: &str| format!("specialist[{index}].{field}");
        report.rule(names.insert(&specialist.name), key("name"), "used once", &specialist.name);
        words(&key("bands"), &specialist.bands, 1..=MAX_BANDS, report);
        match (plan.mode, &specialist.institution) {
            (Mode::OneShot, None) => {
                report.rule(false, key("institution"), "given in a one-shot job", "nothing");
            }
            (Mode::OneShot, Some(name)) => {
                report.rule(institutions.insert(name), key("institution"), "used once", name);
            }
            (Mode::Rounds, Some(name)) => {
                let rule = "absent in a job of rounds; list who takes part in `participation.institutions`";
                report.rule(false, key("institution"), rule, name);
            }
            (Mode::Rounds, None) => {}
        }
    }
}

fn participation(plan: &Plan, report: &mut Report) {
    let part = &plan.participation;
    report.range("participation.min", 1..=100_000, part.min);
    report.rule(part.max >= part.min, "participation.max", "at least `participation.min`", part.max);
    let asked = match plan.mode {
        Mode::OneShot => Some((plan.specialists.len(), "the number of specialists")),
        Mode::Rounds if part.institutions.is_empty() => None,
        Mode::Rounds => Some((part.institutions.len(), "the number of `participation.institutions`")),
    };
    if let Some((asked, what)) = asked {
        let rule = format!("at most {what}, {asked}");
        report.rule(part.max as usize <= asked, "participation.max", rule, part.max);
    }
    if plan.mode == Mode::OneShot {
        let rule = "absent in a one-shot job, where each specialist names its institution";
        report.rule(
            part.institutions.is_empty(),
            "participation.institutions",
            rule,
            part.institutions.len(),
        );
    }
    let distinct: BTreeSet<_> = part.institutions.iter().collect();
    let repeated = part.institutions.len() - distinct.len();
    report.rule(
        repeated == 0,
        "participation.institutions",
        "without repetition",
        format!("{repeated} repeated"),
    );
    let limits = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
    let found = duration::format(part.deadline);
    report.rule(limits.contains(&part.deadline), "participation.deadline", "between 1s and 30d", found);
    report.range("participation.attempts", 1..=20, part.attempts);
}

fn rounds(plan: &Plan, report: &mut Report) {
    match (plan.mode, &plan.rounds) {
        (Mode::Rounds, None) => report.rule(false, "rounds", "given in a job of rounds", "nothing"),
        (Mode::OneShot, Some(_)) => report.rule(false, "rounds", "absent in a one-shot job", "a table"),
        (Mode::Rounds, Some(rounds)) => rounds_plan(plan, rounds, report),
        (Mode::OneShot, None) => {}
    }
}

fn rounds_plan(plan: &Plan, rounds: &RoundsPlan, report: &mut Report) {
    report.range("rounds.count", 1..=10_000, rounds.count);
    strategy(plan, rounds.strategy, report);
    let ServerPlan { learning_rate, momentum } = rounds.server;
    report.rule(
        learning_rate > 0.0 && learning_rate <= 100.0,
        "rounds.server.learning_rate",
        "above 0 and at most 100",
        learning_rate,
    );
    report.range("rounds.server.momentum", 0.0..=0.9999, momentum);
    let own = rounds.strategy.is_adaptive() && rounds.server != ServerPlan::default();
    let rule = "absent: this strategy has a learning rate and moments of its own";
    report.rule(!own, "rounds.server", rule, rounds.strategy.name());
    if matches!(rounds.strategy, Strategy::FedAvgM { .. }) {
        report.rule(momentum == 0.0, "rounds.server.momentum", "absent: `fed-avg-m` has its own", momentum);
    }
    match &rounds.weighting {
        Weighting::Samples { cap: Some(cap) } => {
            report.rule(*cap > 0, "rounds.weighting.cap", "above 0", cap);
        }
        Weighting::Samples { cap: None } | Weighting::Equal => {}
        Weighting::Institution { weights } => {
            for (name, weight) in weights {
                let holds = *weight > 0.0 && *weight <= 1e6;
                let key = format!("rounds.weighting.weights.{name}");
                report.rule(holds, key, "above 0 and at most 1000000", weight);
            }
        }
    }
    if let Some(share) = rounds.max_share {
        let least = 1.0 / f64::from(plan.participation.min.max(1));
        let rule = format!("between {least:.3} (one by `participation.min`) and 1");
        report.rule(share >= least - 1e-9 && share <= 1.0, "rounds.max_share", rule, share);
    }
    if let Some(Asynchronous { max_staleness, exponent }) = rounds.asynchronous {
        report.range("rounds.asynchronous.max_staleness", 0..=1000, max_staleness);
        report.range("rounds.asynchronous.exponent", 0.0..=10.0, exponent);
        let linear =
            matches!(rounds.strategy, Strategy::FedAvg | Strategy::FedProx { .. } | Strategy::FedAvgM { .. })
                || rounds.strategy.is_adaptive();
        let rule = "a mean (`fed-avg`, `fed-prox`, `fed-avg-m`, `fed-adam`, `fed-yogi`, `fed-adagrad`) in \
                    asynchronous rounds, whose updates start from different weights";
        report.rule(linear, "rounds.strategy", rule, rounds.strategy.name());
    }
}

fn strategy(plan: &Plan, strategy: Strategy, report: &mut Report) {
    let moments = |learning_rate: f64, tau: f64, betas: &[(&str, f64)], report: &mut Report| {
        let holds = learning_rate > 0.0 && learning_rate <= 100.0;
        report.rule(holds, "rounds.strategy.learning_rate", "above 0 and at most 100", learning_rate);
        report.rule(tau > 0.0 && tau <= 1.0, "rounds.strategy.tau", "above 0 and at most 1", tau);
        for (name, beta) in betas {
            report.range(format!("rounds.strategy.{name}"), 0.0..=0.9999, *beta);
        }
    };
    match strategy {
        Strategy::FedAvg | Strategy::Median | Strategy::GeometricMedian => {}
        Strategy::FedProx { mu } => report.range("rounds.strategy.mu", 0.0..=1000.0, mu),
        Strategy::FedAvgM { momentum } => report.range("rounds.strategy.momentum", 0.0..=0.9999, momentum),
        Strategy::FedAdam { learning_rate, beta_1, beta_2, tau }
        | Strategy::FedYogi { learning_rate, beta_1, beta_2, tau } => {
            moments(learning_rate, tau, &[("beta_1", beta_1), ("beta_2", beta_2)], report);
        }
        Strategy::FedAdagrad { learning_rate, tau } => moments(learning_rate, tau, &[], report),
        Strategy::TrimmedMean { trim } => {
            report.rule((0.0..0.5).contains(&trim), "rounds.strategy.trim", "from 0 to below 0.5", trim);
        }
        Strategy::Krum { .. } | Strategy::MultiKrum { .. } => {}
        Strategy::NormBoundedMean { bound } => {
            let holds = bound > 0.0 && bound.is_finite();
            report.rule(holds, "rounds.strategy.bound", "above 0", bound);
        }
    }
    let (min, fewest) = (plan.participation.min, strategy.fewest());
    let rule = format!("at least {fewest}: `{}` needs 2 * byzantine + 3 updates", strategy.name());
    report.rule(fewest == 1 || min >= fewest, "participation.min", rule, min);
    if let Strategy::MultiKrum { keep: Some(keep), .. } = strategy {
        report.range("rounds.strategy.keep", 1..=min.max(1), keep);
    }
}

fn admission(plan: &Plan, report: &mut Report) {
    let AdmissionPlan { norm_factor, max_samples, floor } = &plan.admission;
    if let Some(factor) = norm_factor {
        report.rule(
            *factor >= 1.0 && *factor <= 1e6,
            "admission.norm_factor",
            "between 1 and 1000000",
            factor,
        );
        let rule = "absent in a one-shot job, whose specialists are not alike";
        report.rule(plan.mode == Mode::Rounds, "admission.norm_factor", rule, factor);
    }
    if let Some(most) = max_samples {
        report.rule(*most > 0, "admission.max_samples", "above 0", most);
    }
    if let Some(Floor { metric, bound }) = floor {
        let rule = format!("1 to {MAX_WORD} printable characters");
        report.rule(is_word(metric), "admission.floor.metric", rule, metric.escape_debug());
        report.rule(bound.is_finite(), "admission.floor.bound", "a finite number", bound);
        let rule = "absent in a job of rounds, where one round's specialist is not yet one";
        report.rule(plan.mode == Mode::OneShot, "admission.floor", rule, metric.escape_debug());
    }
}

fn normalisation(plan: &Plan, report: &mut Report) {
    if plan.kind == JobKind::Downstream {
        let rule = "absent in a downstream job: frozen specialists keep their own";
        let local = plan.normalisation == Normalisation::Local;
        return report.rule(local, "normalisation.from", rule, "another");
    }
    match (plan.mode, &plan.normalisation) {
        (Mode::Rounds, Normalisation::Local) => {
            let rule = "`federated` or `given` in a job of rounds, where all must normalise alike";
            report.rule(false, "normalisation.from", rule, "local");
        }
        (Mode::OneShot, Normalisation::Federated) => {
            let rule = "`local` or `given` in a one-shot job";
            report.rule(false, "normalisation.from", rule, "federated");
        }
        (_, Normalisation::Given { bands }) => {
            let given: BTreeSet<_> = bands.iter().map(|entry| &entry.band).collect();
            report.rule(given.len() == bands.len(), "normalisation.bands", "one entry a band", bands.len());
            for (index, entry) in bands.iter().enumerate() {
                let key = |field: &str| format!("normalisation.bands[{index}].{field}");
                report.rule(entry.mean.is_finite(), key("mean"), "a finite number", entry.mean);
                report.rule(entry.std.is_finite() && entry.std > 0.0, key("std"), "above 0", entry.std);
            }
            let needed: BTreeSet<_> = plan.specialists.iter().flat_map(|s| &s.bands).collect();
            for band in needed.difference(&given) {
                report.rule(
                    false,
                    "normalisation.bands",
                    format!("complete: `{band}` is used"),
                    "no such entry",
                );
            }
        }
        (Mode::OneShot, Normalisation::Local) | (Mode::Rounds, Normalisation::Federated) => {}
    }
}

fn training(plan: &Plan, training: &Training, report: &mut Report) {
    report.range("training.epochs", 1..=10_000, training.epochs);
    report.range("training.batch_size", 1..=4096, training.batch_size);
    let rate = training.learning_rate;
    report.rule(rate > 0.0 && rate <= 1.0, "training.learning_rate", "above 0 and at most 1", rate);
    report.range("training.weight_decay", 0.0..=1.0, training.weight_decay);
    report.range("training.warmup", 0.0..=1.0, training.warmup);
    report.range("training.drop_path", 0.0..=0.9, training.drop_path);
    report.range("training.label_smoothing", 0.0..=0.9, training.label_smoothing);
    if let Some(size) = training.input_size {
        let holds = (32..=1024).contains(&size) && size % 32 == 0;
        report.rule(holds, "training.input_size", "a multiple of 32 between 32 and 1024", size);
    }
    if let Some(side) = training.crop {
        let holds = (32..=1024).contains(&side) && side % 32 == 0;
        report.rule(holds, "training.crop", "a multiple of 32 between 32 and 1024", side);
        let size = training.input_size.unwrap_or(side);
        report.rule(side <= size, "training.crop", format!("at most `training.input_size`, {size}"), side);
    }
    for (task, loss) in
        plan.model.iter().flat_map(|model| training.loss.iter().map(|loss| (model.task, loss)))
    {
        let fitting: Vec<_> = Loss::of(task).iter().map(|loss| loss.name()).collect();
        let rule = format!("of those for {task}: {}", fitting.join(", "));
        report.rule(Loss::of(task).contains(loss), "training.loss", rule, loss.name());
    }
    let distinct: BTreeSet<_> = training.loss.iter().map(|loss| loss.name()).collect();
    let repeated = training.loss.len() - distinct.len();
    report.rule(repeated == 0, "training.loss", "without repetition", format!("{repeated} repeated"));
    report.range("training.accumulate", 1..=1024, training.accumulate);
    report.range("training.clip_norm", 0.0..=1e6, training.clip_norm);
    let mu = training.proximal_mu;
    report.rule(mu == 0.0, "training.proximal_mu", "absent; use `rounds.strategy.mu`", mu);
    let distinct: BTreeSet<_> = training.augment.iter().map(|a| format!("{a:?}")).collect();
    let repeated = training.augment.len() - distinct.len();
    report.rule(repeated == 0, "training.augment", "without repetition", format!("{repeated} repeated"));
}

#[cfg(test)]
mod tests {
    use crate::plan::{Plan, PlanError};

    const ROUNDS: &str = r#"
        version = 1
        name = "shared six bands"
        kind = "specialist"
        mode = "rounds"
        [model]
        backbone = "convnextv2_atto"
        task = "segmentation"
        classes = ["forest", "water"]
        [[specialist]]
        name = "shared"
        bands = ["red", "nir"]
        [participation]
        min = 2
        max = 3
        deadline = "30m"
        [rounds]
        count = 3
        strategy = { name = "fed-prox", mu = 0.01 }
        [normalisation]
        from = "federated"
        [training]
        epochs = 2
        batch_size = 8
        learning_rate = 1e-3
    "#;

    fn problems_after(changes: &[(&str, &str)]) -> Vec<String> {
        let mut text = ROUNDS.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        match Plan::parse(&text) {
            Ok(_) => Vec::new(),
            Err(PlanError::Rules(problems)) => problems.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_good_plan_is_accepted_and_survives_toml() {
        let plan = Plan::parse(ROUNDS).unwrap();
        assert_eq!(Plan::parse(&toml::to_string(&plan).unwrap()).unwrap(), plan);
    }

    #[test]
    fn five_mistakes_are_reported_at_once_with_key_rule_and_value() {
        let found = problems_after(&[
            ("version = 1", "version = 7"),
            ("max = 3", "max = 1"),
            ("epochs = 2", "epochs = 0"),
            ("learning_rate = 1e-3", "learning_rate = -1.0"),
            ("from = \"federated\"", "from = \"local\""),
        ]);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert_eq!(found[0], "`version` must be 1, found `7`");
        for (key, value) in [("participation.max", "1"), ("training.epochs", "0"), ("learning_rate", "-1")] {
            assert!(found.iter().any(|p| p.contains(key) && p.contains(&format!("`{value}`"))), "{found:#?}");
        }
    }

    #[test]
    fn each_rule_can_fail() {
        for change in [
            ("classes = [\"forest\", \"water\"]", "classes = [\"forest\"]"),
            ("classes = [\"forest\", \"water\"]", "classes = [\"forest\", \"forest\"]"),
            ("bands = [\"red\", \"nir\"]", "bands = []"),
            ("bands = [\"red\", \"nir\"]", "bands = [\"red\"]\ninstitution = \"west\""),
            ("min = 2", "min = 0"),
            ("max = 3", "max = 3\ninstitutions = [\"west\", \"east\"]"),
            ("deadline = \"30m\"", "deadline = \"31d\""),
            ("count = 3", "count = 0"),
            ("mu = 0.01", "mu = -1.0"),
            ("mu = 0.01", "mu = nan"),
            ("name = \"fed-prox\", mu = 0.01", "name = \"trimmed-mean\", trim = 0.5"),
            ("name = \"fed-prox\", mu = 0.01", "name = \"krum\", byzantine = 1"),
            ("name = \"fed-prox\", mu = 0.01", "name = \"norm-bounded-mean\", bound = 0.0"),
            ("name = \"fed-prox\", mu = 0.01", "name = \"fed-adam\", tau = 0.0"),
            ("name = \"fed-prox\", mu = 0.01", "name = \"fed-yogi\", beta_2 = 1.0"),
            ("count = 3", "count = 3\nmax_share = 0.4"),
            ("count = 3", "count = 3\nserver = { learning_rate = 0.0 }"),
            ("count = 3", "count = 3\nweighting = { by = \"samples\", cap = 0 }"),
            ("count = 3", "count = 3\nweighting = { by = \"institution\", weights = { west = 0.0 } }"),
            ("count = 3", "count = 3\nasynchronous = { exponent = -1.0 }"),
            ("[normalisation]", "[admission]\nnorm_factor = 0.5\n[normalisation]"),
            ("[normalisation]", "[admission]\nfloor = { metric = \"miou\", bound = 0.3 }\n[normalisation]"),
            ("batch_size = 8", "batch_size = 0"),
            ("batch_size = 8", "batch_size = 8\ninput_size = 50"),
            ("batch_size = 8", "batch_size = 8\nproximal_mu = 0.5"),
            ("batch_size = 8", "batch_size = 8\naugment = [\"flip\", \"flip\"]"),
            ("batch_size = 8", "batch_size = 8\ncrop = 48"),
            ("batch_size = 8", "batch_size = 8\ncrop = 64\ninput_size = 32"),
            ("batch_size = 8", "batch_size = 8\nloss = [\"mse\"]"),
            ("batch_size = 8", "batch_size = 8\nloss = [\"dice\", \"dice\"]"),
            ("batch_size = 8", "batch_size = 8\naccumulate = 0"),
            ("batch_size = 8", "batch_size = 8\nclip_norm = -1.0"),
            ("[model]", "[model]\ntarget = { scale = 2.0 }"),
            ("name = \"shared six bands\"", "name = \"\""),
            ("from = \"federated\"", "from = \"given\"\nbands = [{ band = \"red\", mean = 0.0, std = 1.0 }]"),
        ] {
            assert_eq!(problems_after(&[change]).len(), 1, "{change:?}");
        }
    }

    const DOWNSTREAM: &str = r#"
        version = 1
        name = "cover over release 1"
        kind = "downstream"
        mode = "rounds"
        [model]
        task = "segmentation"
        classes = ["forest", "water"]
        [head]
        release = 1
        bands = ["red", "nir"]
        composition = { selection = { kind = "top_k", k = 2, scale = false }, fusion = { kind = "sum" } }
        [participation]
        min = 2
        max = 2
        institutions = ["west", "east"]
        deadline = "30m"
        [rounds]
        count = 3
        strategy = { name = "fed-avg" }
        [training]
        epochs = 2
        batch_size = 8
        learning_rate = 1e-3
    "#;

    #[test]
    fn a_plan_for_a_head_is_accepted_and_each_of_its_rules_can_fail() {
        let plan = Plan::parse(DOWNSTREAM).unwrap();
        assert_eq!(Plan::parse(&toml::to_string(&plan).unwrap()).unwrap(), plan);
        for (from, to) in [
            ("task = \"segmentation\"", "task = \"segmentation\"\nbackbone = \"convnextv2_atto\""),
            ("kind = \"downstream\"", "kind = \"downstream\"\nrelease = \"auto\""),
            ("bands = [\"red\", \"nir\"]", "bands = []"),
            ("release = 1", "release = 1\nspecialists = [\"a\", \"a\"]"),
            ("release = 1", "release = 1\nmethod = \"mean_logits\""),
            ("fusion = { kind = \"sum\" }", "norm = \"batch\""),
            ("[participation]", "[[specialist]]\nname = \"a\"\nbands = [\"red\"]\n[participation]"),
            ("[participation]", "[normalisation]\nfrom = \"federated\"\n[participation]"),
            ("epochs = 2", "epochs = 2\naugment = [\"flip\"]"),
            ("epochs = 2", "epochs = 2\ncrop = 32"),
            ("epochs = 2", "epochs = 2\ndrop_path = 0.1"),
            ("epochs = 2", "epochs = 2\nprecision = \"bf16\""),
        ] {
            let text = DOWNSTREAM.replace(from, to);
            assert_ne!(text, DOWNSTREAM, "{from}");
            match Plan::parse(&text) {
                Err(PlanError::Rules(problems)) => assert_eq!(problems.len(), 1, "{to}: {problems:?}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        let alone = problems_after(&[("[participation]", "[head]\nbands = [\"red\"]\n[participation]")]);
        assert!(alone.len() == 1 && alone[0].contains("`head` must be absent"), "{alone:?}");
    }

    const EVALUATION: &str = r#"
        version = 1
        name = "cross-site scores"
        kind = "evaluation"
        mode = "rounds"
        [evaluation]
        specialists = ["west-rgb", "east"]
        [participation]
        min = 1
        max = 3
        deadline = "2h"
    "#;

    #[test]
    fn a_plan_for_scores_is_accepted_and_each_of_its_rules_can_fail() {
        let plan = Plan::parse(EVALUATION).unwrap();
        assert_eq!(Plan::parse(&toml::to_string(&plan).unwrap()).unwrap(), plan);
        for (from, to) in [
            ("[evaluation]\n        specialists = [\"west-rgb\", \"east\"]", ""),
            ("\"east\"", "\"west-rgb\""),
            ("mode = \"rounds\"", "mode = \"one-shot\""),
            (
                "[participation]",
                "[model]\ntask = \"segmentation\"\nclasses = [\"a\", \"b\"]\n[participation]",
            ),
            (
                "[participation]",
                "[training]\nepochs = 1\nbatch_size = 1\nlearning_rate = 0.1\n[participation]",
            ),
            ("[participation]", "[admission]\nmax_samples = 9\n[participation]"),
            ("max = 3", "max = 3\nattempts = 5"),
            ("max = 3", "max = 0"),
        ] {
            let text = EVALUATION.replace(from, to);
            assert_ne!(text, EVALUATION, "{from}");
            match Plan::parse(&text) {
                Err(PlanError::Rules(problems)) => assert!(!problems.is_empty(), "{to}: {problems:?}"),
                other => panic!("{to}: {other:?}"),
            }
        }
        let training = problems_after(&[("[training]", "[evaluation]\n[training]")]);
        assert!(training.len() == 1 && training[0].contains("`evaluation` must be absent"), "{training:?}");
    }

    #[test]
    fn unknown_keys_and_types_are_refused_with_their_place() {
        let error = Plan::parse(&ROUNDS.replace("count = 3", "cuont = 3")).unwrap_err().to_string();
        assert!(error.contains("cuont"), "{error}");
        assert!(Plan::parse("version = [").is_err());
        assert!(matches!(Plan::parse(&"#".repeat(70_000)), Err(PlanError::TooLong(70_000))));
    }

    #[test]
    fn one_shot_plans_name_an_institution_for_each_specialist() {
        let found = problems_after(&[("mode = \"rounds\"", "mode = \"one-shot\"")]);
        assert!(found.iter().any(|p| p.contains("specialist[0].institution")), "{found:#?}");
        assert!(found.iter().any(|p| p.starts_with("`rounds` must be absent")), "{found:#?}");
    }
}
