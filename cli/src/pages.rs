//! Lists that come in pages.

use eosfed_common::errln;
use eosfed_common::paging::MAX_LIMIT;
use eosfed_proto::v1;
use serde::de::DeserializeOwned;

use super::arguments::Extent;
use super::connection::decode;

/// The first entries of a list, and how many come after them.
pub(super) struct Listed<T> {
    pub(super) entries: Vec<T>,
    pub(super) remaining: u64,
}

impl<T> Listed<T> {
    /// Says on standard error how many entries are not shown, if any.
    pub(super) fn report_rest(&self) {
        if self.remaining > 0 {
            let verb = if self.remaining == 1 { "is" } else { "are" };
            errln!("{} more {verb} not shown; use `--limit N` or `--all`", self.remaining);
        }
    }
}

/// Fetches as much of a list as is wanted: `fetch` gets one page of documents, and where the list continues.
pub(super) async fn list<T: DeserializeOwned>(
    extent: &Extent,
    mut fetch: impl AsyncFnMut(v1::PageRequest) -> anyhow::Result<(Vec<String>, Option<v1::PageResponse>)>,
) -> anyhow::Result<Listed<T>> {
    let decoded = async |page| {
        let (documents, page) = fetch(page).await?;
        Ok((documents.iter().map(|document| decode(document)).collect::<anyhow::Result<_>>()?, page))
    };
    gather(extent, decoded).await
}

/// Fetches as much of a list as is wanted: `fetch` gets one page of entries, and where the list continues.
pub(super) async fn gather<T>(
    extent: &Extent,
    mut fetch: impl AsyncFnMut(v1::PageRequest) -> anyhow::Result<(Vec<T>, Option<v1::PageResponse>)>,
) -> anyhow::Result<Listed<T>> {
    let wanted = if extent.all { usize::MAX } else { extent.limit as usize };
    let mut listed = Listed { entries: Vec::new(), remaining: 0 };
    let mut token = String::new();
    loop {
        let missing = u32::try_from(wanted - listed.entries.len()).unwrap_or(MAX_LIMIT);
        let (entries, page) = fetch(v1::PageRequest { limit: missing.min(MAX_LIMIT), token }).await?;
        let was_empty = entries.is_empty();
        listed.entries.extend(entries);
        let v1::PageResponse { next_token, remaining } = page.unwrap_or_default();
        token = next_token;
        listed.remaining = remaining;
        if token.is_empty() || was_empty || listed.entries.len() >= wanted {
            return Ok(listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coordinator that has the numbers below `count`, and gives at most `most` of them in a page.
    async fn listed(extent: Extent, count: u64, most: u32) -> (Listed<u64>, u32) {
        let mut calls = 0;
        let fetch = async |page: v1::PageRequest| {
            calls += 1;
            assert!((1..=MAX_LIMIT).contains(&page.limit), "{}", page.limit);
            let first: u64 = page.token.parse().unwrap_or_default();
            let end = count.min(first + u64::from(page.limit.min(most)));
            let next_token = if end < count { end.to_string() } else { String::new() };
            let documents = (first..end).map(|number| number.to_string()).collect();
            Ok((documents, Some(v1::PageResponse { next_token, remaining: count - end })))
        };
        let listed = list(&extent, fetch).await.unwrap();
        (listed, calls)
    }

    #[tokio::test]
    async fn as_many_pages_as_needed_are_fetched_and_no_more() {
        for (extent, count, most, entries, remaining, calls) in [
            (Extent { limit: 50, all: false }, 87, 500, 50, 37, 1),
            (Extent { limit: 50, all: false }, 87, 20, 50, 37, 3),
            (Extent { limit: 50, all: false }, 50, 500, 50, 0, 1),
            (Extent { limit: 50, all: false }, 0, 500, 0, 0, 1),
            (Extent { limit: 50, all: true }, 1_234, 500, 1_234, 0, 3),
        ] {
            let (found, fetched) = listed(extent, count, most).await;
            assert_eq!(found.entries, (0..entries).collect::<Vec<_>>());
            assert_eq!((found.remaining, fetched), (remaining, calls));
        }
    }

    #[tokio::test]
    async fn a_coordinator_that_sends_empty_pages_for_ever_is_not_asked_for_ever() {
        let fetch = async |_: v1::PageRequest| {
            Ok((Vec::new(), Some(v1::PageResponse { next_token: "again".to_owned(), remaining: 9 })))
        };
        let listed: Listed<u64> = list(&Extent { limit: 50, all: true }, fetch).await.unwrap();
        assert_eq!((listed.entries.len(), listed.remaining), (0, 9));
    }
}
