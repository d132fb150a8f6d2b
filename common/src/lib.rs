//! What every EoS-Fed program must agree on, byte for byte: identifiers, time, plans, models,
//! weights, cards, the trainer's task and events and, behind the feature `net`, the wire and TLS.
//!
//! A thing is admitted here only when at least two programs need it to mean the same.

pub mod assignment;
pub mod bands;
pub mod card;
pub mod clock;
pub mod duration;
pub mod head;
pub mod ids;
pub mod model;
pub mod plan;
pub mod refusal;
pub mod settings;
pub mod stac;
pub mod stdout;
pub mod task;
pub mod telemetry;
pub mod trainee;
pub mod weights;

#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod wire;
