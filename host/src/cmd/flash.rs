//! `smidgen flash`

use super::console::print;
use super::image::build_keyed;
use crate::boards::flash::Route;
use crate::boards::image;
use crate::cli::Flash;
use crate::output::progress::Progress;
use crate::units::shown::{shown, typed};
use anyhow::Result;

/// Builds the image of a board and writes it to the board.
pub(crate) fn run(arguments: &Flash) -> Result<()> {
    let Flash { board, key, drive, log } = arguments;
    // Asked first: a missing program should not cost a build.
    let route = if *log { Route::probe(board)? } else { Route::find(board, drive.as_deref())? };
    let mut progress = Progress::new(0);
    let build = if *log { image::build_with_log } else { image::build };
    let image = build_keyed(board, key.as_deref(), build, &mut progress)?;
    let way = if *log { route.way_with_log(&image)? } else { route.way(&image)? };
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
