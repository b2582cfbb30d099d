//! Predictions for the rows of a data set.

mod matrix;

use super::board::{BoardModel, NotOnBoard};
use crate::options::Choice;
use crate::problem::dataset::recordings::{Recordings, RecordingsError, WindowRow};
use crate::problem::dataset::{DatasetError, class_number};
use crate::problem::objective::Predictor;
use crate::record::model::{DatasetRecord, Input};
use crate::record::{Model, RecordError, replace_file};
use crate::units::quantity::{counted, number};
use crate::units::shown::shown;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The predictions of a model for the rows of a data set.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Name of the data set.
    dataset: String,
    /// Name of the objective of the model.
    objective: &'static str,
    /// Round of the model.
    round: u32,
    /// The rows that it was trained on.
    trained_on: DatasetRecord,
    /// Names of the classes; none for real targets.
    classes: Vec<String>,
    /// The rows in order, at least one.
    rows: Vec<RowPrediction>,
}

/// The prediction for a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowPrediction {
    /// The scores: one per class, or only one.
    pub scores: Vec<f64>,
    /// The probabilities of the classes; none if the objective has none.
    pub probabilities: Vec<f64>,
    /// What they predict.
    pub answer: Answer,
}

/// What is predicted for a row, with its label; the label is `None` if the data set has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Numbers of classes, from 0.
    Class {
        /// The predicted one.
        predicted: usize,
        /// That of the row.
        label: Option<usize>,
    },
    /// Real values.
    Value {
        /// The predicted one.
        predicted: f64,
        /// That of the row.
        label: Option<f64>,
    },
}

/// Reasons why rows cannot be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The rows cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The recordings cannot be read.
    #[error(transparent)]
    Recordings(#[from] RecordingsError),
    /// The model does not predict windows.
    #[error(transparent)]
    NotOnBoard(#[from] NotOnBoard),
    /// All recordings are short.
    #[error(
        "no recording of {} has a window of {window} samples; give longer ones",
        shown(dataset)
    )]
    NoWindows {
        /// Name of the recordings.
        dataset: String,
        /// Number of samples in a window.
        window: u16,
    },
    /// The label of a row is not a class of the model.
    #[error(
        "row {row} of {} has the class `{}`, which the model does not know (its classes are {}); remove such rows, or \
         name the column of the labels with --label",
        shown(dataset),
        shown(label),
        shown(classes)
    )]
    Class {
        /// Name of the data set.
        dataset: String,
        /// The row, counted from 1.
        row: usize,
        /// Its label.
        label: String,
        /// Names of the known classes.
        classes: String,
    },
    /// Numbers of a row overflow.
    #[error(
        "row {row} of {}: {part} is not finite, because a value is too large for the model; leave out the row, or check \
         the unit of its values",
        shown(dataset)
    )]
    Infinite {
        /// Name of the data set.
        dataset: String,
        /// The row, counted from 1.
        row: usize,
        /// The feature or score.
        part: String,
    },
    /// The label of a row is not a number.
    #[error(
        "row {row} of {} has the label `{}`, but the model predicts numbers; name the column of the labels with --label",
        shown(dataset),
        shown(label)
    )]
    Value {
        /// Name of the data set.
        dataset: String,
        /// The row, counted from 1.
        row: usize,
        /// Its label.
        label: String,
    },
}

impl Model {
    /// Reads a bundled set or a file, and predicts its rows. `label` names the column of the labels, by default that of the
    /// training data; the file need not have any.
    ///
    /// # Errors
    /// If the file cannot be read, has other columns, or has labels that the model cannot predict.
    pub fn predict(
        &self,
        dataset: &Path,
        label: Option<&OsStr>,
    ) -> Result<Predictions, PredictError> {
        let Input::Columns(preparation) = &self.input;
        let unseen = preparation.read(dataset, self.objective.info().labels, label)?;
        let predictor = Predictor::new(self.objective, preparation.dimension());
        let name = shown(dataset).to_string();
        let row = |row: usize| {
            let place = Place { dataset: &name, row: row + 1 };
            self.predict_row(&predictor, &unseen.features(row), unseen.label(row), place)
        };
        let rows = (0..unseen.row_count()).map(row).collect::<Result<_, PredictError>>()?;
        Ok(self.predictions(name, rows))
    }

    /// Reads recordings, and predicts their windows; classes are those that a board predicts. `label` names the column of
    /// the classes.
    ///
    /// # Errors
    /// If the model is not one of recordings, or these cannot be read or differ from those of the training.
    pub fn predict_recordings(
        &self,
        path: &Path,
        label: Option<&OsStr>,
    ) -> Result<Predictions, PredictError> {
        let mut board = BoardModel::new(self)?;
        let Input::Columns(preparation) = &self.input;
        let windows = preparation.windows.as_ref().ok_or(NotOnBoard::Columns)?;
        let recordings = Recordings::unseen(path, label, windows)?;
        let predictor = Predictor::new(self.objective, preparation.dimension());
        let name = recordings.name.clone();
        let row = |(row, window): (usize, &WindowRow<'_>)| {
            let place = Place { dataset: &name, row };
            let values = window.values.iter().copied().map(f64::from).enumerate();
            let features = preparation.features(values);
            let mut found = self.predict_row(&predictor, &features, Some(window.class), place)?;
            // Near a border f64 and the integers of a board may differ.
            if let (Answer::Class { predicted, .. }, Some(verdict)) =
                (&mut found.answer, board.classify(&window.values))
            {
                *predicted = verdict.class;
            }
            Ok(found)
        };
        let rows =
            (1..).zip(&recordings.windows()).map(row).collect::<Result<Vec<_>, PredictError>>()?;
        if rows.is_empty() {
            return Err(PredictError::NoWindows { dataset: name, window: windows.window });
        }
        Ok(self.predictions(name, rows))
    }

    fn predictions(&self, dataset: String, rows: Vec<RowPrediction>) -> Predictions {
        Predictions {
            objective: self.objective.name(),
            round: self.round,
            trained_on: self.dataset.clone(),
            classes: self.classes.clone(),
            rows,
            dataset,
        }
    }

    fn predict_row(
        &self,
        predictor: &Predictor,
        features: &[f64],
        label: Option<&str>,
        place: Place<'_>,
    ) -> Result<RowPrediction, PredictError> {
        let scores = predictor.scores(features, &self.values);
        let answer = match predictor.class(&scores) {
            Some(predicted) => {
                let label = label.map(|label| self.class(label, place)).transpose()?;
                Answer::Class { predicted, label }
            }
            None => {
                let label = label.map(|label| value(label, place)).transpose()?;
                Answer::Value { predicted: scores.iter().sum(), label }
            }
        };
        if let Some(part) = infinite("feature", features).or_else(|| infinite("score", &scores)) {
            let Place { dataset, row } = place;
            return Err(PredictError::Infinite { dataset: dataset.into(), row, part });
        }
        Ok(RowPrediction { probabilities: predictor.probabilities(&scores), scores, answer })
    }

    /// Interprets the label of a row as a class.
    fn class(&self, label: &str, Place { dataset, row }: Place<'_>) -> Result<usize, PredictError> {
        class_number(&self.classes, label).ok_or_else(|| PredictError::Class {
            dataset: dataset.into(),
            row,
            label: label.into(),
            classes: self.classes.join(", "),
        })
    }
}

/// Place of a row, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    dataset: &'a str,
    /// Counted from 1.
    row: usize,
}

/// Interprets the label of a row as a value.
fn value(label: &str, Place { dataset, row }: Place<'_>) -> Result<f64, PredictError> {
    let value = label.parse().ok().filter(|value: &f64| value.is_finite());
    let (dataset, label) = (dataset.into(), label.into());
    value.ok_or(PredictError::Value { dataset, row, label })
}

/// Returns which of these values is not finite, for a sentence.
fn infinite(name: &str, values: &[f64]) -> Option<String> {
    let index = values.iter().position(|value| !value.is_finite())?;
    Some(format!("{name} {}", index + 1))
}

impl Predictions {
    /// Returns the rows in order.
    pub fn rows(&self) -> &[RowPrediction] {
        &self.rows
    }

    /// Returns the labelled rows with a class: label and prediction.
    fn classified(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.iter().filter_map(|row| match row.answer {
            Answer::Class { predicted, label } => label.map(|label| (label, predicted)),
            Answer::Value { .. } => None,
        })
    }

    /// Returns the number of rows whose class is predicted correctly, and that of labelled rows.
    pub fn correct(&self) -> (u64, u64) {
        let correct = self.classified().filter(|(label, predicted)| label == predicted).count();
        (correct as u64, self.classified().count() as u64)
    }

    /// Returns the fraction of labelled rows whose class is predicted correctly; `None` without classes or labels.
    pub fn accuracy(&self) -> Option<f64> {
        let (correct, all) = self.correct();
        (all > 0).then(|| correct as f64 / all as f64)
    }

    /// Returns the root of the mean squared error of values; `None` without labels or for classes.
    pub fn rmse(&self) -> Option<f64> {
        let errors = self.rows.iter().filter_map(|row| match row.answer {
            Answer::Value { predicted, label } => label.map(|label| predicted - label),
            Answer::Class { .. } => None,
        });
        let (sum, count) = errors.fold((0.0, 0u64), |(sum, count), e| (sum + e * e, count + 1));
        (count > 0).then(|| (sum / count as f64).sqrt())
    }

    /// Writes the rows as CSV: label and prediction, scores, probabilities.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), RecordError> {
        replace_file(path, &self.to_csv())
    }

    /// Returns the rows as CSV.
    pub fn to_csv(&self) -> Vec<u8> {
        const GROWS: &str = "a vector grows";
        let first = &self.rows[0];
        let mut header = vec!["row".to_owned()];
        header.extend(self.texts(first.answer).0.map(|_| "label".into()));
        header.push("predicted".into());
        let score = |class: usize| match first.scores.len() {
            1 => "score".to_owned(),
            _ => format!("score of {}", self.classes[class]),
        };
        header.extend((0..self.score_count()).map(score));
        let classes = self.classes.iter().take(first.probabilities.len());
        header.extend(classes.map(|class| format!("probability of {class}")));
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(&header).expect(GROWS);
        for (number, row) in (1..).zip(&self.rows) {
            let mut fields = vec![format!("{number}")];
            let (label, predicted) = self.texts(row.answer);
            fields.extend(label);
            fields.push(predicted);
            let scores = &row.scores[..self.score_count()];
            fields.extend(scores.iter().chain(&row.probabilities).map(f64::to_string));
            csv.write_record(&fields).expect(GROWS);
        }
        csv.into_inner().expect(GROWS)
    }

    /// Returns the number of scores of a row that are not its prediction.
    fn score_count(&self) -> usize {
        if self.classes.is_empty() { 0 } else { self.rows[0].scores.len() }
    }

    /// Returns label and prediction as texts.
    fn texts(&self, answer: Answer) -> (Option<String>, String) {
        match answer {
            Answer::Class { predicted, label } => {
                let name = |class: usize| self.classes[class].clone();
                (label.map(name), name(predicted))
            }
            Answer::Value { predicted, label } => {
                (label.map(|label| label.to_string()), predicted.to_string())
            }
        }
    }
}

/// What a terminal shows: accuracy and confusions, or the error.
impl fmt::Display for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, objective, round, trained_on, .. } = self;
        let rows = counted(self.rows.len() as u64, "row", "rows");
        writeln!(f, "{rows} of {dataset}, predicted by the {objective} model of round {round},")?;
        let (count, name) = (counted(trained_on.rows, "row", "rows"), shown(&trained_on.name));
        writeln!(f, "which was trained on {count} of {name}.")?;
        match (self.accuracy(), self.rmse()) {
            (Some(accuracy), _) => {
                let (correct, all) = self.correct();
                let percent = 100.0 * accuracy;
                writeln!(f, "Accuracy {percent:.1} %: {correct} of {all} rows are right.\n")?;
                matrix::write(f, &self.classes, self.classified())
            }
            (None, Some(rmse)) => write!(f, "Root of the mean squared error: {}.", number(rmse)),
            (None, None) => write!(f, "The data have no labels, so there is no accuracy."),
        }
    }
}

#[cfg(test)]
mod tests;
