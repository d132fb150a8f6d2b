//! One try to deliver a notification.

use super::event::NotifyEvent;
use super::notification::Notification;

/// What is delivered: the body, and what headers say of it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: NotifyEvent,
    pub(super) body: Vec<u8>,
}

impl From<&Notification> for Delivery {
    fn from(notification: &Notification) -> Self {
        Self { id: notification.id.clone(), event: notification.event, body: notification.to_bytes() }
    }
}

/// Why a try has failed, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another try may do better.
    Again(String),
    /// It will not.
    Lasting(String),
}

impl Failure {
    /// What was wrong.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Again(why) | Self::Lasting(why) => why,
        }
    }
}
