//! The definitions that all EoS-Fed programs share: identifiers, time, plans, models, weights, cards, and the
//! trainer's task and events. Network code is in `eosfed-transport`.
//!
//! A definition belongs here only if at least two programs need it.

pub mod ablation;
pub mod assignment;
pub mod band_values;
pub mod bands;
pub mod canonical;
pub mod card;
pub mod causes;
pub mod clock;
pub mod colour;
pub mod counted;
pub mod data_statement;
pub mod device_choice;
pub mod digest;
pub mod duration;
pub mod exit;
pub mod files;
pub mod finite;
pub mod head;
pub mod identity;
pub mod ids;
pub mod imagery;
pub mod ledger;
pub mod loopback;
pub mod metric;
pub mod model;
pub mod paging;
pub mod plan;
pub mod policy_summary;
pub mod printable;
pub mod printed;
pub mod private;
pub mod published;
pub mod quantity;
pub mod refusal;
pub mod report;
pub mod robust;
pub mod scoring;
pub mod screen;
pub mod secret;
pub mod service;
pub mod settings;
pub mod signing;
pub mod statements;
pub mod stdout;
pub mod task;
pub mod telemetry;
pub mod time_spent;
pub mod toml_text;
pub mod trace;
pub mod traffic;
pub mod training_target;
pub mod view;
pub mod weights;
