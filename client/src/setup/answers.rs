//! The answers as a file, for machines that are set up without a person.

use std::path::{Path, PathBuf};

use eosfed_common::settings::{SettingsError, load};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dialogue::{Respondent, SetupError};
use super::intent::Intent;
use super::questions::{Key, Question};
use crate::data_sets::DataSets;
use crate::policy::Approval;

/// The contents of a file of answers. What is in the state folder already is kept, and needs no answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// A file with the join token. The token itself does not belong in this file, since it is a secret.
    #[schemars(extend("x-rule" = "required until the institution has joined"))]
    pub token_file: Option<PathBuf>,
    /// The imagery: a `dataset.toml`, or its folder; or several tables `[[dataset]]`.
    #[schemars(extend("x-rule" = "required until client.toml is there"))]
    pub dataset: Option<DataSets>,
    /// The HTTP proxy for connections to the coordinator, `http://HOST:PORT`. Default: a direct connection.
    pub proxy: Option<String>,
    /// A file of one line, `USER:PASSWORD`, for a proxy that requires it. Only its owner may read it.
    #[schemars(extend("x-rule" = "only with `proxy`"))]
    pub proxy_credentials_file: Option<PathBuf>,
    /// What the institution wants to do; its policy is written from a template.
    #[schemars(extend("x-rule" = "this or `policy`, until policy.toml is there"))]
    pub intent: Option<Intent>,
    /// A site policy of your own to copy.
    #[schemars(extend("x-rule" = "instead of `intent`"))]
    pub policy: Option<PathBuf>,
    /// Whether each job waits for a person. It changes the template, not a policy of your own.
    #[serde(default)]
    #[schemars(extend("x-rule" = "only with `intent`"))]
    pub approval: Option<Approval>,
    /// Whether to start the daemon with systemd, now and at every boot.
    #[serde(default)]
    pub enable: bool,
}

impl Answers {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// If it cannot be read, holds an unknown key, or two keys exclude each other.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let answers: Self = load(path)?;
        let invalid =
            |reason: &str| Err(SettingsError::Invalid { path: path.to_owned(), reason: reason.to_owned() });
        match &answers {
            Self { intent: Some(_), policy: Some(_), .. } => {
                invalid("`intent` and `policy` exclude each other; remove one")
            }
            Self { intent: None, approval: Some(_), .. } => {
                invalid("`approval` needs `intent`; a policy of your own has its own `approval`")
            }
            Self { proxy: None, proxy_credentials_file: Some(_), .. } => {
                invalid("`proxy_credentials_file` needs `proxy`, found none")
            }
            _ => Ok(answers),
        }
    }

    /// The answer to a question; the file itself is the consent to go on.
    fn to(&self, key: Key) -> Option<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        match key {
            Key::TokenFile => path(&self.token_file),
            Key::Dataset => self.dataset.as_ref().map(DataSets::as_argument),
            Key::Proxy => self.proxy.clone(),
            Key::ProxyCredentialsFile => path(&self.proxy_credentials_file),
            Key::Intent => self.intent.map(|intent| intent.name().to_owned()).or_else(|| path(&self.policy)),
            Key::Approval => self.approval.map(|approval| approval.name().to_owned()),
            Key::Confirm => Some("yes".to_owned()),
            Key::Enable => Some(if self.enable { "yes" } else { "no" }.to_owned()),
        }
    }
}

/// A file that answers. Each wrong answer is final.
#[derive(Debug)]
pub struct FileRespondent {
    path: PathBuf,
    answers: Answers,
}

impl FileRespondent {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`Answers::load`].
    pub fn open(path: &Path) -> Result<Self, SettingsError> {
        Ok(Self { path: path.to_owned(), answers: Answers::load(path)? })
    }
}

impl Respondent for FileRespondent {
    fn answer(&mut self, question: &Question) -> Result<String, SetupError> {
        let missing = || SetupError::Missing { path: self.path.clone(), key: question.key };
        self.answers.to(question.key).or_else(|| question.default.clone()).ok_or_else(missing)
    }

    fn wrong(&mut self, question: &Question, reason: &str) -> Result<(), SetupError> {
        Err(SetupError::Wrong { path: self.path.clone(), key: question.key, reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    const ALL: &str = "token_file = \"t\"\ndataset = \"d\"\nproxy = \"http://p:1\"\nproxy_credentials_file = \"c\"\n\
                       intent = \"join-rounds\"\napproval = \"automatic\"\nenable = true\n";

    fn respondent(text: &str) -> Result<FileRespondent, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.toml");
        std::fs::write(&path, text).unwrap();
        FileRespondent::open(&path)
    }

    #[test]
    fn every_question_can_be_answered_by_the_file() {
        let mut all = respondent(ALL).unwrap();
        for key in Key::VARIANTS {
            assert!(all.answer(&Question::required(*key)).is_ok(), "{key:?}");
        }
    }

    #[test]
    fn a_missing_answer_is_the_default_or_named() {
        let mut few = respondent("dataset = \"d\"").unwrap();
        assert_eq!(few.answer(&Question::with_default(Key::Proxy, "")).unwrap(), "");
        let tables = "[[dataset]]\nname = \"a\"\npath = \"p\"\npolicy = \"r\"\n[[dataset]]\nname = \"b\"\npath = \"q\"";
        let two = respondent(tables).unwrap().answer(&Question::required(Key::Dataset)).unwrap();
        assert_eq!(two, "a=p;policy=r, b=q");
        let said = few.answer(&Question::required(Key::TokenFile)).unwrap_err().to_string();
        assert!(said.contains("answers.toml: `token_file` is missing"), "{said}");
        let said = few.wrong(&Question::required(Key::Dataset), "no such folder").unwrap_err().to_string();
        assert!(said.contains("`dataset`: no such folder"), "{said}");
    }

    #[test]
    fn answers_that_exclude_each_other_are_refused() {
        for (text, named) in [
            ("intent = \"join-rounds\"\npolicy = \"p\"", "`intent` and `policy`"),
            ("policy = \"p\"\napproval = \"manual\"", "`approval` needs `intent`"),
            ("proxy_credentials_file = \"c\"", "needs `proxy`"),
            ("intent = \"everything\"", "everything"),
            ("token = \"eosfed-join-v1.x\"", "token"),
        ] {
            let said = respondent(text).unwrap_err().to_string();
            assert!(said.contains(named) && said.contains("answers.toml"), "{said}");
        }
    }
}
