//! `smidgen load`

use super::console::{eprint, print};
use super::training::new_session;
use anyhow::{Result, bail};
use smidgen::boards::key_file::KeyFile;
use smidgen::cli::Load;
use smidgen::model::board::BoardModel;
use smidgen::options::Choice;
use smidgen::record::Model;
use smidgen::units::quantity::counted;
use smidgen::world::client::Client;
use smidgen::world::load::{LoadError, ModelData};

/// Puts a model on boards, one after the other. A failure of one does not keep others from getting it.
pub(crate) fn run(load: &Load) -> Result<()> {
    let model = Model::read(&load.model)?;
    let on_board = BoardModel::new(&model)?;
    let data = ModelData {
        objective: model.objective.name(),
        mantissas: &model.mantissas,
        exponent: model.exponent,
        data: on_board.data(),
    };
    let sealing = load.line.key.as_deref().map(KeyFile::seal_boards).transpose()?;
    let open = |address| Client::open(address, load.line.baud, sealing.clone());
    let clients: Vec<Client> = load.ports.addresses.iter().map(open).collect::<Result<_, _>>()?;
    let mut failures = 0;
    for mut client in clients {
        match put(&mut client, &data) {
            Ok(sentence) => print(sentence)?,
            Err(error) => {
                failures += 1;
                eprint(&format!("error: {error}"));
            }
        }
    }
    match failures {
        0 => Ok(()),
        _ => bail!("{} failed", counted(failures, "board", "boards")),
    }
}

fn put(client: &mut Client, data: &ModelData) -> Result<String, LoadError> {
    let board = client.greet()?;
    let place = client.place().to_owned();
    Ok(match data.load(client, new_session())? {
        true => format!("{place}: {board} has the model, also after a power cut."),
        false => format!("{place}: {board} has the model until its power fails."),
    })
}
