//! `smidgen key`

use super::say;
use anyhow::Result;
use smidgen::config::cli::NewKey;
use smidgen::key_file::KeyFile;

/// Makes a file with a new key.
pub fn run(NewKey { file }: &NewKey) -> Result<()> {
    KeyFile::create(file)?;
    let file = file.display();
    Ok(say(format_args!(
        "{file} holds a new key. `smidgen image --board NAME --key {file}` writes it into the image of a board, and `--key {file}` \
         has runs use it."
    ))?)
}
