//! `eosfed-coordinator notify test`: one test notification to each receiver, and what came back.

use std::time::Instant;

use anyhow::bail;
use eosfed_common::clock::Timestamp;
use eosfed_common::outln;

use super::delivery::{Delivery, Failure};
use super::notification::Notification;
use super::receiver::Receiver;
use super::settings::NotifySettings;

/// Sends a test notification to the receiver of this name, or to all, and prints what came back. Gives whether
/// all were delivered.
///
/// # Errors
/// If there is no such receiver.
pub async fn trial(
    settings: &[NotifySettings],
    only: Option<&str>,
    coordinator: &str,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let chosen = settings.iter().filter(|one| only.is_none_or(|name| one.name.as_str() == name));
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        let names: Vec<_> = settings.iter().map(|one| one.name.as_str()).collect();
        match (only, &names[..]) {
            (Some(name), [_, ..]) => bail!(
                "no `[[notify]]` has the name `{}`; there are {}",
                name.escape_debug().take(80).collect::<String>(),
                names.join(", ")
            ),
            _ => bail!("coordinator.toml has no `[[notify]]`"),
        }
    }
    let delivery = Delivery::from(&Notification::test(coordinator, now));
    let mut good = true;
    for one in chosen {
        let began = Instant::now();
        let tried = match Receiver::open(one) {
            Ok(receiver) => receiver.deliver(&delivery, now).await,
            Err(error) => Err(Failure::Lasting(format!("{error:#}"))),
        };
        match &tried {
            Ok(said) => outln!("ok       {}: {said} ({} ms)", one.name, began.elapsed().as_millis()),
            Err(failure) => outln!("problem  {}: {}", one.name, failure.why()),
        }
        good &= tried.is_ok();
    }
    Ok(good)
}

/// Whether all receivers can be used, with their names; nothing is sent.
///
/// # Errors
/// A sentence on the first that cannot.
pub fn check(settings: &[NotifySettings]) -> Result<String, String> {
    for one in settings {
        Receiver::open(one).map_err(|error| format!("{error:#}"))?;
    }
    let names: Vec<_> = settings.iter().map(|one| one.name.as_str()).collect();
    Ok(if names.is_empty() { "nobody is told".to_owned() } else { names.join(", ") })
}
