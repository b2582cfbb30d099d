//! Boards that are asked one after the other.

use super::console::{eprint, print};
use crate::boards::key_file::KeyFile;
use crate::cli::Line;
use crate::units::quantity::counted;
use crate::world::client::Client;
use crate::world::transport::Address;
use anyhow::{Result, bail};

/// Opens and asks each board, and prints its answer. A failure of one does not keep others from being asked; that of
/// the only one is returned.
pub(super) fn each_board(
    ports: &[Address],
    line: &Line,
    ask: impl Fn(&mut Client) -> Result<String>,
) -> Result<()> {
    let sealing = line.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let mut failures = 0;
    for port in ports {
        let client = Client::open(port, line.baud, sealing.clone(), |note| eprint(&note));
        match client.map_err(Into::into).and_then(|mut client| ask(&mut client)) {
            Ok(text) => print(text.trim_end())?,
            Err(error) if ports.len() == 1 => return Err(error),
            Err(error) => {
                failures += 1;
                eprint(&format!("error: {error}"));
            }
        }
    }
    conclude(failures)
}

/// Says how many boards failed, after the error of each.
pub(super) fn conclude(failures: u64) -> Result<()> {
    match failures {
        0 => Ok(()),
        _ => bail!("{} failed", counted(failures, "board", "boards")),
    }
}
