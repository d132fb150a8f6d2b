//! The site policy in words.

use maud::{Markup, html};

use super::path;
use crate::layout::{Content, Shell};
use crate::parts::{heading, panel, said, shell_command};

/// What the page of the policy shows.
#[derive(Debug)]
pub struct PolicyPage<'a> {
    /// Its file.
    pub file: &'a str,
    /// A sentence for each permission, or why the policy cannot be read.
    pub sentences: Result<&'a [String], &'a str>,
    /// What counts for data sets with a policy of their own.
    pub data_sets: &'a [DataSetPolicy],
}

/// The policy of one of several data sets.
#[derive(Debug)]
pub struct DataSetPolicy {
    /// The name of the data set.
    pub name: String,
    /// The file.
    pub file: String,
    /// What both this policy and the site's allow, a sentence for each permission; or why it cannot be read.
    pub sentences: Result<Vec<String>, String>,
}

fn rules(sentences: Result<&[String], &str>, file: &str) -> Markup {
    html! {
        @match sentences {
            Ok(sentences) => ul.sentences { @for one in sentences { li { (said(one)) } } },
            Err(why) => p.error role="alert" { (said(why)) },
        }
        p.of { "From " code.long { (said(file)) } "." }
    }
}

/// The page of the policy.
#[must_use]
pub fn policy(shell: &Shell, page: &PolicyPage<'_>) -> String {
    let lead = html! {
        p.lead { "The daemon reads these rules again before anything leaves. The coordinator cannot change them." }
    };
    let body = html! {
        (heading(&html! { "Policy" }, &html! {}, &lead))
        (panel("rules", "What this institution allows", &rules(page.sentences, page.file)))
        @for (at, one) in page.data_sets.iter().enumerate() {
            (panel(&format!("rules-{at}"), &format!("What it allows for the data set {}", one.name), &rules(
                one.sentences.as_deref().map_err(|why| &**why), &one.file
            )))
        }
        (panel("commands", "Commands", &shell_command(
            "eosfed-client policy explain --policy STATE/policy.toml\neosfed-client policy explain --policy STATE/policy.toml --plan PLAN"
        )))
    };
    shell.document(&Content { title: "Policy".to_owned(), section: path::POLICY, body })
}
