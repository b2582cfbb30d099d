//! `smidgen load`

use super::each_board::each_board;
use super::training::new_session;
use crate::cli::Load;
use crate::model::board::BoardModel;
use crate::options::Choice;
use crate::record::Model;
use crate::world::client::Client;
use crate::world::load::{LoadError, Loaded, ModelData};
use anyhow::Result;

/// Puts a model on boards, one after the other.
pub(crate) fn run(load: &Load) -> Result<()> {
    let model = Model::read(&load.model)?;
    let on_board = BoardModel::new(&model)?;
    let data = ModelData {
        objective: model.objective.name(),
        mantissas: &model.mantissas,
        exponent: model.exponent,
        data: on_board.data(),
        windows: on_board.windows(),
    };
    each_board(&load.ports.addresses, &load.line, |client| Ok(put(client, &data)?))
}

fn put(client: &mut Client, data: &ModelData) -> Result<String, LoadError> {
    let board = client.greet()?;
    let place = client.place().to_owned();
    let Loaded { is_kept, unchecked } = data.load(client, new_session())?;
    let until = if is_kept { ", also after a power cut" } else { " until its power fails" };
    let unchecked = unchecked.map_or_else(String::new, |unchecked| format!("; {unchecked}"));
    Ok(format!("{place}: {board} has the model{until}{unchecked}."))
}
