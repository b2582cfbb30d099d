//! `smidgen ports`

use super::console::print;
use crate::world::ports;
use anyhow::Result;

/// Lists the serial ports of this computer.
pub(crate) fn run() -> Result<()> {
    Ok(print(ports::table(&ports::list()?).trim_end())?)
}
