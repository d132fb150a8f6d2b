//! The JSON Schemas of the documents that `eosfed` and `eosfed-client` print with `--output json`, and of the
//! ledger's events.

use std::fmt::Write as _;

use eosfed_cli::document::{Published, published};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::ledger::Event;
use schemars::schema_for;
use serde::Serialize;

use crate::page::Page;

/// The schemas, and a page that lists them.
pub(crate) fn pages() -> anyhow::Result<Vec<Page>> {
    let mut list = String::from(
        "# JSON documents\n\n\
         What `eosfed` prints with `--output json` has the schemas below (JSON Schema 2020-12). Members may\n\
         be added in a later version. Points in time are texts (RFC 3339, UTC), such as\n\
         `2026-11-27T21:12:03.123Z`; durations say their unit in their name or in the schema, or are texts such\n\
         as `2h`. Rounds are counted from 0 and attempts from 1. What `eosfed-client` prints for an institution\n\
         is at the end; `log` prints a document in each line.\n\n\
         What is stored, signed or sent keeps points in time as milliseconds since the Unix epoch, UTC, so that\n\
         its bytes stay the same: the file `release.json` of a pulled release\n\
         ([release-file.json](schemas/release-file.json)); lines of `eosfed audit export`\n\
         ([event.json](schemas/event.json); [operations](../operations.md) says how to verify them) and of\n\
         `eosfed-client log`; and notifications of a coordinator\n\
         ([notification.json](schemas/notification.json)).\n\n\
         | schema | printed by |\n| --- | --- |\n",
    );
    let mut pages = vec![
        page("event", &schema_for!(Event))?,
        page("notification", &schema_for!(eosfed_coordinator::notify::Notification))?,
        page("release-file", &schema_for!(ReleaseManifest))?,
    ];
    let of_operators = published().into_iter().map(|document| ("eosfed", document));
    let of_institutions = eosfed_client::document::published().into_iter();
    let of_institutions = of_institutions.map(|document| ("eosfed-client", document));
    for (program, Published { name, commands, schema }) in of_operators.chain(of_institutions) {
        let commands: Vec<_> = commands.iter().map(|command| format!("`{program} {command}`")).collect();
        writeln!(list, "| [{name}.json](schemas/{name}.json) | {} |", commands.join(", "))?;
        pages.push(page(name, &schema)?);
    }
    pages.push(Page { file: "json.md".to_owned(), text: list });
    Ok(pages)
}

fn page<T: Serialize>(name: &str, schema: &T) -> anyhow::Result<Page> {
    let text = format!("{}\n", serde_json::to_string_pretty(schema)?);
    Ok(Page { file: format!("schemas/{name}.json"), text })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;
    use eosfed_cli::arguments::Arguments;
    use eosfed_cli::document::WITHOUT_DOCUMENT;

    use super::*;

    /// The commands below this one that have none below them, as their words after `eosfed`.
    fn leaves(command: &clap::Command, words: &[&str], found: &mut BTreeSet<String>) {
        let mut below = command.get_subcommands().filter(|one| one.get_name() != "help").peekable();
        if below.peek().is_none() {
            found.insert(words.join(" "));
        }
        for one in below {
            leaves(one, &[words, &[one.get_name()]].concat(), found);
        }
    }

    #[test]
    fn every_command_has_a_schema_of_what_it_prints_as_json() {
        let mut commands = BTreeSet::new();
        leaves(&Arguments::command(), &[], &mut commands);
        assert!(commands.len() > 20, "{commands:?}");
        let words = |command: &&str| {
            let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
            let words = command.split(' ').take_while(is_word);
            words.collect::<Vec<_>>().join(" ")
        };
        let published = published();
        let documented = published.iter().flat_map(|one| one.commands).map(words);
        let documented: BTreeSet<_> = documented.chain(WITHOUT_DOCUMENT.map(ToOwned::to_owned)).collect();
        let missing: Vec<_> = commands.difference(&documented).collect();
        assert!(missing.is_empty(), "`eosfed_cli::document` has no schema for {missing:?}");
        let unknown: Vec<_> = documented.difference(&commands).collect();
        assert!(unknown.is_empty(), "`eosfed_cli::document` names commands that are not there: {unknown:?}");
    }
}
