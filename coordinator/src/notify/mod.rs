//! Notifications: a webhook or a command of the operator's is told of chosen events.
//!
//! ```text
//! ledger ----> follower --+                        +-> webhook
//!                         +-> outbox of a receiver -+
//! state  ----> looker  ---+   (bounded)             +-> command
//! ```
//!
//! What is on record comes from the ledger. What follows from time (an institution is silent, a certificate
//! expires, a disk has little room) comes from a look at the state each minute, and is told once until it has
//! passed. Each receiver has a queue and a worker of its own, which sends one notification after another. How
//! far it is lies in a small file, so that a restart loses nothing: a notification that was sent and not yet
//! noted is sent again, with the same id.
//!
//! Nothing here holds a lock of the engine while it waits for a receiver.

mod command;
mod conditions;
mod delivery;
mod desks;
mod event;
mod look;
mod notification;
mod outbox;
mod places;
mod receiver;
mod retry;
mod run;
mod settings;
mod signature;
mod trial;
mod webhook;
mod worker;

#[cfg(test)]
mod tests;

pub use look::Around;
pub use notification::Notification;
pub use run::{Notifier, Replacement};
pub use settings::{NotifySettings, receivers};
pub use trial::{check, trial};
