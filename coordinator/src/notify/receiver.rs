//! A receiver as it is used: its target, opened and checked.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;
use nix::unistd::{AccessFlags, access};

use super::command;
use super::delivery::{Delivery, Failure};
use super::settings::{NotifySettings, ReceiverName, Target};
use super::webhook::Webhook;

#[derive(Debug)]
enum Opened {
    Webhook(Box<Webhook>),
    Command(Vec<String>),
}

/// A receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) settings: NotifySettings,
    target: Opened,
}

impl Receiver {
    /// The receiver of these settings, whose files are checked.
    ///
    /// # Errors
    /// If one cannot be used, with the name of the receiver.
    pub(super) fn open(settings: &NotifySettings) -> anyhow::Result<Self> {
        let target = match &settings.target {
            Target::Webhook(webhook) => Webhook::new(webhook).map(|one| Opened::Webhook(Box::new(one))),
            Target::Command(words) => is_program(words).map(|()| Opened::Command(words.clone())),
        };
        let target = target.with_context(|| format!("`[[notify]]` `{}`", settings.name))?;
        Ok(Self { settings: settings.clone(), target })
    }

    /// Its name.
    pub(super) const fn name(&self) -> &ReceiverName {
        &self.settings.name
    }

    /// Whether another one would do the same. Files that are read when a receiver is opened may have changed.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let reads_files = match &self.settings.target {
            Target::Webhook(webhook) => webhook.ca_file.is_some() || webhook.proxy_credentials_file.is_some(),
            Target::Command(_) => false,
        };
        !reads_files && self.settings == other.settings
    }

    /// Tries once to deliver.
    pub(super) async fn deliver(&self, delivery: &Delivery, now: Timestamp) -> Result<String, Failure> {
        let limit = self.settings.timeout;
        match &self.target {
            Opened::Webhook(webhook) => {
                let tried = tokio::time::timeout(limit, webhook.post(delivery, now)).await;
                tried.unwrap_or_else(|_| Err(Failure::Again(silent(limit))))
            }
            Opened::Command(words) => command::run(words, delivery, limit).await,
        }
    }
}

fn silent(limit: Duration) -> String {
    format!("the webhook has not answered within {} s", limit.as_secs())
}

fn is_program(words: &[String]) -> anyhow::Result<()> {
    let program = Path::new(words.first().map_or("", String::as_str));
    let found = access(program, AccessFlags::X_OK).map_err(std::io::Error::from);
    found.with_context(|| format!("`command` {} cannot be run", program.display()))
}
