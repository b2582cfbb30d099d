//! The command line of smidgen.
fn main() {}
