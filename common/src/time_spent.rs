//! What the time of a training was spent on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finite::Finite;

/// Most seconds of each part: a year.
pub const MAX_SECONDS: f64 = 365.0 * 86_400.0;

/// What the time of a training was spent on, in seconds of the last process that worked on it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSpent {
    /// From the start of the process until it reads the data.
    pub starting_seconds: Finite,
    /// Until the first step: opening and decoding the data, building the model.
    pub loading_seconds: Finite,
    /// Steps.
    pub training_seconds: Finite,
    /// Scores of the validation and test parts.
    pub validation_seconds: Finite,
    /// Checkpoints and results.
    pub writing_seconds: Finite,
}

impl TimeSpent {
    /// What the training cost beside its steps and its scores.
    #[must_use]
    pub fn beside(&self) -> f64 {
        self.starting_seconds.get() + self.loading_seconds.get() + self.writing_seconds.get()
    }

    /// The one of two that cost more beside its steps.
    #[must_use]
    pub fn costlier(self, other: Self) -> Self {
        if other.beside() > self.beside() { other } else { self }
    }

    /// Checks that no part is negative or longer than a year.
    ///
    /// # Errors
    /// The part, the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Self { starting_seconds, loading_seconds, training_seconds, validation_seconds, writing_seconds } =
            self;
        let parts = [
            ("starting_seconds", starting_seconds),
            ("loading_seconds", loading_seconds),
            ("training_seconds", training_seconds),
            ("validation_seconds", validation_seconds),
            ("writing_seconds", writing_seconds),
        ];
        match parts.iter().find(|(_, seconds)| !(0.0..=MAX_SECONDS).contains(&seconds.get())) {
            None => Ok(()),
            Some((name, found)) => Err(format!("`{name}` between 0 and {MAX_SECONDS}, found `{found}`")),
        }
    }
}

impl fmt::Display for TimeSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { training_seconds: steps, validation_seconds: scores, .. } = self;
        write!(f, "{:.1} s steps, {:.1} s scores, {:.1} s beside", steps.get(), scores.get(), self.beside())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(parts: [f64; 5]) -> TimeSpent {
        let [starting_seconds, loading_seconds, training_seconds, validation_seconds, writing_seconds] =
            parts.map(Finite::literal);
        TimeSpent { starting_seconds, loading_seconds, training_seconds, validation_seconds, writing_seconds }
    }

    #[test]
    fn what_a_round_costs_beside_its_steps_is_told() {
        let one = spent([0.5, 0.25, 30.0, 2.0, 0.25]);
        assert_eq!(one.to_string(), "30.0 s steps, 2.0 s scores, 1.0 s beside");
        let other = spent([0.5, 1.0, 3.0, 200.0, 0.25]);
        assert_eq!((one.costlier(other), other.costlier(one)), (other, other));
    }

    #[test]
    fn times_are_neither_negative_nor_endless() {
        assert_eq!(spent([0.0, 0.0, MAX_SECONDS, 0.0, 0.0]).check(), Ok(()));
        let error = spent([0.0, 0.0, 0.0, -0.5, 0.0]).check().unwrap_err();
        assert!(error.contains("validation_seconds") && error.contains("-0.5"), "{error}");
        assert!(spent([0.0, 2.0 * MAX_SECONDS, 0.0, 0.0, 0.0]).check().is_err());
    }
}
