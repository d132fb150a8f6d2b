//! Pages as Markdown.

use std::fmt::Write as _;

use crate::keys::{self, Key, Table};
use crate::page::Page;
use crate::sources::Source;
use anyhow::Context as _;

const WIDTH: usize = 100;

/// The page of a file.
///
/// # Errors
/// If a key has no description or is missing from the example, or the parser refuses the example.
pub(crate) fn page(source: &Source) -> anyhow::Result<Page> {
    let schema = serde_json::to_value(&source.schema)?;
    let tables = keys::tables(&schema).with_context(|| format!("{}: its schema", source.file))?;
    (source.parse)(source.example)
        .map_err(|error| anyhow::anyhow!("{}: the example: {error}", source.file))?;
    let missing = missing(&tables, source.example);
    anyhow::ensure!(missing.is_empty(), "{}: the example lacks {}", source.file, missing.join(", "));
    let mut text =
        format!("# {}\n\n{}\n\nUnknown keys are refused.\n", source.title, wrapped(source.introduction));
    for table in &tables {
        section(&mut text, table)?;
    }
    write!(text, "\n## An example with every key\n\n```toml\n{}```\n", source.example)?;
    Ok(Page { file: source.file.to_owned(), text })
}

fn section(text: &mut String, table: &Table) -> anyhow::Result<()> {
    let heading = if table.path.is_empty() { "Top level".to_owned() } else { format!("`{}`", table.path) };
    write!(text, "\n## {heading}\n\n")?;
    if !table.meaning.is_empty() {
        writeln!(text, "{}\n", wrapped(table.meaning.trim()))?;
    }
    if table.keys.is_empty() {
        text.push_str("No keys.\n");
        return Ok(());
    }
    text.push_str("| key | type | default | rule | meaning |\n| --- | --- | --- | --- | --- |\n");
    for key in &table.keys {
        writeln!(text, "{}", row(key))?;
    }
    Ok(())
}

fn row(key: &Key) -> String {
    let default = match (&key.default, key.required) {
        // Its keys have a section of their own.
        (Some(_), _) if key.kind == "table" => "see its keys".to_owned(),
        (Some(default), _) => format!("`{default}`"),
        (None, true) => "required".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let cell = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let cells =
        [&format!("`{}`", key.name), &key.kind, &default, &key.rule, &key.meaning].map(|one| cell(one));
    format!("| {} |", cells.join(" | "))
}

/// The keys that the example does not set, neither in force nor commented out.
fn missing(tables: &[Table], example: &str) -> Vec<String> {
    let said: Vec<_> = example.lines().map(|line| line.trim_start_matches(['#', ' '])).collect();
    let has = |name: &str| {
        let inside = |line: &&str| {
            line.split(['{', ',', '}'])
                .any(|part| part.trim().split('=').next().is_some_and(|key| key.trim() == name))
        };
        let header = |line: &&str| line.trim_matches(['[', ']']).split('.').any(|part| part == name);
        said.iter().any(|line| inside(line) || (line.starts_with('[') && header(line)))
    };
    keys::paths(tables).into_keys().filter(|path| !has(path.rsplit('.').next().unwrap_or(path))).collect()
}

/// Text in lines of at most 100 columns.
pub(crate) fn wrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let mut lines = vec![String::new()];
        for word in paragraph.split_whitespace() {
            let line = lines.last_mut().filter(|line| line.len() + 1 + word.len() <= WIDTH);
            match line {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) => {
                    line.push(' ');
                    line.push_str(word);
                }
                None => lines.push(word.to_owned()),
            }
        }
        lines.join("\n")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde_json::Value;

    /// A file.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct File {
        /// A number.
        #[schemars(range(min = 1, max = 40))]
        count: u64,
        /// A word.
        #[serde(default)]
        word: Option<Word>,
        /// A table.
        #[serde(default)]
        part: Part,
        /// One of several.
        choice: Choice,
    }

    #[derive(JsonSchema, serde::Serialize, Default)]
    #[allow(dead_code)]
    struct Part {
        /// Names.
        names: Vec<String>,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code)]
    enum Word {
        /// First.
        TextOne,
        /// Second.
        TextTwo,
    }

    /// A choice.
    #[derive(JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    #[allow(dead_code)]
    enum Choice {
        /// By number.
        ByNumber {
            /// Which.
            number: u8,
        },
        /// None of it.
        Nothing,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Silent {
        count: u64,
    }

    fn schema_of<T: JsonSchema>() -> Value {
        serde_json::to_value(schemars::schema_for!(T)).unwrap()
    }

    #[test]
    fn every_key_is_listed_with_type_default_rule_and_meaning() {
        let tables = keys::tables(&schema_of::<File>()).unwrap();
        let rows: Vec<String> = tables[0].keys.iter().map(row).collect();
        assert!(
            rows.contains(&"| `count` | integer | required | 1 to 40 | A number. |".to_owned()),
            "{rows:#?}"
        );
        assert!(rows.iter().any(|row| row.contains("`\"text-one\"`, `\"text-two\"` | none |")), "{rows:#?}");
        let paths: Vec<_> = tables.iter().map(|table| table.path.as_str()).collect();
        assert_eq!(paths, ["", "choice (kind = \"by-number\")", "choice (kind = \"nothing\")", "part"]);
    }

    #[test]
    fn a_key_without_a_description_is_an_error() {
        let error = keys::tables(&schema_of::<Silent>()).unwrap_err().to_string();
        assert!(error.contains("`count` has no description"), "{error}");
    }

    #[test]
    fn an_example_must_set_every_key() {
        let tables = keys::tables(&schema_of::<File>()).unwrap();
        let example =
            "count = 3\n# word = \"text-one\"\n[part]\n[choice]\nkind = \"by-number\"\nnumber = 3\n";
        assert_eq!(missing(&tables, example), ["part.names"]);
    }
}
