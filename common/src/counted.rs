//! Numbers of things in sentences.

/// The name of so many things: `sample` for 1, else `samples`. The names are regular English nouns.
#[must_use]
pub fn named(number: u64, thing: &str) -> String {
    let ending = match number {
        1 => "",
        _ if thing.ends_with("tch") || thing.ends_with('s') => "es",
        _ => "s",
    };
    match thing.strip_suffix('y').filter(|_| number != 1) {
        Some(stem) => format!("{stem}ies"),
        None => format!("{thing}{ending}"),
    }
}

/// A number of things: `1 specialist`, `2 batches`.
pub fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", named(number, thing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        for (number, thing, expected) in [
            (0_u32, "sample", "0 samples"),
            (1, "sample", "1 sample"),
            (2, "sample", "2 samples"),
            (1, "batch", "1 batch"),
            (3, "batch", "3 batches"),
            (2, "epoch", "2 epochs"),
            (1, "class", "1 class"),
            (3, "class", "3 classes"),
            (1, "entry", "1 entry"),
            (3, "entry", "3 entries"),
            (1, "more update", "1 more update"),
        ] {
            assert_eq!(counted(number, thing), expected);
        }
        assert_eq!(counted(usize::MAX, "file"), format!("{} files", usize::MAX));
    }
}
