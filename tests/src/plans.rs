//! Plans over the imagery of these tests: pictures in red, green and blue that are dark or bright.

use eosfed_testkit::plans::{DOWNSTREAM, EVALUATION, ONE_SHOT, Plan, ROUNDS, STATISTICS};

/// The bands of the imagery.
pub const RGB: [&str; 3] = ["red", "green", "blue"];

/// The plan of a head that two institutions train.
pub fn head() -> Plan {
    uncapped(training(DOWNSTREAM)).set("model.task", "classification").set("head.bands", RGB.to_vec())
}

/// A plan in which each of these specialists is trained by its institution: name, institution, bands.
pub fn one_shot(specialists: &[(&str, &str, &[&str])]) -> Plan {
    let count = specialists.len();
    training(ONE_SHOT).specialists(specialists).participants(count, count)
}

/// The plan in which the newest release's specialists are scored.
pub fn evaluation() -> Plan {
    Plan::new(EVALUATION).deadline("10m")
}

/// The plan in which two institutions measure these bands.
pub fn statistics(bands: &[&str]) -> Plan {
    Plan::new(STATISTICS).deadline("10m").set("statistics.bands", bands.to_vec())
}

/// A plan of `rounds` training rounds with federated normalisation. Each closes at `max` updates, or at the
/// deadline with `min`.
pub fn rounds(rounds: u32, min: usize, max: usize, deadline: &str) -> Plan {
    uncapped(training(ROUNDS))
        .set("seed", 11)
        .shared("shared", &RGB)
        .participants(min, max)
        .deadline(deadline)
        .without("participation.attempts")
        .without("participation.lease_expiries")
        .rounds(rounds, "{ name = \"fed-avg\" }")
        .set("training.epochs", 4)
        .set("training.batch_size", 4)
}

/// A plan whose average weights updates by their samples alone, so that a test can recompute it simply.
fn uncapped(plan: Plan) -> Plan {
    plan.set("rounds.max_share", 1.0)
}

fn training(plan: &str) -> Plan {
    Plan::new(plan).without("seed").set("model.classes", vec!["dark", "bright"]).deadline("10m")
}
