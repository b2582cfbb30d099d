//! `smidgen ports`

use super::console::print;
use anyhow::Result;
use smidgen::world::ports;

/// Lists the serial ports of this computer.
pub(crate) fn run() -> Result<()> {
    Ok(print(ports::table(&ports::list()?).trim_end())?)
}
