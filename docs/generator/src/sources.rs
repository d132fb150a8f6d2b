//! The files that the reference covers: their types, examples and parsers.

use schemars::{Schema, schema_for};

/// A file that a person writes.
pub(crate) struct Source {
    /// The page.
    pub file: &'static str,
    /// The page's title.
    pub title: &'static str,
    /// What the file is for.
    pub introduction: &'static str,
    /// The schema of its type.
    pub schema: Schema,
    /// An example that sets every key.
    pub example: &'static str,
    /// The program's own parser.
    pub parse: fn(&str) -> Result<(), String>,
}

/// All of them.
pub(crate) fn all() -> Vec<Source> {
    vec![coordinator(), client()]
}

fn coordinator() -> Source {
    Source {
        file: "coordinator.md",
        title: "coordinator.toml",
        introduction: "The settings of a coordinator. `eosfed-coordinator init` writes the file into the state \
                       folder; a change takes effect at the next start.",
        schema: schema_for!(eosfed_coordinator::settings::Settings),
        example: include_str!("../examples/coordinator.toml"),
        parse: |text| {
            toml::from_str::<eosfed_coordinator::settings::Settings>(text).map(drop).map_err(|error| error.to_string())
        },
    }
}

fn client() -> Source {
    Source {
        file: "client.md",
        title: "client.toml",
        introduction: "The settings of an institution's daemon. `eosfed-client join` writes the file into the state \
                       folder; `eosfed-client check --state DIR` says what is wrong with it.",
        schema: schema_for!(eosfed_client::settings::Settings),
        example: include_str!("../examples/client.toml"),
        parse: |text| {
            toml::from_str::<eosfed_client::settings::Settings>(text).map(drop).map_err(|error| error.to_string())
        },
    }
}
