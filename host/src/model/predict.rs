//! Predictions for the rows of a data set.

mod matrix;

use super::board::NotOnBoard;
use crate::options::Choice;
use crate::problem::dataset::recordings::RecordingsError;
use crate::problem::dataset::{DatasetError, class_number};
use crate::problem::objective::Predictor;
use crate::record::model::DatasetRecord;
use crate::record::{Model, RecordError, replace_file, write_error};
use crate::units::quantity::{counted, number};
use crate::units::shown::shown;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest header of predictions that is looked at, in bytes.
const HEADER_LEN_MAX: u64 = 1 << 16;

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
    /// Says how many values of recordings were limited, if some were.
    pub(super) limited: Option<String>,
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
    /// Where a window comes from; `None` for a row of a table.
    pub origin: Option<Origin>,
}

/// Where a window comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line of its first sample, counted from 1.
    pub line: usize,
    /// The file is one of held-out recordings.
    pub is_test: bool,
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
    /// The rows cannot be read by a model of windows.
    #[error(
        "{0}; the model was trained on windows of recordings: predict such recordings by --recordings"
    )]
    Table(DatasetError),
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
        "{place} has the class `{}`, which the model does not know (its classes are {}); remove such rows, or name the \
         column of the labels with --label",
        shown(label),
        shown(classes)
    )]
    Class {
        /// The row.
        place: String,
        /// Its label.
        label: String,
        /// Names of the known classes.
        classes: String,
    },
    /// Numbers of a row overflow.
    #[error(
        "{place}: {part} is not finite, because a value is too large for the model; leave out the row, or check the \
         unit of its values"
    )]
    Infinite {
        /// The row.
        place: String,
        /// The feature or score.
        part: String,
    },
    /// The label of a row is not a number.
    #[error(
        "{place} has the label `{}`, but the model predicts numbers; name the column of the labels with --label",
        shown(label)
    )]
    Value {
        /// The row.
        place: String,
        /// Its label.
        label: String,
    },
}

impl Model {
    /// Reads a bundled set or a file, and predicts its rows. `label` names the column of the labels, by default that of
    /// the training data; the file need not have any.
    ///
    /// # Errors
    /// If the file cannot be read, has other columns, or has labels that the model cannot predict.
    pub fn predict(
        &self,
        dataset: &Path,
        label: Option<&OsStr>,
    ) -> Result<Predictions, PredictError> {
        let preparation = self.input.preparation();
        let unseen = preparation.read(dataset, self.objective.info().labels, label);
        let unseen = unseen.map_err(|error| match preparation.windows {
            Some(_) => PredictError::Table(error),
            None => error.into(),
        })?;
        let predictor = Predictor::new(self.objective, preparation.dimension());
        let name = shown(dataset).to_string();
        let row = |row: usize| {
            let place = Place::Row { dataset: &name, row: row + 1 };
            self.predict_row(&predictor, &unseen.features(row), unseen.label(row), place)
        };
        let rows = (0..unseen.row_count()).map(row).collect::<Result<_, PredictError>>()?;
        Ok(self.predictions(name, rows))
    }

    pub(super) fn predictions(&self, dataset: String, rows: Vec<RowPrediction>) -> Predictions {
        Predictions {
            objective: self.objective.name(),
            round: self.round,
            trained_on: self.dataset.clone(),
            classes: self.classes.clone(),
            rows,
            dataset,
            limited: None,
        }
    }

    pub(super) fn predict_row(
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
            return Err(PredictError::Infinite { place: place.to_string(), part });
        }
        let probabilities = predictor.probabilities(&scores);
        Ok(RowPrediction { probabilities, scores, answer, origin: None })
    }

    /// Interprets the label of a row as a class.
    fn class(&self, label: &str, place: Place<'_>) -> Result<usize, PredictError> {
        class_number(&self.classes, label).ok_or_else(|| PredictError::Class {
            place: place.to_string(),
            label: label.into(),
            classes: self.classes.join(", "),
        })
    }
}

/// Place of a row, for messages. Rows and lines are counted from 1.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Row { dataset: &'a str, row: usize },
    Line { file: &'a str, line: usize },
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { dataset, row } => write!(f, "row {row} of {}", shown(dataset)),
            Self::Line { file, line } => write!(f, "line {line} of {}", shown(file)),
        }
    }
}

/// Interprets the label of a row as a value.
fn value(label: &str, place: Place<'_>) -> Result<f64, PredictError> {
    let value = label.parse().ok().filter(|value: &f64| value.is_finite());
    value.ok_or_else(|| PredictError::Value { place: place.to_string(), label: label.into() })
}

/// Returns which of these values is not finite, for a sentence.
fn infinite(name: &str, values: &[f64]) -> Option<String> {
    let index = values.iter().position(|value| !value.is_finite())?;
    Some(format!("{name} {}", index + 1))
}

impl RowPrediction {
    /// Returns label and prediction, if it has a label and they are classes.
    fn classified(&self) -> Option<(usize, usize)> {
        match self.answer {
            Answer::Class { predicted, label } => label.map(|label| (label, predicted)),
            Answer::Value { .. } => None,
        }
    }
}

/// Returns the number of rows whose class is predicted correctly, and that of labelled rows.
fn correct<'r>(rows: impl IntoIterator<Item = &'r RowPrediction>) -> (u64, u64) {
    let pairs = rows.into_iter().filter_map(RowPrediction::classified);
    pairs.fold((0, 0), |(correct, all), (label, predicted)| {
        (correct + u64::from(label == predicted), all + 1)
    })
}

impl Predictions {
    /// Returns the rows in order.
    pub fn rows(&self) -> &[RowPrediction] {
        &self.rows
    }

    /// Returns the labelled rows with a class: label and prediction.
    fn classified(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.iter().filter_map(RowPrediction::classified)
    }

    /// Returns the number of rows whose class is predicted correctly, and that of labelled rows.
    pub fn correct(&self) -> (u64, u64) {
        correct(&self.rows)
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

    /// Writes the rows as CSV: label and prediction, scores, probabilities. Of files that exist, it replaces only
    /// predictions and empty ones.
    ///
    /// # Errors
    /// If the file has other contents or cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), RecordError> {
        if path.is_file() && !holds_predictions(path).map_err(write_error(path))? {
            return Err(RecordError::Foreign(path.into()));
        }
        replace_file(path, &self.to_csv())
    }

    /// Returns the rows as CSV.
    pub fn to_csv(&self) -> Vec<u8> {
        const GROWS: &str = "a vector grows";
        let first = &self.rows[0];
        let mut header = vec!["row".to_owned()];
        header.extend(first.origin.iter().flat_map(|_| ["file", "line"].map(String::from)));
        // Of several files some may have labels.
        let is_labelled = self.rows.iter().any(|row| self.texts(row.answer).0.is_some());
        header.extend(is_labelled.then(|| "label".into()));
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
            let origin = row.origin.as_ref();
            fields.extend(origin.into_iter().flat_map(|it| [it.file.clone(), it.line.to_string()]));
            let (label, predicted) = self.texts(row.answer);
            fields.extend(is_labelled.then(|| label.unwrap_or_default()));
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
        self.limited.iter().try_for_each(|limited| writeln!(f, "{limited}."))?;
        match (self.accuracy(), self.rmse()) {
            (Some(_), _) => {
                let is_test =
                    |row: &&RowPrediction| row.origin.as_ref().is_some_and(|it| it.is_test);
                let (held_out, others): (Vec<_>, Vec<_>) = self.rows.iter().partition(is_test);
                let of_which = match (held_out.is_empty(), others.is_empty()) {
                    (false, false) => [" on held-out rows", " on other rows"],
                    _ => [""; 2],
                };
                for (rows, of_which) in [held_out, others].iter().zip(of_which) {
                    let (correct, all) = correct(rows.iter().copied());
                    if all > 0 {
                        let percent = 100.0 * correct as f64 / all as f64;
                        write!(f, "Accuracy{of_which} {percent:.1} %: ")?;
                        writeln!(f, "{correct} of {all} rows are right.")?;
                    }
                }
                writeln!(f)?;
                matrix::write(f, &self.classes, self.classified())
            }
            (None, Some(rmse)) => write!(f, "Root of the mean squared error: {}.", number(rmse)),
            (None, None) => write!(f, "The data have no labels, so there is no accuracy."),
        }
    }
}

/// Returns whether a file is empty or begins as predictions do.
fn holds_predictions(path: &Path) -> io::Result<bool> {
    let mut header = String::new();
    let mut start = BufReader::new(File::open(path)?.take(HEADER_LEN_MAX));
    let is_text = start.read_line(&mut header).is_ok();
    let names = header.trim_end().split(',').collect::<Vec<_>>();
    let is_header = names.first() == Some(&"row") && names.contains(&"predicted");
    Ok(is_text && (header.is_empty() || is_header))
}

#[cfg(test)]
mod tests;
