//! Dividing what is streamed into messages of a bounded size.

/// Divides items, in order, into batches of at most `most` bytes, or of one item. `used` bytes of the first
/// batch are taken already. Without items there is one batch, which is empty.
pub(super) fn batches<T>(
    items: impl IntoIterator<Item = T>,
    used: usize,
    most: usize,
    size: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let (mut full, mut batch) = (Vec::new(), Vec::new());
    let mut bytes = used;
    for item in items {
        let more = size(&item);
        if bytes + more > most && !batch.is_empty() {
            full.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += more;
        batch.push(item);
    }
    full.push(batch);
    full
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_is_full_or_has_one_item() {
        let cut = |sizes: &[usize], used| batches(sizes.to_vec(), used, 10, |size| *size);
        assert_eq!(cut(&[4, 6, 1], 0), [vec![4, 6], vec![1]], "exactly full");
        assert_eq!(cut(&[4, 6, 1], 1), [vec![4], vec![6, 1]], "the first is partly taken");
        assert_eq!(cut(&[11, 12], 99), [[11], [12]]);
        assert_eq!(cut(&[], 0), [Vec::<usize>::new()]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_repeated_and_no_batch_is_too_large(
            sizes in prop::collection::vec(0_usize..20, 0..100),
            used in 0_usize..20,
        ) {
            let items: Vec<(usize, usize)> = sizes.into_iter().enumerate().collect();
            let found = batches(items.clone(), used, 30, |(_, size)| *size);
            let bytes = |batch: &[(usize, usize)]| batch.iter().map(|(_, size)| size).sum::<usize>();
            for (place, batch) in found.iter().enumerate() {
                let all = bytes(batch) + if place == 0 { used } else { 0 };
                prop_assert!(all <= 30 || batch.len() <= 1, "{found:?}");
            }
            prop_assert_eq!(found.concat(), items);
        }
    }
}
