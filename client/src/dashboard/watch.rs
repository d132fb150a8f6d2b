//! Looks whether the state folder has changed. Files of it are replaced or grow, so their times and sizes say so.

use std::time::{Duration, SystemTime};

use tokio::sync::watch::Sender;

use crate::journal::SiteJournal;
use crate::site::Site;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is compared: the newest file of the log, and the times of the others.
type Seen = (Option<(u64, u64)>, Vec<Option<SystemTime>>, bool);

fn look(site: &Site) -> Seen {
    let files = [site.policy(), site.path().join("usage.json")];
    let journals = SiteJournal::all(site).into_iter().map(|journal| journal.path());
    let times = journals.chain(files).map(|path| path.metadata().and_then(|found| found.modified()).ok());
    (crate::site_log::end(&site.log()), times.collect(), site.is_locked().unwrap_or(false))
}

/// Counts the changes, until nobody listens.
pub(super) async fn watch(site: Site, changes: Sender<u64>) {
    let mut seen = None;
    while !changes.is_closed() {
        let folder = site.clone();
        let found = tokio::task::spawn_blocking(move || look(&folder)).await.ok();
        if found != seen {
            seen = found;
            changes.send_modify(|count| *count += 1);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
