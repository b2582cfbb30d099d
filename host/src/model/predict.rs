//! Predictions for the rows of a data set.

mod matrix;

use crate::options::Choice;
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
    /// The predicted class or value.
    pub predicted: Answer,
    /// The label; `None` if the data set has none.
    pub label: Option<Answer>,
}

/// A class or a real value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Number of a class, from 0.
    Class(usize),
    /// A real value.
    Value(f64),
}

/// Reasons why rows cannot be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The rows cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
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
            let label =
                unseen.label(row).map(|label| self.answer(&name, row, label)).transpose()?;
            let features = unseen.features(row);
            let scores = predictor.scores(&features, &self.values);
            let parts = [("feature", &features), ("score", &scores)];
            if let Some(part) = parts.into_iter().find_map(infinite) {
                let dataset = name.clone();
                return Err(PredictError::Infinite { dataset, row: row + 1, part });
            }
            Ok(predict_row(&predictor, scores, label))
        };
        Ok(Predictions {
            objective: self.objective.name(),
            round: self.round,
            trained_on: self.dataset.clone(),
            classes: self.classes.clone(),
            rows: (0..unseen.row_count()).map(row).collect::<Result<_, PredictError>>()?,
            dataset: name,
        })
    }

    /// Interprets the label of a row.
    fn answer(&self, dataset: &str, row: usize, label: &str) -> Result<Answer, PredictError> {
        let (dataset, row) = (dataset.to_owned(), row + 1);
        if self.classes.is_empty() {
            let value = label.parse().ok().filter(|value: &f64| value.is_finite());
            let label = label.to_owned();
            return value.map(Answer::Value).ok_or(PredictError::Value { dataset, row, label });
        }
        class_number(&self.classes, label).map(Answer::Class).ok_or_else(|| PredictError::Class {
            dataset,
            row,
            label: label.into(),
            classes: self.classes.join(", "),
        })
    }
}

fn predict_row(predictor: &Predictor, scores: Vec<f64>, label: Option<Answer>) -> RowPrediction {
    let predicted = match predictor.class(&scores) {
        Some(class) => Answer::Class(class),
        None => Answer::Value(scores.iter().sum()),
    };
    RowPrediction { probabilities: predictor.probabilities(&scores), scores, predicted, label }
}

/// Returns which of these values is not finite, for a sentence.
fn infinite((name, values): (&str, &Vec<f64>)) -> Option<String> {
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
        self.rows.iter().filter_map(|row| match (row.label, row.predicted) {
            (Some(Answer::Class(label)), Answer::Class(predicted)) => Some((label, predicted)),
            (None | Some(_), _) => None,
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
        let errors = self.rows.iter().filter_map(|row| match (row.label, row.predicted) {
            (Some(Answer::Value(label)), Answer::Value(predicted)) => Some(predicted - label),
            (None | Some(_), _) => None,
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
        let has_labels = first.label.is_some();
        let mut header = vec!["row".to_owned()];
        header.extend(has_labels.then(|| "label".into()));
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
            fields.extend(row.label.map(|label| self.text(label)));
            fields.push(self.text(row.predicted));
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

    fn text(&self, answer: Answer) -> String {
        match answer {
            Answer::Class(class) => self.classes[class].clone(),
            Answer::Value(value) => value.to_string(),
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
