//! Predictions for the windows of recordings.

use super::board::{BoardModel, NotOnBoard};
use super::predict::{Answer, Origin, Place, PredictError, Predictions, RowPrediction};
use crate::problem::dataset::recordings::{UnseenRecordings, WindowRow};
use crate::problem::objective::Predictor;
use crate::record::Model;
use std::ffi::OsStr;
use std::path::Path;

impl Model {
    /// Reads recordings, and predicts their windows; classes are those that a board predicts. `label` names the column
    /// of the classes, by default that of the training data; the files need not have any. `full_scale` is that of the
    /// files if the model does not know one.
    ///
    /// # Errors
    /// If the model is not one of recordings, or these cannot be read or differ from those of the training.
    pub fn predict_recordings(
        &self,
        path: &Path,
        label: Option<&OsStr>,
        full_scale: &[f64],
    ) -> Result<Predictions, PredictError> {
        let mut board = BoardModel::new(self)?;
        let preparation = self.input.preparation();
        let windows = preparation.windows.as_ref().ok_or(NotOnBoard::Columns)?;
        let recordings = UnseenRecordings::read(
            path,
            (label, preparation.label.as_deref()),
            windows,
            full_scale,
        )?;
        let predictor = Predictor::new(self.objective, preparation.dimension());
        let row = |window: WindowRow<'_>| {
            let WindowRow { values, class, is_test, file, line } = window;
            let features = preparation.features(values.iter().copied().map(f64::from).enumerate());
            let place = Place::Line { file, line };
            let mut found = self.predict_row(&predictor, &features, class, place)?;
            // Near a border f64 and the integers of a board may differ.
            if let (Answer::Class { predicted, .. }, Some(verdict)) =
                (&mut found.answer, board.classify(&values))
            {
                *predicted = verdict.class;
            }
            let origin = Some(Origin { file: file.into(), line, is_test });
            Ok(RowPrediction { origin, ..found })
        };
        let rows = recordings.windows().into_iter().map(row);
        let rows = rows.collect::<Result<Vec<_>, PredictError>>()?;
        let name = recordings.name.clone();
        if rows.is_empty() {
            return Err(PredictError::NoWindows { dataset: name, window: windows.window });
        }
        let mut predictions = self.predictions(name, rows);
        predictions.limited.clone_from(&recordings.limited);
        Ok(predictions)
    }
}
