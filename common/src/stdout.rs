//! Results on standard output, and errors on standard error. If the reader closes the pipe early, as in
//! `eosfed-client status | head -1`, the program exits without a message. `println!` would panic.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::causes::with_causes;

/// Exit code of a program whose reader has closed the pipe: 128 plus the number of SIGPIPE, which a shell
/// reports for a program that the signal has ended.
pub const CLOSED_PIPE: i32 = 141;

/// Columns of a table for a file or another program, which a line may not exceed; what reads rows line by line takes JSON.
pub const PIPED_COLUMNS: u16 = 160;

/// Prints a line to standard output. Takes the arguments of `println!`.
#[macro_export]
macro_rules! outln {
    () => { $crate::stdout::print(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::stdout::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints a line to standard error. Takes the arguments of `eprintln!`, and does nothing if standard error is
/// closed.
#[macro_export]
macro_rules! errln {
    ($($argument:tt)*) => { $crate::stdout::print_note(format_args!($($argument)*)) };
}

/// Writes text to standard output. If that fails, this ends the program: with [`CLOSED_PIPE`] if the pipe is
/// closed, otherwise with code 1 and a message on standard error.
pub fn print(text: fmt::Arguments<'_>) {
    if let Some(code) = failure(&mut io::stdout().lock(), text) {
        std::process::exit(code);
    }
}

/// Writes `error: TEXT` to standard error.
pub fn print_error(text: fmt::Arguments<'_>) {
    print_note(format_args!("error: {text}"));
}

/// Writes `error: ` and the text of an error with its causes to standard error.
pub fn print_failure(error: &(dyn Error + 'static)) {
    print_error(format_args!("{}", with_causes(error)));
}

/// Writes a line to standard error. A closed standard error is ignored.
pub fn print_note(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes `warning: TEXT` to standard error.
pub fn print_warning(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Writes text. Gives the exit code of the program if it cannot be written.
fn failure(out: &mut impl Write, text: fmt::Arguments<'_>) -> Option<i32> {
    let error = out.write_fmt(text).and_then(|()| out.flush()).err()?;
    if error.kind() == ErrorKind::BrokenPipe {
        return Some(CLOSED_PIPE);
    }
    print_error(format_args!("cannot write to standard output: {error}"));
    Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_distinguished_from_a_full_disk() {
        assert_eq!(failure(&mut Vec::new(), format_args!("fine")), None);
        assert_eq!(failure(&mut Fails(ErrorKind::BrokenPipe), format_args!("lost")), Some(CLOSED_PIPE));
        assert_eq!(failure(&mut Fails(ErrorKind::StorageFull), format_args!("lost")), Some(1));
    }
}
