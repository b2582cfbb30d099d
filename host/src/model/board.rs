//! A model as a board has it: what the board is sent besides coordinates, and the classes that it predicts.

use crate::objective;
use crate::options::Choice;
use crate::problem::dataset::recordings::board_data;
use crate::problem::dataset::{TrainedWindows, Windows};
use crate::record::Model;
use smidgen_firmware::live;
use smidgen_firmware::objective::{Evaluator, ObjectiveInfo};
use smidgen_protocol::message::{CLASS_NAME_LEN_MAX, CLASSES_MAX};
use smidgen_protocol::recipe::Recipe;
use smidgen_protocol::recorded::RecordedRows;
use std::iter;
use thiserror::Error;

/// Reasons why a board cannot predict with a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotOnBoard {
    /// It was not trained on recordings.
    #[error(
        "the model predicts rows of a table, not windows of a sensor; train one with --recordings or --data on-board"
    )]
    Columns,
    /// Its rows are not those of a board.
    #[error(
        "the columns of the model were scaled in a way that boards do not know; train one with --recordings or --data \
         on-board"
    )]
    Scaling,
    /// Its classes are too many or have long names.
    #[error(
        "a board has room for {CLASSES_MAX} classes with names of 1 to {CLASS_NAME_LEN_MAX} bytes; rename classes, and \
         train again"
    )]
    Classes,
}

/// A model with which boards predict.
#[derive(Clone, Debug)]
pub struct BoardModel {
    objective: &'static ObjectiveInfo,
    mantissas: Vec<i32>,
    exponent: i8,
    windows: Windows,
    recipe: Recipe,
    /// What a board is sent in place of rows, aligned.
    data: Vec<u64>,
    data_len: usize,
    scratch: Vec<i64>,
}

/// What a board says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Number of the class.
    pub class: usize,
    /// Its score: the largest one, or the margin of the second class.
    pub score: f64,
}

impl BoardModel {
    /// Takes the model as a board has it.
    ///
    /// # Errors
    /// If boards cannot predict with it.
    pub fn new(model: &Model) -> Result<Self, NotOnBoard> {
        let (TrainedWindows { windows, .. }, bytes) = on_board(model)?;
        let mut data = vec![0; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut data)[..bytes.len()].copy_from_slice(&bytes);
        let objective = objective::known().workers().table().find(model.objective.name());
        let objective = objective.expect("boards have all of them");
        Ok(Self {
            scratch: vec![0; (objective.scratch_len)(model.mantissas.len())],
            objective,
            mantissas: model.mantissas.clone(),
            exponent: model.exponent,
            windows: windows.clone(),
            recipe: windows.recipe(),
            data,
            data_len: bytes.len(),
        })
    }

    /// Returns what a board is sent in place of rows: recipe, scales and classes.
    pub fn data(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.data)[..self.data_len]
    }

    /// Returns what windows the model is for.
    pub const fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Returns how a board makes a row of a window.
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Classifies a row, with the code of a board; `None` if it is not as long as the recipe says, or the objective has
    /// no classes.
    pub fn classify(&mut self, row: &[i16]) -> Option<Verdict> {
        let data = &bytemuck::cast_slice(&self.data)[..self.data_len];
        let recorded =
            RecordedRows::open(data).ok().filter(|_| row.len() == self.recipe.row_len())?;
        let (x, x_exponent) = (&self.mantissas[..], self.exponent);
        let model = live::Model { objective: self.objective, x, x_exponent };
        let found =
            model.classify(&recorded, row, &mut objective::known().workers(), &mut self.scratch)?;
        let score = found.score as f64 * f64::from(-found.exponent).exp2();
        Some(Verdict { class: found.class.into(), score })
    }
}

/// Returns what a model knows of its rows, for a run on boards that continues it.
///
/// # Errors
/// If boards cannot have such rows.
pub fn trained_windows(model: &Model) -> Result<TrainedWindows<'_>, NotOnBoard> {
    Ok(on_board(model)?.0)
}

/// Returns what a model knows of its rows, and what a board is sent in place of them.
fn on_board(model: &Model) -> Result<(TrainedWindows<'_>, Vec<u8>), NotOnBoard> {
    let preparation = model.input.preparation();
    let windows = preparation.windows.as_ref().ok_or(NotOnBoard::Columns)?;
    let bits = preparation.bits().ok_or(NotOnBoard::Scaling)?;
    let sent = board_data(&windows.recipe(), &bits, &model.classes, (0, 0), iter::empty());
    let (classes, label) = (&model.classes[..], preparation.label.as_deref());
    Ok((TrainedWindows { windows, bits, classes, label }, sent.ok_or(NotOnBoard::Classes)?))
}
