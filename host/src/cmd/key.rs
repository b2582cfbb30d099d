//! `smidgen key`

use super::console::print;
use anyhow::Result;
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::NewKey;
use smidgen::units::shown::{shown, typed};

/// Creates a file with a new key.
pub(crate) fn run(NewKey { file }: &NewKey) -> Result<()> {
    KeyFile::create(file)?;
    let (file, word) = (shown(file), typed(file));
    Ok(print(format_args!(
        "{file} contains a new key. Write it into the image of a board by `smidgen image --board NAME --key {word}`, \
         and use it in runs by `--key {word}`."
    ))?)
}
