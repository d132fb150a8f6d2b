//! Conversion of messages to domain types and back. Every message is destructured field by field, so that a
//! new field cannot be overlooked. `*_UNSPECIFIED` is an error. Every list and text has a limit, so that only
//! blob chunks can carry bulk bytes.

mod ablation;
mod assignment;
mod data_statement;
mod events;
mod kind;
mod member;
mod model;
mod policy_summary;
mod report;
mod scoring;
mod signing;
mod submission;
mod training;

pub use assignment::signed_assignment;
pub use events::event_filter;
pub use kind::{
    job_kind, job_kind_message, job_state, job_state_message, member_state, member_state_message, task,
    task_message,
};
pub use member::{role_message, role_of};
pub use signing::{coordinator_keys, coordinator_keys_message};
pub use submission::Heartbeat;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use eosfed_common::assignment::{BlobRef, MAX_TEXT};
use eosfed_common::finite::Finite;
use eosfed_common::printable::{MAX_WORD, Printable};
use eosfed_common::refusal::{Reason, Refusal};

/// A field of a message breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {rule}")]
pub struct WireError {
    /// The field.
    pub field: &'static str,
    /// The rule, with the value found if it is short.
    pub rule: String,
}

/// A value with a message of the protocol.
pub trait Wire: Sized {
    /// The message.
    type Message;

    /// Parses the message.
    ///
    /// # Errors
    /// If a field is missing, breaks its rule or is larger than its limit.
    fn from_message(message: Self::Message) -> Result<Self, WireError>;

    /// Makes the message.
    fn into_message(self) -> Self::Message;
}

/// The bytes of a value's message.
#[must_use]
pub fn message_bytes<T: Wire>(value: T) -> u64
where
    T::Message: prost::Message,
{
    bytes_of(&value.into_message())
}

/// The bytes of a message.
#[must_use]
pub fn bytes_of(message: &impl prost::Message) -> u64 {
    message.encoded_len() as u64
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::new(Reason::Malformed, error.to_string())
    }
}

fn wrong(field: &'static str, rule: impl Display) -> WireError {
    WireError { field, rule: rule.to_string() }
}

/// Parses a text field. Its type defines the valid values.
///
/// # Errors
/// If the text is too long or not valid.
pub fn parse<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, WireError> {
    limited(field, text)?.parse().map_err(|error| wrong(field, error))
}

/// A name or another text that stands for itself, of so many bytes.
///
/// # Errors
/// If it has another length, or a character that people cannot be shown.
pub fn printable(
    field: &'static str,
    text: &str,
    length: RangeInclusive<usize>,
) -> Result<String, WireError> {
    Printable::parse(text, length).map(Into::into).map_err(|error| wrong(field, error))
}

/// A sentence of at most [`MAX_TEXT`] bytes. Its line breaks are honest, and become `\n`; like all other
/// characters that people cannot be shown, they are escaped.
///
/// # Errors
/// If it is longer.
pub fn sentence(field: &'static str, text: &str) -> Result<String, WireError> {
    Ok(Printable::escaped(limited(field, text)?, MAX_TEXT).into())
}

/// A text of at most [`MAX_TEXT`] bytes, whose type says what it may be.
fn limited<'a>(field: &'static str, text: &'a str) -> Result<&'a str, WireError> {
    if text.len() <= MAX_TEXT {
        return Ok(text);
    }
    Err(wrong(field, format!("at most {MAX_TEXT} bytes, found `{}`", text.len())))
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or_else(|| wrong(field, "required"))
}

fn at_most<T>(field: &'static str, limit: usize, list: Vec<T>) -> Result<Vec<T>, WireError> {
    if list.len() <= limit {
        return Ok(list);
    }
    Err(wrong(field, format!("at most {limit} entries, found `{}`", list.len())))
}

/// At most this many words, each as [`printable`].
fn words(field: &'static str, most: usize, list: Vec<String>) -> Result<Vec<String>, WireError> {
    at_most(field, most, list)?.into_iter().map(|word| printable(field, &word, 1..=MAX_WORD)).collect()
}

fn finite(field: &'static str, value: f64) -> Result<Finite, WireError> {
    Finite::try_from(value).map_err(|error| wrong(field, error))
}

/// A protobuf enum that must not be unspecified or unknown.
fn specified<E>(field: &'static str, value: i32) -> Result<E, WireError>
where
    E: TryFrom<i32> + Default + PartialEq,
{
    match E::try_from(value) {
        Ok(known) if known != E::default() => Ok(known),
        _ => Err(wrong(field, format!("a specified value, found `{value}`"))),
    }
}

impl Wire for BlobRef {
    type Message = eosfed_proto::v1::Blob;

    fn from_message(message: eosfed_proto::v1::Blob) -> Result<Self, WireError> {
        let eosfed_proto::v1::Blob { digest, size } = message;
        Ok(Self { digest: parse("digest", &digest)?, size })
    }

    fn into_message(self) -> eosfed_proto::v1::Blob {
        eosfed_proto::v1::Blob { digest: self.digest.to_string(), size: self.size }
    }
}

impl Wire for Refusal {
    type Message = eosfed_proto::v1::Refusal;

    fn from_message(message: eosfed_proto::v1::Refusal) -> Result<Self, WireError> {
        let eosfed_proto::v1::Refusal { reason, message } = message;
        Ok(Self { reason: parse("reason", &reason)?, message: sentence("message", &message)? })
    }

    fn into_message(self) -> eosfed_proto::v1::Refusal {
        let Refusal { reason, message } = self;
        let message = Printable::escaped(&message, MAX_TEXT).into();
        eosfed_proto::v1::Refusal { reason: reason.code().to_owned(), message }
    }
}

#[cfg(test)]
mod plan_rules;
#[cfg(test)]
mod tests;
