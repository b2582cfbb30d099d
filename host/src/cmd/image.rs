//! `smidgen image`

use super::console::print;
use anyhow::Result;
use smidgen::boards::board::Board;
use smidgen::boards::image::{self, ImageError};
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::Image;
use smidgen::output::progress::Progress;
use smidgen::units::interrupt;
use smidgen::units::shown::{shown, typed};
use std::path::PathBuf;

/// Builds the image of a board and prints how to flash it.
pub(crate) fn run(arguments: &Image) -> Result<()> {
    let board = arguments.board;
    let mut progress = Progress::new(0);
    let mut image = build(board, &mut progress)?;
    progress.finish();
    if let Some(path) = &arguments.key {
        let (key, keyed) =
            (KeyFile::read(path)?, image.with_file_name(format!("{}-keyed", board.package)));
        image::keyed(&image, &key, &keyed)?;
        image = keyed;
    }
    let flashed = if arguments.hex { image::hex(&image)? } else { image.clone() };
    print(shown(&flashed))?;
    if let Some(advice) = board.flash_advice(&flashed) {
        print(advice)?;
    }
    let (keyed, key) = match &arguments.key {
        Some(path) => (true, format!(" --key {}", typed(path))),
        None => (false, String::new()),
    };
    let Some(command) = board.qemu_command(&image, keyed) else { return Ok(()) };
    print("Or run it in QEMU, with a different number N for each board, and train:")?;
    print(format_args!("  {command}"))?;
    Ok(print(format_args!("  smidgen run --port tcp:127.0.0.1:4001{key}"))?)
}

/// Builds the image of a board, and shows that in `progress`.
pub(crate) fn build(board: &Board, progress: &mut Progress) -> Result<PathBuf, ImageError> {
    interrupt::begin_children();
    let name = board.name;
    progress.phase(&format!("building the image for {name} (about a minute the first time)"));
    image::build(board)
}
