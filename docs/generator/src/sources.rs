//! The files that the reference covers: their types, examples and parsers.

use std::fmt::Display;
use std::path::Path;

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

/// Reads a text as the program does, from a file.
fn read<T, E: Display>(text: &str, load: impl FnOnce(&Path) -> Result<T, E>) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), text).map_err(|error| error.to_string())?;
    load(file.path()).map(drop).map_err(|error| error.to_string())
}

/// All of them.
pub(crate) fn all() -> Vec<Source> {
    vec![answers(), coordinator(), client(), dataset(), plan(), policy()]
}

fn answers() -> Source {
    Source {
        file: "answers.md",
        title: "The answers of a setup",
        introduction: "What `eosfed-client setup --answers FILE` reads instead of asking a person. Giving the file is \
                       the consent to write and to join. What is in the state folder already is kept.",
        schema: schema_for!(eosfed_client::setup::Answers),
        example: include_str!("../examples/answers.toml"),
        parse: |text| read(text, eosfed_client::setup::Answers::load),
    }
}

fn coordinator() -> Source {
    Source {
        file: "coordinator.md",
        title: "coordinator.toml",
        introduction: "The settings of a coordinator. `eosfed-coordinator init` writes the file into the state \
                       folder; a change takes effect at the next start.",
        schema: schema_for!(eosfed_coordinator::settings::Settings),
        example: include_str!("../examples/coordinator.toml"),
        parse: |text| read(text, eosfed_common::settings::load::<eosfed_coordinator::settings::Settings>),
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
        parse: |text| read(text, eosfed_client::settings::Settings::load),
    }
}

fn dataset() -> Source {
    Source {
        file: "dataset.md",
        title: "dataset.toml",
        introduction: "What an institution says of its imagery: the task, the bands, where the files lie and how \
                       samples are divided. The file lies in the data folder; `eosfed-client data inspect DIR` \
                       checks it against the files.",
        schema: schema_for!(eosfed_data::DatasetConfig),
        example: include_str!("../examples/dataset.toml"),
        parse: |text| read(text, eosfed_data::DatasetConfig::load),
    }
}

fn plan() -> Source {
    Source {
        file: "plan.md",
        title: "The plan of a job",
        introduction: "What an operator submits with `eosfed job submit PLAN`. `kind` says what the job is, and which \
                       of the tables below it has; `eosfed job check PLAN` lists every broken rule at once.",
        schema: schema_for!(eosfed_common::plan::RawPlan),
        example: include_str!("../examples/plan.toml"),
        parse: |text| eosfed_common::plan::JobSpec::parse(text).map(drop).map_err(|error| error.to_string()),
    }
}

fn policy() -> Source {
    Source {
        file: "policy.md",
        title: "policy.toml",
        introduction: "The institution's own rules. The coordinator cannot override them. What the file does not \
                       allow is refused with the reason; a file that cannot be read allows nothing. \
                       `eosfed-client policy explain --policy FILE [--plan PLAN]` says what it means.",
        schema: schema_for!(eosfed_client::policy::Policy),
        example: include_str!("../examples/policy.toml"),
        parse: |text| read(text, eosfed_common::settings::load::<eosfed_client::policy::Policy>),
    }
}
