//! labwired as an emulator of the ESP32-C3: the program that runs it, and its arguments.

use super::qemu::Told;

/// Name of the Python that has labwired, which `scripts/setup.sh` installs.
pub const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/labwired/bin/python3");
/// The environment variable that names another program in its place.
pub const VARIABLE: &str = "SMIDGEN_LABWIRED";
/// What Python runs: it opens the socket of the line.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/emulators/esp32_c3.py");

/// Returns the arguments for a board with this `line` and `image`, and what it is told at this address.
pub fn arguments(line: &str, image: &str, address: u32, told: Told) -> Vec<String> {
    let first = [SCRIPT, line, image, &format!("{address:#x}")].map(str::to_owned);
    first.into_iter().chain(told.words()).collect()
}
