//! Output to the terminal.

use crate::units::own_name;
use crate::units::shown::lines;
use std::io::{self, Write, stdout};

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; if it goes to a file, check the free space there")]
pub(crate) struct OutputError(io::Error);

impl OutputError {
    /// Returns whether the reader closed the pipe, as `head` does. That is not a failure.
    pub(crate) fn is_end(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints to standard output.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), OutputError> {
    let (mut stdout, text) = (stdout(), text.to_string());
    writeln!(stdout, "{}", own_name::in_commands(&lines(&text)))
        .and_then(|()| stdout.flush())
        .map_err(OutputError)
}

/// Prints to standard error, and ignores errors.
pub(crate) fn eprint(text: &str) {
    let _ = writeln!(io::stderr(), "{}", own_name::in_commands(&lines(text)));
}
