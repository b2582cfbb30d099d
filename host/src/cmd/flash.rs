//! `smidgen flash`

use super::console::print;
use super::image::build_keyed;
use crate::boards::equipment::Equipment;
use crate::boards::flash::{Route, Wishes};
use crate::boards::image;
use crate::cli::Flash;
use crate::output::progress::Progress;
use crate::units::shown::{shown, typed};
use anyhow::Result;

/// Builds the image of a board and writes it to the board.
pub(crate) fn run(arguments: &Flash) -> Result<()> {
    let Flash { board, key, drive, probe, port, log } = arguments;
    let wishes = Wishes {
        drive: drive.as_deref(),
        probe: probe.as_deref(),
        port: port.as_deref(),
        log: *log,
    };
    // Asked first: a missing program should not cost a build.
    let route = Route::find(board, &wishes, &Equipment::here())?;
    let mut progress = Progress::new(0);
    let build = if *log { image::build_with_log } else { image::build };
    let image = build_keyed(board, key.as_deref(), build, &mut progress)?;
    let way = route.way(&image)?;
    progress.phase(&way.describe());
    progress.finish();
    way.go()?;
    let key = key.as_ref().map_or(String::new(), |path| format!(" --key {}", typed(path)));
    print(format_args!(
        "{} has its image. `smidgen ports` shows its port; then train: `smidgen run --port PORT{key}`.",
        board.name
    ))?;
    if !key.is_empty() {
        let image = shown(&image);
        print(format_args!("The key is in {image} and files beside it as well: remove them."))?;
    }
    Ok(())
}
