//! Counts the instructions of a worker's round on three cores, exactly, and prints a table of them.
//!
//! ```text
//! cargo bench -p smidgen-tests --bench instructions [-- --write]
//! ```
//!
//! With `--write` the table is written into `docs/performance.md`, which a test compares with new counts.

use smidgen_tests::instructions::{Counts, PAGE};
use std::process::Command;
use std::{env, fs};

fn main() {
    let Some(counts) = Counts::count("bench of instructions") else { return };
    let about = format!(
        "Counted on {}, with the sources after commit {}. ",
        said(Command::new("date").args(["-u", "+%F"])),
        said(Command::new("git").args(["rev-parse", "--short", "HEAD"]))
    );
    println!("{about}{counts}");
    if env::args().any(|argument| argument == "--write") {
        let page = fs::read_to_string(PAGE).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
        let page = counts.written_into(&page, &about).expect("the page has a place for counts");
        fs::write(PAGE, page).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    }
}

/// What a command prints, without the end of its line.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().into()
}
