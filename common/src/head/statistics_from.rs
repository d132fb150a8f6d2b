//! How many institutions the statistics of a head's bands are from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many of the institutions of a head's last round told the moments of their bands. Each decides for itself, by
/// the word `statistics` of its site policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatisticsFrom {
    /// Institutions that told them.
    pub told: u32,
    /// Institutions whose updates counted.
    pub institutions: u32,
}

impl fmt::Display for StatisticsFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, institutions } = self;
        write!(f, "{told} of the {institutions} institutions of its last round")
    }
}

impl StatisticsFrom {
    /// Checks that not more told than there were.
    ///
    /// # Errors
    /// A sentence with the rule and the values found.
    pub(super) fn check(self) -> Result<(), String> {
        let Self { told, institutions } = self;
        if told > institutions {
            return Err(format!(
                "`statistics_from.told` must be at most `institutions`, found `{told}` of `{institutions}`"
            ));
        }
        Ok(())
    }
}

/// What is not known of the bands that the head of this name was trained on, and why. `known` is whether it has any
/// statistics.
pub(super) fn untold(name: &str, known: bool, from: Option<StatisticsFrom>) -> Option<String> {
    let what = "moments, units and ranges of bands";
    match from {
        None if known => None,
        None => {
            Some(format!("{what} are unknown for the head `{name}`, whose `head.json` has no `statistics`"))
        }
        Some(from) if known && from.told >= from.institutions => None,
        Some(from) if known => Some(format!(
            "{what} of the head `{name}` are those of {from}; site policies of the others do not let theirs leave \
             (`statistics` in `may_leave`)"
        )),
        Some(from) if from.told == 0 => Some(format!(
            "{what} are unknown for the head `{name}`: none of the {} institutions of its last round told them \
             (`statistics` in `may_leave` of their site policies)",
            from.institutions
        )),
        Some(from) => Some(format!(
            "{what} are unknown for the head `{name}`: {from} told them, fewer than its job combines"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_with_the_reason() {
        let said = |known, from: Option<[u32; 2]>| {
            untold("h", known, from.map(|[told, institutions]| StatisticsFrom { told, institutions }))
        };
        assert_eq!(said(true, None), None, "of a head that `fit` made");
        assert_eq!(said(true, Some([3, 3])), None);
        for (known, from, parts) in [
            (false, None, ["unknown for the head `h`", "has no `statistics`"]),
            (false, Some([0, 3]), ["unknown for the head `h`", "none of the 3 institutions"]),
            (false, Some([1, 3]), ["unknown for the head `h`", "1 of the 3 institutions"]),
            (true, Some([2, 3]), ["of the head `h` are those of", "2 of the 3 institutions"]),
        ] {
            let said = said(known, from).unwrap();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }

    #[test]
    fn not_more_can_tell_than_there_are() {
        let from = |told, institutions| StatisticsFrom { told, institutions }.check();
        assert_eq!((from(0, 0), from(3, 3)), (Ok(()), Ok(())));
        let said = from(4, 3).unwrap_err();
        assert!(said.contains("found `4` of `3`"), "{said}");
    }
}
