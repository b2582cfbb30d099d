//! Data on which the training of a model continues.

use super::data::Dataset;
use super::preparation::Preparation;
use super::unseen::class_number;
use crate::units::shown::shown;
use thiserror::Error;

/// Reasons why data do not fit a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// The number of columns is another one.
    #[error(
        "it has {found} columns of features, but the model has {expected}; give the same columns"
    )]
    Count {
        /// Number of columns.
        found: usize,
        /// Number of columns of the model.
        expected: usize,
    },
    /// A column has another name.
    #[error(
        "feature {number} is column `{}`, but column `{}` in the model; give the same columns in the same order",
        shown(found),
        shown(expected)
    )]
    Column {
        /// The feature, counted from 1.
        number: usize,
        /// Its name.
        found: String,
        /// Its name in the model.
        expected: String,
    },
    /// The model does not know a class.
    #[error(
        "the model does not know the class `{}`, only {}; leave out its rows, or train a new model",
        shown(class),
        shown(known)
    )]
    Class {
        /// Name of the class.
        class: String,
        /// Names of the known classes.
        known: String,
    },
}

impl Dataset {
    /// Numbers the classes as a model does, and checks that the columns are those of its preparation, which is not
    /// applied.
    ///
    /// # Errors
    /// If columns or classes differ.
    pub fn fitted(mut self, classes: &[String], trained: &Preparation) -> Result<Self, Misfit> {
        let (found, expected) = (self.dimension(), trained.column_count);
        let names = self.column_names().iter().zip(&trained.names);
        // Only a table has a column of labels or names; in a sparse format the last columns may have no entries.
        let is_dense = self.preparation.label.is_some() || !self.column_names().is_empty();
        if found > expected || (is_dense && found < expected) {
            return Err(Misfit::Count { found, expected });
        }
        if let Some((index, (found, expected))) = names.enumerate().find(|(_, (a, b))| a != b) {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(Misfit::Column { number: index + 1, found, expected });
        }
        let number = |class: &String| {
            class_number(classes, class)
                .ok_or_else(|| Misfit::Class { class: class.clone(), known: classes.join(", ") })
        };
        let numbers = self.class_names().iter().map(number).collect::<Result<Vec<_>, _>>()?;
        if !numbers.is_empty() {
            let labels = self.labelling.values.iter_mut();
            labels.for_each(|label| *label = numbers[*label as usize] as f64);
            self.labelling.classes = classes.to_vec();
        }
        self.rows.dimension = expected;
        self.preparation.column_count = expected;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Roles;
    use super::super::labels::Labels;
    use super::*;

    fn fitted(text: &str, labels: Labels, classes: &[&str]) -> Result<Dataset, String> {
        let classes: Vec<_> = classes.iter().map(|class| (*class).to_owned()).collect();
        let dataset = Dataset::parse_with("rows", text, labels).unwrap();
        let trained = Dataset::parse("trained", "1 1:1 3:1\n2 1:1\n").unwrap();
        dataset.fitted(&classes, trained.preparation()).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn classes_have_the_numbers_of_the_model() {
        let dataset = fitted("5 1:1\n7.0 2:1\n5 1:2\n", Labels::Classes, &["7", "6", "5"]).unwrap();
        let labels: Vec<_> = (0..3).map(|row| dataset.row(row).label).collect();
        assert_eq!((labels, dataset.class_count()), (vec![2.0, 0.0, 2.0], 3));
        assert_eq!((dataset.dimension(), dataset.preparation().column_count), (3, 3));
        let targets = fitted("5 1:1\n7.5 2:1\n", Labels::Real, &[]).unwrap();
        assert_eq!((targets.row(1).label, targets.class_count()), (7.5, 0));
    }

    #[test]
    fn array_with_fewer_columns_is_refused() {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n";
        let len = (header.len() as u16).to_le_bytes();
        let bytes =
            [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &[1, 2, 1, 3, 4, 2]].concat();
        let array = Dataset::of_bytes("array", &bytes, Labels::Binary, Roles::default()).unwrap();
        let trained = Dataset::parse("trained", "1 1:1 3:1\n2 1:1\n").unwrap();
        let classes = trained.class_names();
        let misfit = array.fitted(classes, trained.preparation()).unwrap_err();
        assert_eq!(misfit, Misfit::Count { found: 2, expected: 3 });
    }

    #[test]
    fn other_classes_and_columns_are_refused() {
        let error = |text, classes: &[&str]| fitted(text, Labels::Binary, classes).unwrap_err();
        assert_eq!(
            error("1 1:1\n3 1:2\n", &["1", "2"]),
            "the model does not know the class `3`, only 1, 2; leave out its rows, or train a new model"
        );
        assert_eq!(
            error("1 1:1\n2 4:2\n", &["1", "2"]),
            "it has 4 columns of features, but the model has 3; give the same columns"
        );
    }
}
