//! The questions, each with what its answer means for the site.

use strum::{IntoStaticStr, VariantArray};

use super::intent::Intent;

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Key {
    /// The join token, or a file with it.
    TokenFile,
    /// The imagery.
    Dataset,
    /// The way to the coordinator.
    Proxy,
    /// The credentials for the proxy.
    ProxyCredentialsFile,
    /// What the institution wants to do.
    Intent,
    /// Whether a person approves each job.
    Approval,
    /// Whether to go on.
    Confirm,
    /// Whether to start the daemon, now and at every boot.
    Enable,
}

impl Key {
    /// Its name in files of answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The short question.
    #[must_use]
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::TokenFile => "File with the join token (or the token itself)",
            Self::Dataset => "Data folder",
            Self::Proxy => "HTTP proxy",
            Self::ProxyCredentialsFile => "File with USER:PASSWORD for the proxy",
            Self::Intent => "What this institution wants to do",
            Self::Approval => "Approval of jobs (manual or automatic)",
            Self::Confirm => "Write this and join",
            Self::Enable => "Start the daemon now and at every boot",
        }
    }

    /// What the answer means for the site.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::TokenFile => {
                "The operator of the coordinator has sent a join token, one line of text. It names your \
                 institution and the coordinator, and works once. With it this machine becomes a member of the \
                 federation. The private key is made here and never leaves. A file that only you may read is \
                 better than pasting the token, which stays in the terminal's history."
            }
            Self::Dataset => {
                "The folder with your imagery and its dataset.toml, which says what the files are \
                 (docs/reference/dataset.md). The training program reads it here. Images and labels never leave: \
                 the protocol has no field for them. The folder is only read. Several data sets are given with names: \
                 NAME=PATH, NAME=PATH. With NAME=PATH;policy=FILE one has a policy of its own, which only takes away."
            }
            Self::Proxy => {
                "How this machine reaches the coordinator. All connections go out; nothing listens here. If your \
                 network demands an HTTP proxy, write http://HOST:PORT. Encryption is from end to end, so the \
                 proxy sees neither weights nor certificates. Empty: a direct connection."
            }
            Self::ProxyCredentialsFile => {
                "A file of one line, USER:PASSWORD, if the proxy asks for them. Only its owner may read it \
                 (chmod 600). The proxy gets them unencrypted. Empty: the proxy asks for none."
            }
            Self::Intent => {
                "This writes the site policy, policy.toml: your rules, which the coordinator cannot override. \
                 What it does not allow is refused. You can change the file at any time, and a change counts \
                 within seconds."
            }
            Self::Approval => {
                "manual: each job waits until a person here runs `eosfed-client approve`, which shows the job's \
                 terms first. automatic: a job that the policy allows begins by itself."
            }
            Self::Confirm => {
                "Until now nothing was written. Now the state folder is made, the settings and the policy are \
                 written, and the token is used."
            }
            Self::Enable => {
                "The daemon asks the coordinator for work, trains when the policy allows it, and starts again \
                 after a reboot. Without it nothing happens until somebody starts it."
            }
        }
    }
}

/// A question with what is known at the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which.
    pub key: Key,
    /// More lines before the prompt.
    pub notes: Vec<String>,
    /// What an empty answer means. Absent: there must be an answer.
    pub default: Option<String>,
}

impl Question {
    /// A question that must be answered.
    #[must_use]
    pub const fn required(key: Key) -> Self {
        Self { key, notes: Vec::new(), default: None }
    }

    /// A question with a default.
    #[must_use]
    pub fn with_default(key: Key, default: &str) -> Self {
        Self { default: Some(default.to_owned()), ..Self::required(key) }
    }

    /// The question after the intent, with what each one lets leave.
    #[must_use]
    pub fn intent() -> Self {
        let lines = [
            (Intent::TrainOwnSpecialists, "train alone; finished weights, scores and energy leave"),
            (
                Intent::JoinRounds,
                "train together; weights of each round, scores, band statistics and energy leave",
            ),
            (Intent::EvaluateOnly, "train nothing; scores of others' specialists leave"),
        ];
        let numbered = lines.iter().zip(1..);
        let mut notes: Vec<String> =
            numbered.map(|((intent, text), number)| format!("{number}  {}: {text}", intent.name())).collect();
        notes.push("or the path of a policy of your own".to_owned());
        Self { notes, ..Self::required(Key::Intent) }
    }
}

/// Reads a yes or a no.
///
/// # Errors
/// If it is neither.
pub fn yes_or_no(answer: &str) -> Result<bool, String> {
    match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" => Ok(true),
        "n" | "no" | "false" => Ok(false),
        other => Err(format!("expected yes or no, found `{}`", other.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_explains_itself() {
        for key in Key::VARIANTS {
            assert!(key.meaning().len() > 80 && key.meaning().ends_with('.'), "{key:?}");
        }
        let notes = Question::intent().notes;
        for (intent, note) in Intent::VARIANTS.iter().zip(&notes) {
            assert!(note.contains(intent.name()) && note.ends_with("leave"), "{note}");
        }
        assert_eq!(notes.len(), Intent::VARIANTS.len() + 1);
    }

    #[test]
    fn yes_is_not_guessed() {
        assert_eq!((yes_or_no("Yes"), yes_or_no("n")), (Ok(true), Ok(false)));
        assert!(yes_or_no("yeah").unwrap_err().contains("`yeah`"));
    }
}
