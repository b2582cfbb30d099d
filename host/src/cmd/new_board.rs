//! `smidgen new-board`

use super::console::print;
use crate::boards::template;
use crate::cli::NewBoard;
use crate::units::shown::{shown, typed};
use anyhow::Result;

/// Writes the package of a new board and says how to go on.
pub(crate) fn run(NewBoard { name, checkout }: &NewBoard) -> Result<()> {
    let checkout = checkout.as_deref().unwrap_or(template::checkout());
    let written = template::write(checkout, name)?;
    print(format_args!("Wrote the package {}, and listed it in:", shown(&written.package)))?;
    for path in &written.listed_in {
        print(format_args!("  {}", shown(path)))?;
    }
    if !written.is_locked {
        print(
            "Run `cargo update --workspace` in firmware/boards once: cargo has not added the package to its lock file.",
        )?;
    }
    print("It runs in QEMU as it is:")?;
    print(format_args!("  cargo run --release -- emulate --board {name}=2 --rows 200"))?;
    print(format_args!(
        "Then make it yours at {} places, which docs/new-board.md explains:",
        written.changes
    ))?;
    print(format_args!("  grep -rn CHANGE {}", typed(&written.package)))?;
    Ok(())
}
