//! A question is asked until its answer is right.

use std::path::PathBuf;

use super::questions::{Key, Question};

/// Most wrong answers to one question, so that a script that answers nonsense comes to an end.
pub const MAX_TRIES: usize = 20;

/// Why the setup ended early.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of answers has none for a question.
    #[error("{path}: `{key}` is missing: {prompt}", path = path.display(), key = key.name(), prompt = key.prompt())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The question.
        key: Key,
    },
    /// The file of answers has a wrong one.
    #[error("{path}: `{key}`: {reason}", path = path.display(), key = key.name())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The question.
        key: Key,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The person has ended it.
    #[error("ended at the question `{key}`; nothing was changed", key = .0.prompt())]
    Ended(Key),
    /// The person has given too many wrong answers.
    #[error("{MAX_TRIES} wrong answers to `{key}`; nothing was changed", key = .0.prompt())]
    GivenUp(Key),
}

/// Who answers: a person, or a file.
pub trait Respondent {
    /// The answer to a question, without white space around it.
    ///
    /// # Errors
    /// If there is none.
    fn answer(&mut self, question: &Question) -> Result<String, SetupError>;

    /// Hears that the answer was wrong, and why.
    ///
    /// # Errors
    /// If there will be no other answer.
    fn wrong(&mut self, question: &Question, reason: &str) -> Result<(), SetupError>;
}

/// Asks until `read` takes the answer.
///
/// # Errors
/// If the respondent has no right answer.
pub fn settle<T>(
    respondent: &mut dyn Respondent,
    question: &Question,
    mut read: impl FnMut(&str) -> Result<T, String>,
) -> Result<T, SetupError> {
    for _ in 0..MAX_TRIES {
        let answer = respondent.answer(question)?;
        match read(&answer) {
            Ok(value) => return Ok(value),
            Err(reason) => respondent.wrong(question, &reason)?,
        }
    }
    Err(SetupError::GivenUp(question.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(Vec<&'static str>, Vec<String>);

    impl Respondent for Script {
        fn answer(&mut self, question: &Question) -> Result<String, SetupError> {
            if self.0.is_empty() {
                Err(SetupError::Ended(question.key))
            } else {
                Ok(self.0.remove(0).to_owned())
            }
        }

        fn wrong(&mut self, _: &Question, reason: &str) -> Result<(), SetupError> {
            self.1.push(reason.to_owned());
            Ok(())
        }
    }

    fn number(answer: &str) -> Result<u8, String> {
        answer.parse().map_err(|_| format!("`{answer}` is no number"))
    }

    #[test]
    fn a_wrong_answer_is_asked_again_with_the_reason() {
        let question = Question::required(Key::Dataset);
        let mut script = Script(vec!["a", "b", "7"], Vec::new());
        assert_eq!(settle(&mut script, &question, number).unwrap(), 7);
        assert_eq!(script.1, ["`a` is no number", "`b` is no number"]);
        let ended = settle(&mut Script(vec!["a"], Vec::new()), &question, number).unwrap_err();
        assert!(ended.to_string().contains("nothing was changed"), "{ended}");
        let mut nonsense = Script(vec!["x"; MAX_TRIES + 5], Vec::new());
        assert!(matches!(settle(&mut nonsense, &question, number), Err(SetupError::GivenUp(Key::Dataset))));
        assert_eq!(nonsense.1.len(), MAX_TRIES);
    }
}
