//! `smidgen image`

use super::console::print;
use crate::boards::board::Board;
use crate::boards::image::{self, ImageError};
use crate::boards::key_file::KeyFile;
use crate::cli::Image;
use crate::output::progress::Progress;
use crate::units::interrupt;
use crate::units::own_name;
use crate::units::shown::{shown, typed};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};

/// Builds the image of a board and prints how to flash it.
pub(crate) fn run(arguments: &Image) -> Result<()> {
    let board = arguments.board;
    let family = board.uf2_family();
    // Asked first: a wrong option should not cost a build.
    ensure!(
        !arguments.uf2 || family.is_some(),
        "{} takes no UF2 files: leave `--uf2` out",
        board.name
    );
    let mut progress = Progress::new(0);
    let image = build_keyed(board, arguments.key.as_deref(), image::build, &mut progress)?;
    progress.finish();
    let flashed = match family {
        _ if arguments.hex => image::hex(&image)?,
        Some(family) if arguments.uf2 => image::uf2(&image, family)?,
        Some(_) | None => image.clone(),
    };
    print(shown(&flashed))?;
    if let Some(advice) = board.flash_advice(&flashed) {
        print(advice)?;
    }
    let (keyed, key) = match &arguments.key {
        Some(path) => (true, format!(" --key {}", typed(path))),
        None => (false, String::new()),
    };
    let Some(command) = board.emulator_command(&image, keyed) else { return Ok(()) };
    print("Or run it in an emulator, with a different number N for each board, and train:")?;
    print(format_args!("  {command}"))?;
    let train = own_name::command(&format!("run --port tcp:127.0.0.1:4001{key}"));
    Ok(print(format_args!("  {train}"))?)
}

/// Builds the image of a board, and a copy with the key of a file if there is one.
pub(crate) fn build_keyed(
    board: &Board,
    key: Option<&Path>,
    build: fn(&Board) -> Result<PathBuf, ImageError>,
    progress: &mut Progress,
) -> Result<PathBuf> {
    // Read first: a wrong file should not cost a build.
    let key = key.map(KeyFile::read).transpose()?;
    begin_build(board, progress);
    let image = build(board)?;
    let Some(key) = key else { return Ok(image) };
    let keyed = image.with_file_name(format!("{}-keyed", board.package));
    image::keyed(&image, &key, &keyed)?;
    Ok(keyed)
}

/// Builds the image of a board, and shows that in `progress`.
pub(crate) fn build(board: &Board, progress: &mut Progress) -> Result<PathBuf, ImageError> {
    begin_build(board, progress);
    image::build(board)
}

fn begin_build(board: &Board, progress: &mut Progress) {
    interrupt::begin_children();
    let name = board.name;
    progress.phase(&format!("building the image for {name} (about a minute the first time)"));
}
