//! `smidgen key`

use super::console::print;
use crate::boards::key_file::KeyFile;
use crate::cli::NewKey;
use crate::units::shown::{shown, typed};
use anyhow::Result;

/// Creates a file with a new key.
pub(crate) fn run(NewKey { file }: &NewKey) -> Result<()> {
    KeyFile::create(file)?;
    let (file, word) = (shown(file), typed(file));
    Ok(print(format_args!(
        "{file} contains a new key. Write it into the image of a board by `smidgen image --board NAME --key {word}`, \
         and use it in runs by `--key {word}`."
    ))?)
}
