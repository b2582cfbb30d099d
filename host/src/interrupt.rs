//! Requests from outside to end a run: Ctrl-C, SIGTERM, a terminal that is closed.
//!
//! The first one asks for an end in good order: the open round is closed, the state is written, the report made. The
//! second ends the run where it is, the third the process.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// The exit code of a run that ended on request: that of a shell for Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// Counts requests from now on instead of dying of the first one.
///
/// # Errors
/// If the system does not let signals be handled, or somebody does so already.
pub fn listen() -> Result<(), ctrlc::Error> {
    ctrlc::try_set_handler(|| match REQUESTS.fetch_add(1, Ordering::Relaxed) {
        0 => {
            // That nobody hears it is no reason to die.
            let _ = writeln!(io::stderr(), "\nending after the open round; once more ends at once");
        }
        1 => {}
        _ => process::exit(EXIT_CODE.into()),
    })
}

/// Whether the run shall end after its open round.
pub fn is_requested() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 0
}

/// Whether the run shall end at once.
pub fn is_urgent() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 1
}
