//! `smidgen key`

use super::say;
use anyhow::Result;
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::NewKey;
use smidgen::units::shown::{shown, typed};

/// Makes a file with a new key.
pub fn run(NewKey { file }: &NewKey) -> Result<()> {
    KeyFile::create(file)?;
    let (file, word) = (shown(file), typed(file));
    Ok(say(format_args!(
        "{file} holds a new key. `smidgen image --board NAME --key {word}` writes it into the image of a board, and `--key {word}` \
         has runs use it."
    ))?)
}
