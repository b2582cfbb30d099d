//! `smidgen ports`

use super::say;
use anyhow::Result;
use smidgen::world::ports;

/// Lists the serial ports of this computer.
pub fn run() -> Result<()> {
    Ok(say(ports::table(&ports::list()?).trim_end())?)
}
