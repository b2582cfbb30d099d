//! Preparing the rows of a data set: scaled columns and an intercept.

use super::data::Dataset;
use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::preparation::{Preparation, Scaling, dense};
use super::rows::{DIMENSION_MAX, Rows};
use super::scale_columns;

/// The least fraction of values other than 0 with which columns may be shifted. Afterwards none is 0, and a board
/// stores all of them.
const DENSITY_MIN: f64 = 0.1;

/// The scales of columns to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Those of the file.
    Kept,
    /// Mean 0 and standard deviation 1.
    Standard,
    /// About equal weight, by powers of two.
    Equal {
        /// Whether columns may also be shifted, since the model has a bias.
        shifts: bool,
    },
}

/// Returns the scaling with which every column of these rows has mean 0 and, unless it is constant, standard
/// deviation 1.
pub(super) fn standard(dataset: &Dataset) -> Vec<Scaling> {
    let count = dataset.row_count() as f64;
    let (mut centres, mut deviations) = (vec![0.0; dataset.dimension()], vec![]);
    // The values of a column are added in the order of the rows; zeros change no sum.
    let entries = || (0..dataset.row_count()).flat_map(|row| dataset.row(row).entries());
    entries().for_each(|(column, value)| centres[column] += value);
    centres.iter_mut().for_each(|sum| *sum /= count);
    deviations.resize(centres.len(), 0.0);
    let mut first = vec![];
    let (mut values, mut is_constant) = (vec![0.0; centres.len()], vec![true; centres.len()]);
    for row in 0..dataset.row_count() {
        dense(dataset.row(row).entries(), &mut values);
        if row == 0 {
            first.clone_from(&values);
        }
        for column in 0..values.len() {
            let difference: f64 = values[column] - centres[column];
            deviations[column] += difference * difference;
            is_constant[column] &= values[column] == first[column];
        }
    }
    let scaling = |column: usize| {
        let deviation: f64 = (deviations[column] / count).sqrt();
        match is_constant[column] || deviation == 0.0 {
            // Rounding errors of the mean must not become values of ±1.
            true => Scaling { centre: first[column], scale: 1.0 },
            false => Scaling { centre: centres[column], scale: deviation },
        }
    };
    (0..centres.len()).map(scaling).collect()
}

impl Dataset {
    /// Returns the preparation of this data set with columns scaled by these raw rows, and with an intercept.
    ///
    /// # Errors
    /// If the data are too sparse or too large for it.
    pub fn preparation_with(
        &self,
        scales: Scales,
        intercept: bool,
    ) -> Result<Preparation, DatasetError> {
        let mut preparation = Preparation { intercept, ..self.preparation.clone() };
        if preparation.dimension() > DIMENSION_MAX {
            return Err(self.refusal(Defect::Wide(preparation.dimension())));
        }
        match scales {
            Scales::Kept => {}
            Scales::Standard => preparation.scaling = self.standard()?,
            // Made for their constants, or standardised already.
            Scales::Equal { .. } if self.is_synthetic || preparation.is_shifted() => {}
            Scales::Equal { shifts } => preparation.scaling = scale_columns::scaling(self, shifts),
        }
        Ok(preparation)
    }

    /// Returns a sentence on columns that `preparation` scales and those of this data set are not.
    pub fn scaling_note(&self, preparation: &Preparation) -> Option<String> {
        let is_new = preparation.scaling != self.preparation.scaling;
        is_new.then(|| scale_columns::note(&preparation.scaling)).flatten()
    }

    fn standard(&self) -> Result<Vec<Scaling>, DatasetError> {
        let size = self.row_count() as f64 * self.dimension() as f64;
        let density = self.rows.values.len() as f64 / size;
        if density < DENSITY_MIN {
            let (percent, factor) = (density * 100.0, 1.0 / density);
            return Err(self.refusal(Defect::Sparse { percent, factor }));
        }
        let scaling = standard(self);
        let is_finite = |it: &Scaling| it.centre.is_finite() && it.scale.is_finite();
        if let Some(column) = scaling.iter().position(|it| !is_finite(it)) {
            let name = self.column_names().get(column).cloned();
            let name = name.unwrap_or_else(|| (column + 1).to_string());
            return Err(self.refusal(Defect::Huge(name)));
        }
        Ok(scaling)
    }

    fn refusal(&self, defect: Defect) -> DatasetError {
        defect.of(self.name(), Place::Table)
    }

    /// Prepares these raw rows, whose columns are those of `preparation`.
    #[must_use]
    pub fn prepared(self, preparation: &Preparation) -> Self {
        let prepared = match (preparation.keeps_values(), preparation.intercept) {
            (true, false) => self,
            (true, true) => self.with_ones(),
            (false, _) => {
                let mut rows = Rows::new();
                for row in 0..self.row_count() {
                    let features = preparation.features(self.row(row).entries());
                    (0..).zip(features).for_each(|(column, value)| rows.push(column, value));
                    rows.end_row();
                }
                Self { rows, ..self }
            }
        };
        Self { preparation: preparation.clone(), ..prepared }
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::*;

    fn rows(dataset: &Dataset) -> Vec<Vec<f64>> {
        let dense = |row| {
            let mut values = vec![0.0; dataset.dimension()];
            dense(dataset.row(row).entries(), &mut values);
            values
        };
        (0..dataset.row_count()).map(dense).collect()
    }

    #[test]
    fn held_out_rows_are_scaled_by_training_rows() {
        let text = "1 1:3 2:5 3:0.1\n0 1:5 2:5 3:0.1\n1 1:1 2:5 3:0.1\n0 1:9 2:7\n";
        let (training, test) = Dataset::parse("four", text).unwrap().hold_out(1).unwrap();
        let preparation = training.preparation_with(Scales::Standard, true).unwrap();
        let deviation = (8.0f64 / 3.0).sqrt();
        assert_eq!(preparation.scaling[0], Scaling { centre: 3.0, scale: deviation });
        let test = test.prepared(&preparation);
        let expected = [6.0 / deviation, 2.0, -0.1, 1.0];
        assert_eq!(rows(&test), [expected], "a constant column is only shifted");
        let training = training.prepared(&preparation);
        assert_eq!((training.dimension(), preparation.dimension()), (4, 4));
        assert_eq!(rows(&training)[1], [2.0 / deviation, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn intercept_alone_keeps_sparse_rows() {
        let dataset = Dataset::parse("two", "1 90:3\n0 7:1\n").unwrap();
        let preparation = dataset.preparation_with(Scales::Kept, true).unwrap();
        let prepared = dataset.prepared(&preparation);
        assert_eq!(prepared.row(0).entries().collect::<Vec<_>>(), [(89, 3.0), (90, 1.0)]);
        assert_eq!(prepared.preparation(), &preparation);
        let row = prepared.row(1);
        assert_eq!(preparation.features(row.entries()).len(), 91, "further columns are ignored");
    }

    #[test]
    fn data_that_cannot_be_standardised_are_refused() {
        let error = |text: &str, intercept: bool| {
            let dataset = Dataset::parse_with("text", text, Labels::Real).unwrap();
            dataset
                .preparation_with(
                    if intercept { Scales::Kept } else { Scales::Standard },
                    intercept,
                )
                .unwrap_err()
                .to_string()
        };
        let sparse = error("1 90:3\n0 7:1\n", false);
        assert!(
            sparse.starts_with("text: 1.1 % of the values are not 0, and --standardise"),
            "{sparse}"
        );
        let huge = error("1 1:1 2:1e200\n0 1:2 2:-1e200\n", false);
        assert!(huge.starts_with("text: the values of column `2` are too large"), "{huge}");
        let wide = error("1 65535:1\n", true);
        assert!(wide.starts_with("text: 65536 columns are features"), "{wide}");
    }

    #[test]
    fn column_of_nearly_equal_values_has_deviation_1() {
        let text = "1 1:0.1\n0 1:0.1\n1 1:0.30000000000000004\n0 1:0.3\n1 1:0.1\n";
        let dataset = Dataset::parse("five", text).unwrap();
        let preparation = dataset.preparation_with(Scales::Standard, false).unwrap();
        let values: Vec<f64> = rows(&dataset.prepared(&preparation)).concat();
        let squares: f64 = values.iter().map(|value| value * value).sum();
        assert!((squares / 5.0 - 1.0).abs() < 1e-12, "{squares}");
    }
}
