//! When a pixel counts, in words: `SCL in [4, 5, 6, 7, 11]`, `QA_PIXEL bits 3-4 == 0 and CLP < 40`.

use crate::raster::whole_number;

/// Most conditions of a rule.
const MOST: usize = 32;

/// Conditions on the stored numbers of bands, all of which must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValidRule(Vec<Condition>);

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    band: String,
    /// The lowest and the highest bit that count, if not all.
    bits: Option<[u32; 2]>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    In(Vec<f64>),
    NotIn(Vec<f64>),
    Below(f64),
    AtMost(f64),
    Above(f64),
    AtLeast(f64),
}

impl ValidRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What it must be, where it is not.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let spaced: String = text
            .chars()
            .flat_map(|c| if matches!(c, '[' | ']' | ',') { vec![' ', c, ' '] } else { vec![c] })
            .collect();
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let conditions = words.split(|word| *word == "and").map(condition);
        let conditions: Vec<Condition> = conditions.collect::<Result<_, _>>()?;
        if conditions.len() > MOST {
            return Err(format!("at most {MOST} conditions"));
        }
        Ok(Self(conditions))
    }

    /// The bands that it is about.
    pub(crate) fn bands(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|condition| condition.band.as_str())
    }

    /// Whether a pixel counts; `values` gives the stored number of each band, in the order of [`Self::bands`]. A pixel
    /// without one does not.
    pub(crate) fn holds(&self, values: impl Iterator<Item = f32>) -> bool {
        self.0.iter().zip(values).all(|(condition, value)| condition.holds(value))
    }
}

impl Condition {
    fn holds(&self, value: f32) -> bool {
        if value.is_nan() {
            return false;
        }
        let value = match self.bits {
            None => f64::from(value),
            Some([low, high]) => {
                let Some(value) = whole_number(value).and_then(|whole| u32::try_from(whole).ok()) else {
                    return false;
                };
                f64::from((value >> low) & ((2 << (high - low)) - 1))
            }
        };
        match &self.test {
            Test::In(list) => list.contains(&value),
            Test::NotIn(list) => !list.contains(&value),
            Test::Below(limit) => value < *limit,
            Test::AtMost(limit) => value <= *limit,
            Test::Above(limit) => value > *limit,
            Test::AtLeast(limit) => value >= *limit,
        }
    }
}

fn condition(words: &[&str]) -> Result<Condition, String> {
    let wrong = || {
        format!(
            "conditions joined by `and`, such as `SCL in [4, 5]`, `SCL not in [0, 1]`, `CLP < 40` or `QA_PIXEL bits 3-4 == \
             0`; not `{}`",
            words.join(" ")
        )
    };
    let [band, rest @ ..] = words else { return Err(wrong()) };
    let (bits, rest) = match rest {
        ["bits", range, rest @ ..] => (Some(bits(range).ok_or_else(wrong)?), rest),
        rest => (None, rest),
    };
    let number = |text: &&str| text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong);
    let list = |words: &[&str]| match words {
        ["[", inside @ .., "]"] => inside
            .split(|word| *word == ",")
            .map(|one| match one {
                [one] => number(one),
                _ => Err(wrong()),
            })
            .collect::<Result<Vec<f64>, String>>(),
        _ => Err(wrong()),
    };
    let test = match rest {
        ["in", rest @ ..] => Test::In(list(rest)?),
        ["not", "in", rest @ ..] => Test::NotIn(list(rest)?),
        ["==", value] => Test::In(vec![number(value)?]),
        ["!=", value] => Test::NotIn(vec![number(value)?]),
        ["<", value] => Test::Below(number(value)?),
        ["<=", value] => Test::AtMost(number(value)?),
        [">", value] => Test::Above(number(value)?),
        [">=", value] => Test::AtLeast(number(value)?),
        _ => return Err(wrong()),
    };
    Ok(Condition { band: (*band).to_owned(), bits, test })
}

/// `3` or `8-9`.
fn bits(text: &str) -> Option<[u32; 2]> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let [low, high] = [low.parse().ok()?, high.parse().ok()?];
    (low <= high && high < 24).then_some([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, values: &[f32]) -> bool {
        ValidRule::parse(rule).unwrap().holds(values.iter().copied())
    }

    #[test]
    fn conditions_hold_for_the_right_numbers() {
        let rule = "SCL in [4,5, 6]";
        assert_eq!(
            [3.0, 4.0, 6.0, 5.5, f32::NAN].map(|value| holds(rule, &[value])),
            [false, true, true, false, false]
        );
        assert_eq!(
            [0.0, 2.0, f32::NAN].map(|value| holds("SCL not in [0, 1]", &[value])),
            [false, true, false]
        );
        // Cloud is bit 3, cloud shadow bit 4; bits 8 and 9 are the confidence of cloud (Landsat Collection 2).
        let clear = 0b0101_0101_0100_0000 as f32;
        let cloud = 0b0101_0111_0100_1000 as f32;
        for (rule, of_clear, of_cloud) in [
            ("QA bits 3-4 == 0", true, false),
            ("QA bits 3 == 1", false, true),
            ("QA bits 8-9 <= 1", true, false),
            ("QA bits 8-9 in [3]", false, true),
            ("QA bits 3-4 == 0 and QA bits 6 == 1", true, false),
            ("QA bits 3-4 == 0 and QA bits 6 == 0", false, false),
        ] {
            let values = ValidRule::parse(rule).unwrap().bands().count();
            assert_eq!(holds(rule, &vec![clear; values]), of_clear, "{rule}");
            assert_eq!(holds(rule, &vec![cloud; values]), of_cloud, "{rule}");
        }
        assert!(!holds("QA bits 0 == 0", &[-2.0]) && !holds("QA bits 0 == 0", &[2.5]));
        for (rule, found) in [
            ("C < 40", [true, false, false]),
            ("C <= 40", [true, true, false]),
            ("C > 40", [false, false, true]),
            ("C >= 40", [false, true, true]),
            ("C != 40", [true, false, true]),
        ] {
            assert_eq!([39.0, 40.0, 41.0].map(|value| holds(rule, &[value])), found, "{rule}");
        }
    }

    #[test]
    fn wrong_rules_are_refused() {
        for text in [
            "",
            "SCL",
            "SCL in 4",
            "SCL in []",
            "SCL in [4 5]",
            "SCL in [4,]",
            "in [4]",
            "SCL = 4",
            "SCL == x",
            "SCL == inf",
            "SCL in [4] or SCL in [5]",
            "SCL in [4] and",
            "QA bits 4-3 == 0",
            "QA bits 24 == 0",
            "QA bits x == 0",
            "QA bits 3",
        ] {
            assert!(ValidRule::parse(text).is_err(), "{text}");
        }
    }
}
