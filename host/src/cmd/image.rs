//! `smidgen image`

use anyhow::Result;
use smidgen::board::Board;
use smidgen::config::cli::Image;
use smidgen::image;

/// Builds the image of a board and says how to flash it.
pub fn run(arguments: &Image) -> Result<()> {
    let board = Board::find(&arguments.board)?;
    let image = image::build(board, &mut |line| eprintln!("{line}"))?;
    let image = if arguments.hex { image::hex(&image)? } else { image };
    println!("{}\n{}", image.display(), board.flash_advice(&image));
    Ok(())
}
