//! `smidgen ports`

use anyhow::Result;

/// Lists the serial ports of this computer.
pub fn run() -> Result<()> {
    print!("{}", smidgen::ports::table(&smidgen::ports::list()?));
    Ok(())
}
