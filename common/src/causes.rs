//! The text of an error with its causes.

use std::error::Error;

/// The text of an error and of its causes, from the outside in, joined by `: `. A cause whose text is in what
/// was said already is not said again.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    with_causes_after(error.to_string(), error)
}

/// The same for an error of which `said` is told already.
#[must_use]
pub fn with_causes_after(said: String, error: &(dyn Error + 'static)) -> String {
    let mut text = said;
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read a.pem: {source}")]
    struct File {
        source: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the identity cannot be used")]
    struct Outer(#[source] File);

    #[test]
    fn each_cause_is_said_once() {
        let file = File { source: io::Error::other("Permission denied") };
        assert_eq!(
            with_causes(&Outer(file)),
            "the identity cannot be used: cannot read a.pem: Permission denied"
        );
    }
}
