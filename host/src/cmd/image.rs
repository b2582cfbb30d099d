//! `smidgen image`

use super::say;
use anyhow::Result;
use smidgen::board::Board;
use smidgen::config::cli::Image;
use smidgen::image::{self, ImageError};
use smidgen::key_file::KeyFile;
use smidgen::progress::Progress;
use smidgen::shown::shown;
use std::path::PathBuf;

/// Builds the image of a board and says how to flash it.
pub fn run(arguments: &Image) -> Result<()> {
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
    let image = if arguments.hex { image::hex(&image)? } else { image };
    say(shown(&image))?;
    Ok(say(board.flash_advice(&image))?)
}

/// Builds the image of a board, and says so.
pub fn build(board: &Board, progress: &mut Progress) -> Result<PathBuf, ImageError> {
    let name = board.name;
    progress.phase(&format!(
        "building the image for {name}, which takes about a minute the first time"
    ));
    image::build(board)
}
