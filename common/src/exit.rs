//! Exit codes of the programs, after sysexits(3) where it has one. Service managers and scripts rely on them.

use std::error::Error;
use std::io::{self, ErrorKind};

/// An exit code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub code: u8,
    /// The programs that end with it.
    pub programs: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether another try of the same command may do better.
    pub try_again: bool,
}

/// Done.
pub const DONE: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// Wrong command line.
pub const USAGE: u8 = 64;
/// The coordinator does not answer.
pub const UNAVAILABLE: u8 = 69;
/// The coordinator refuses this client.
pub const REFUSED: u8 = 77;
/// What only a person can correct.
pub const CONFIG: u8 = 78;

/// The codes of a command that was not ended by a signal.
pub const CODES: [Code; 8] = [
    Code {
        code: DONE,
        programs: "all",
        meaning: "Done. A daemon: ended by SIGTERM or SIGINT, in order or, at a second signal, at once.",
        try_again: false,
    },
    Code {
        code: FAILED,
        programs: "all",
        meaning: "Failed: a refusal, a check that has found something, a port that is taken, a full disk, a \
                  damaged store. The last line of standard error says what.",
        try_again: true,
    },
    Code { code: USAGE, programs: "all", meaning: "Wrong command line.", try_again: false },
    Code {
        code: UNAVAILABLE,
        programs: "`eosfed`",
        meaning: "The coordinator does not answer.",
        try_again: true,
    },
    Code {
        code: REFUSED,
        programs: "`eosfed-client run`",
        meaning: "The coordinator refuses this client: its access was revoked, or it is not enrolled with this key.",
        try_again: false,
    },
    Code {
        code: CONFIG,
        programs: "`eosfed-coordinator serve`, `eosfed-client run`",
        meaning: "What only a person can correct, found at the start: no settings or wrong ones, a file that \
                  is missing, not readable or open to others, a missing identity, an authority that has \
                  ended, a store of a newer version.",
        try_again: false,
    },
    Code {
        code: 141,
        programs: "all",
        meaning: "The reader of standard output has closed the pipe.",
        try_again: false,
    },
    Code {
        code: 143,
        programs: "`eosfed-trainer train`",
        meaning: "Ended by a signal; the checkpoint is kept.",
        try_again: true,
    },
];

/// The exit code of a daemon that cannot start: [`CONFIG`], unless the system has failed it in a way that may
/// pass, such as a full disk.
#[must_use]
pub fn of_start(error: &(dyn Error + 'static)) -> u8 {
    let first: &(dyn Error + 'static) = error;
    let chain = std::iter::successors(Some(first), |&error| error.source());
    let lasting = |error: &io::Error| {
        matches!(
            error.kind(),
            ErrorKind::PermissionDenied
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::InvalidData
        )
    };
    match chain.filter_map(|error| error.downcast_ref()).all(lasting) {
        true => CONFIG,
        false => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file")]
    struct Unread(#[source] io::Error);

    #[test]
    fn what_may_pass_is_tried_again_and_what_lasts_is_not() {
        for (kind, code) in [
            (ErrorKind::PermissionDenied, CONFIG),
            (ErrorKind::NotFound, CONFIG),
            (ErrorKind::StorageFull, FAILED),
            (ErrorKind::Other, FAILED),
        ] {
            assert_eq!(of_start(&Unread(io::Error::from(kind))), code, "{kind}");
        }
        assert_eq!(of_start(&"x".parse::<u8>().unwrap_err()), CONFIG);
    }

    #[test]
    fn each_code_has_one_meaning() {
        let codes: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(codes.len(), CODES.len());
    }
}
