//! rp2040js as an emulator of the Raspberry Pi Pico: the program that runs it, and its arguments.

use super::qemu::Told;

/// Name of Node.js, which `scripts/setup.sh` finds or installs.
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/rp2040js/node");
/// The environment variable that names another program in its place.
pub const VARIABLE: &str = "SMIDGEN_NODE";
/// What Node.js runs: it opens the sockets of the lines.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/emulators/rp2040.cjs");

/// Returns the arguments for a board with this `line` and `image`, and what it is told at this address.
pub fn arguments(line: &str, image: &str, address: u32, told: Told) -> Vec<String> {
    let first = [SCRIPT, line, image, &format!("{address:#x}")].map(str::to_owned);
    first.into_iter().chain(told.words()).collect()
}
