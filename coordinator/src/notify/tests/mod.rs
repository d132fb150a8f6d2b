//! Notifications with real receivers.

mod delivery;
mod federation;
mod hook;
