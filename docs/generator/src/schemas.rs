//! The JSON Schemas of the documents that `eosfed` prints with `--output json`.

use std::fmt::Write as _;

use eosfed_common::card::{Card, ReleaseManifest};
use eosfed_common::view::{InstitutionView, JobSummary, ReleaseSummary, RoundView, SpecialistView, WholeJob};
use schemars::{Schema, schema_for};

use crate::page::Page;

/// A document that commands print.
struct Document {
    file: &'static str,
    /// The commands, without `--output json`.
    commands: &'static str,
    schema: Schema,
}

fn all() -> Vec<Document> {
    let document = |file, commands, schema| Document { file, commands, schema };
    vec![
        document("schemas/job.json", "`eosfed job show JOB`, `eosfed job watch JOB`", schema_for!(WholeJob)),
        document("schemas/round.json", "`eosfed job show JOB --round N`", schema_for!(RoundView)),
        document("schemas/jobs.json", "`eosfed job list`", schema_for!(Vec<JobSummary>)),
        document("schemas/institutions.json", "`eosfed institution list`", schema_for!(Vec<InstitutionView>)),
        document("schemas/specialist.json", "`eosfed specialist show REF`", schema_for!(SpecialistView)),
        document("schemas/specialists.json", "`eosfed specialist list`", schema_for!(Vec<Card>)),
        document(
            "schemas/release.json",
            "`eosfed release show`, `release create`, `release prune`; the file `release.json`",
            schema_for!(ReleaseManifest),
        ),
        document("schemas/releases.json", "`eosfed release list`", schema_for!(Vec<ReleaseSummary>)),
    ]
}

/// The schemas, and a page that lists them.
pub(crate) fn pages() -> anyhow::Result<Vec<Page>> {
    let mut list = String::from(
        "# JSON documents\n\n\
         What `eosfed` prints with `--output json` has the schemas below (JSON Schema 2020-12). Members may\n\
         be added in a later version. Points in time are milliseconds since the Unix epoch, UTC. Rounds are\n\
         counted from 0 and attempts from 1. Lines of `eosfed audit export` are described in\n\
         [operations](../operations.md).\n\n\
         | schema | printed by |\n| --- | --- |\n",
    );
    let mut pages = Vec::new();
    for Document { file, commands, schema } in all() {
        let name = file.trim_start_matches("schemas/");
        writeln!(list, "| [{name}]({file}) | {commands} |")?;
        pages.push(Page { file, text: format!("{}\n", serde_json::to_string_pretty(&schema)?) });
    }
    pages.push(Page { file: "json.md", text: list });
    Ok(pages)
}
