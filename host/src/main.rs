//! The program `smidgen`: the command line with the objectives of smidgen.

#![forbid(unsafe_code)]

use smidgen::objective::Objectives;
use std::process::ExitCode;

fn main() -> ExitCode {
    smidgen::main(Objectives::BUILT_IN)
}
