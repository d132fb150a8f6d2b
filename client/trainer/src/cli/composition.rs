//! How the arguments of `fit` are read that describe a head.

use std::collections::BTreeSet;

use eosfed_common::model::{Fusion, Selection, Task};
use eosfed_common::plan::Loss;

/// Reads `--select`. Whether weights scale the maps is an argument of its own.
pub(super) fn selection(text: &str) -> Result<Selection, String> {
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

/// A selection with or without scaling.
pub(super) const fn scaled(selection: Selection, scale: bool) -> Selection {
    match selection {
        Selection::All => Selection::All,
        Selection::TopK { k, scale: _ } => Selection::TopK { k, scale },
        Selection::Smooth { penalty, scale: _ } => Selection::Smooth { penalty, scale },
    }
}

/// Reads `--fuse`.
pub(super) fn fusion(text: &str) -> Result<Fusion, String> {
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
pub(super) fn loss(text: &str) -> Result<Loss, String> {
    let all = || Task::ALL.into_iter().flat_map(|task| Loss::of(task).iter().copied());
    all().find(|loss| loss.name() == text).ok_or_else(|| {
        let names: BTreeSet<_> = all().map(Loss::name).collect();
        let names: Vec<_> = names.into_iter().collect();
        format!("there is no loss `{text}`; use one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_fusions_and_losses_are_parsed() {
        assert_eq!(selection("all"), Ok(Selection::All));
        assert_eq!(selection("top-5"), Ok(Selection::TopK { k: 5, scale: false }));
        assert_eq!(selection("smooth:0.01"), Ok(Selection::Smooth { penalty: 0.01, scale: false }));
        for bad in ["top", "top-x", "smooth:x", "all:1", "best"] {
            assert!(selection(bad).unwrap_err().contains("top-K"), "{bad}");
        }
        assert_eq!(scaled(selection("top-2").unwrap(), true), Selection::TopK { k: 2, scale: true });
        assert_eq!(fusion("mlp:2"), Ok(Fusion::Mlp { multiple: 2 }));
        assert_eq!(fusion("sum"), Ok(Fusion::Sum));
        assert!(fusion("conv1x1:x").is_err() && fusion("stack").is_err());
        assert_eq!(loss("lovasz"), Ok(Loss::Lovasz));
        assert!(loss("l2").unwrap_err().contains("cross_entropy"));
    }
}
