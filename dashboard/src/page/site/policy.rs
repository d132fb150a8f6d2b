//! The site policy in words.

use maud::html;

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
}

/// The page of the policy.
#[must_use]
pub fn policy(shell: &Shell, page: &PolicyPage<'_>) -> String {
    let lead = html! {
        p.lead { "The daemon reads these rules again before anything leaves. The coordinator cannot change them." }
    };
    let sentences = html! {
        @match page.sentences {
            Ok(sentences) => ul.sentences { @for one in sentences { li { (said(one)) } } },
            Err(why) => p.error role="alert" { (said(why)) },
        }
        p.of { "From " code.long { (said(page.file)) } "." }
    };
    let body = html! {
        (heading(&html! { "Policy" }, &html! {}, &lead))
        (panel("rules", "What this institution allows", &sentences))
        (panel("commands", "Commands", &shell_command(
            "eosfed-client policy explain --policy STATE/policy.toml\neosfed-client policy explain --policy STATE/policy.toml --plan PLAN"
        )))
    };
    shell.document(&Content { title: "Policy".to_owned(), section: path::POLICY, body })
}
