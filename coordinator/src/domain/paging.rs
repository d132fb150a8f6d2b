//! Pages of a list: a bounded number of entries, a bounded number of bytes, and where the next begins.
//!
//! The entries of a list are in the order of their keys, and a page begins after a key. So entries that
//! are added or removed between two pages neither repeat nor hide others.

use eosfed_common::paging::{DEFAULT_LIMIT, MAX_LIMIT};
use eosfed_common::refusal::{Reason, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of the documents of a page of more than one entry, well below the 4 MiB of a message.
pub const MAX_PAGE_BYTES: usize = 1 << 20;
/// Longest page token.
const MAX_TOKEN: usize = 512;
/// Most bytes of one document, so that a page of one entry fits a message too.
const MAX_DOCUMENT: usize = 3 << 20;

/// The key by which the entries of a list are ordered.
pub trait Key: Ord + Serialize + DeserializeOwned {
    /// The name of the list, so that the token of another list is not taken.
    const LIST: &'static str;
}

/// Which page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// The key after which the page begins; none: the first page.
    after: Option<K>,
    limit: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Its entries, as JSON documents.
    pub documents: Vec<String>,
    /// The token of the next page; empty on the last.
    pub next: String,
    /// How many entries come after it.
    pub remaining: u64,
}

fn malformed(message: String) -> Refusal {
    Refusal::new(Reason::Malformed, message)
}

impl<K: Key> PageRequest<K> {
    /// Reads a request: `limit` 0 means [`DEFAULT_LIMIT`], an empty token the first page.
    ///
    /// # Errors
    /// [`Reason::Malformed`] if the limit is above [`MAX_LIMIT`], or the token is not one of this list.
    pub fn read(limit: u32, token: &str) -> Result<Self, Refusal> {
        if limit > MAX_LIMIT {
            return Err(malformed(format!(
                "a page has at most {MAX_LIMIT} entries, found a limit of {limit}"
            )));
        }
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        let after = if token.is_empty() { None } else { Some(decode(token)?) };
        Ok(Self { after, limit: limit as usize })
    }

    /// The entries of the page as values that are of a bounded size, the token of the next page, and how many
    /// entries come after.
    ///
    /// # Errors
    /// If a key cannot be encoded.
    pub fn select<T>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(Vec<T>, String, u64), Refusal> {
        let entries = entries.into_iter();
        let mut entries =
            entries.skip_while(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after));
        let (keys, values): (Vec<K>, Vec<T>) = entries.by_ref().take(self.limit).unzip();
        let remaining = entries.count() as u64;
        let next = keys.last().filter(|_| remaining > 0).map(encode_token).transpose()?;
        Ok((values, next.unwrap_or_default(), remaining))
    }

    /// Cuts the page out of a list, whose entries are in the order of their keys.
    ///
    /// # Errors
    /// If an entry cannot be encoded, or is longer than a message may be.
    pub fn cut<T>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
        encode: impl Fn(T) -> Result<String, Refusal>,
    ) -> Result<Page, Refusal> {
        let entries = entries.into_iter();
        let mut entries =
            entries.skip_while(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after));
        let mut page = Page::default();
        let mut bytes = 0;
        let mut last = None;
        while page.documents.len() < self.limit
            && let Some((key, entry)) = entries.next()
        {
            let document = checked(encode(entry)?)?;
            bytes += document.len();
            if bytes > MAX_PAGE_BYTES && !page.documents.is_empty() {
                page.remaining = 1;
                break;
            }
            page.documents.push(document);
            last = Some(key);
        }
        page.remaining += entries.count() as u64;
        if let Some(key) = last.filter(|_| page.remaining > 0) {
            page.next = encode_token(&key)?;
        }
        Ok(page)
    }
}

/// A value as a JSON document that a message can carry.
///
/// # Errors
/// If it cannot be written as JSON, or is longer than a message may be.
pub fn document<T: Serialize>(value: &T) -> Result<String, Refusal> {
    let text = serde_json::to_string(value);
    checked(text.map_err(|error| Refusal::new(Reason::Internal, error.to_string()))?)
}

fn checked(document: String) -> Result<String, Refusal> {
    if document.len() <= MAX_DOCUMENT {
        return Ok(document);
    }
    let message =
        format!("an entry of {} bytes is longer than a message may be ({MAX_DOCUMENT})", document.len());
    Err(Refusal::new(Reason::TooLarge, message))
}

fn encode_token<K: Key>(key: &K) -> Result<String, Refusal> {
    let text = serde_json::to_string(&(K::LIST, key));
    text.map_err(|error| Refusal::new(Reason::Internal, error.to_string()))
}

fn decode<K: Key>(token: &str) -> Result<K, Refusal> {
    let wrong =
        || malformed(format!("the page token is not one of the list of {}; ask for the first page", K::LIST));
    if token.len() > MAX_TOKEN {
        return Err(wrong());
    }
    let (list, key): (String, K) = serde_json::from_str(token).map_err(|_| wrong())?;
    if list == K::LIST { Ok(key) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Newest(Reverse<u64>);

    impl Key for Newest {
        const LIST: &'static str = "numbers";
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    struct Other(Reverse<u64>);

    impl Key for Other {
        const LIST: &'static str = "others";
    }

    /// Newest first.
    fn entries(numbers: &[u64]) -> Vec<(Newest, u64)> {
        let mut entries: Vec<_> = numbers.iter().map(|number| (Newest(Reverse(*number)), *number)).collect();
        entries.sort();
        entries
    }

    fn cut(numbers: &[u64], limit: u32, token: &str) -> Result<Page, Refusal> {
        PageRequest::<Newest>::read(limit, token)?.cut(entries(numbers), |number| Ok(number.to_string()))
    }

    #[test]
    fn a_page_says_how_many_come_after_it() {
        let numbers: Vec<u64> = (0..120).collect();
        let first = cut(&numbers, 0, "").unwrap();
        assert_eq!((first.documents.len(), first.remaining), (50, 70));
        assert_eq!((first.documents[0].as_str(), first.documents[49].as_str()), ("119", "70"));
        let second = cut(&numbers, 50, &first.next).unwrap();
        assert_eq!((second.documents[0].as_str(), second.remaining), ("69", 20));
        let third = cut(&numbers, 50, &second.next).unwrap();
        assert_eq!((third.documents.len(), third.remaining, third.next.as_str()), (20, 0, ""));
        assert_eq!(cut(&[], 0, "").unwrap(), Page::default());
        let all = cut(&numbers, 120, "").unwrap();
        assert_eq!((all.remaining, all.next.as_str()), (0, ""), "a full page can be the last");
    }

    #[test]
    fn values_come_in_the_same_pages() {
        let numbers: Vec<u64> = (0..7).collect();
        let select = |limit, token: &str| {
            PageRequest::<Newest>::read(limit, token).unwrap().select(entries(&numbers)).unwrap()
        };
        let (first, next, remaining) = select(3, "");
        assert_eq!((first, remaining, next == cut(&numbers, 3, "").unwrap().next), (vec![6, 5, 4], 4, true));
        let (second, last, remaining) = select(4, &next);
        assert_eq!((second, remaining, last.as_str()), (vec![3, 2, 1, 0], 0, ""));
    }

    #[test]
    fn a_page_has_a_bounded_number_of_bytes_and_at_least_one_entry() {
        let numbers: Vec<u64> = (0..10).collect();
        let request = PageRequest::<Newest>::read(0, "").unwrap();
        let page = request.cut(entries(&numbers), |_| Ok("x".repeat(MAX_PAGE_BYTES / 3))).unwrap();
        assert_eq!((page.documents.len(), page.remaining), (3, 7));
        let page = request.cut(entries(&numbers), |_| Ok("x".repeat(MAX_PAGE_BYTES + 1))).unwrap();
        assert_eq!((page.documents.len(), page.remaining), (1, 9));
        let refusal = request.cut(entries(&numbers), |_| Ok("x".repeat(4 << 20))).unwrap_err();
        assert_eq!(refusal.reason, Reason::TooLarge);
    }

    #[test]
    fn limits_and_tokens_from_outside_are_checked() {
        let numbers: Vec<u64> = (0..600).collect();
        assert_eq!(cut(&numbers, MAX_LIMIT, "").unwrap().documents.len(), 500);
        let refusal = cut(&numbers, MAX_LIMIT + 1, "").unwrap_err();
        assert!(refusal.message.contains("at most 500") && refusal.message.contains("501"), "{refusal}");
        let others = PageRequest::<Other>::read(1, "").unwrap();
        let others = others.cut([(Other(Reverse(2)), ()), (Other(Reverse(1)), ())], |()| Ok(String::new()));
        let other = others.unwrap().next;
        let long = "A".repeat(1 << 20);
        for token in ["x", "%%%", "[]", "[\"numbers\",-1]", other.as_str(), long.as_str()] {
            let refusal = cut(&numbers, 1, token).unwrap_err();
            assert_eq!(refusal.reason, Reason::Malformed, "{refusal}");
            assert!(refusal.message.contains("numbers") && refusal.message.len() < 200, "{refusal}");
        }
    }

    #[test]
    fn pages_that_are_cut_by_bytes_go_on_where_they_stopped() {
        let numbers: Vec<u64> = (0..10).collect();
        let mut seen = String::new();
        let mut token = String::new();
        for pages in 1.. {
            let request = PageRequest::<Newest>::read(0, &token).unwrap();
            let long = |number: u64| Ok(number.to_string().repeat(MAX_PAGE_BYTES / 3));
            let page = request.cut(entries(&numbers), long).unwrap();
            seen.extend(page.documents.iter().map(|document| &document[..1]));
            assert_eq!(page.remaining, 10 - seen.len() as u64);
            if page.next.is_empty() {
                assert_eq!((seen.as_str(), pages), ("9876543210", 4));
                return;
            }
            token = page.next;
        }
    }

    proptest! {
        /// Whatever is added or removed between two pages, what is there all the time comes exactly once.
        #[test]
        fn pages_are_stable(
            first in prop::collection::btree_set(0_u64..500, 0..60),
            changes in prop::collection::vec((0_u64..500, any::<bool>()), 0..60),
            limit in 1_u32..20,
        ) {
            let mut now = first.clone();
            let mut changes = changes.into_iter();
            let mut seen = Vec::new();
            let mut token = String::new();
            let mut removed = std::collections::BTreeSet::new();
            loop {
                let numbers: Vec<u64> = now.iter().copied().collect();
                let page = cut(&numbers, limit, &token).unwrap();
                seen.extend(page.documents.iter().map(|text| text.parse::<u64>().unwrap()));
                prop_assert_eq!(page.next.is_empty(), page.remaining == 0);
                if page.next.is_empty() {
                    break;
                }
                token = page.next;
                for (number, add) in changes.by_ref().take(3) {
                    if add { now.insert(number); } else { now.remove(&number); removed.insert(number); }
                }
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "in order, so none comes twice");
            for number in first.difference(&removed) {
                prop_assert!(seen.contains(number), "{number} was there all the time");
            }
        }
    }
}
