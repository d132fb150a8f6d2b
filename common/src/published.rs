//! What is published of the JSON that programs print.

use schemars::Schema;

/// The schema of a document.
#[derive(Debug)]
pub struct Published {
    /// The name of the schema, without `.json`.
    pub name: &'static str,
    /// The commands that print it, without the program; words in capitals stand for values.
    pub commands: &'static [&'static str],
    /// The schema.
    pub schema: Schema,
}
