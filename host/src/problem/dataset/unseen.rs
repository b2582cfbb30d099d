//! Rows of another file than the one that a model was trained on.

use super::columns::Roles;
use super::data::Dataset;
use super::error::DatasetError;
use super::labels::Labels;
use super::load::Content;
use super::preparation::Preparation;
use super::rows::Rows;
use super::table::Table;
use crate::units::shown::shown;
use std::ffi::OsStr;
use std::path::Path;

/// Rows with the columns of a [`Preparation`], with labels if the file has them.
#[derive(Clone, Debug)]
pub struct Unseen {
    rows: Rows,
    /// As in the file; empty if it has none.
    labels: Vec<String>,
    preparation: Preparation,
}

impl Preparation {
    /// Reads a bundled set or a file, whose columns are found by their names. Without names, and in a file without a
    /// header, they are found by their order. Further named columns are ignored.
    ///
    /// `labels` interprets those of a bundled set. `column` has the labels, by default that of the training data; it
    /// may be missing.
    ///
    /// # Errors
    /// If the file cannot be read, or does not have all columns.
    pub fn read(
        &self,
        name_or_path: impl AsRef<Path>,
        labels: Labels,
        column: Option<&OsStr>,
    ) -> Result<Unseen, DatasetError> {
        let (path, name) = (name_or_path.as_ref(), shown(name_or_path.as_ref()).to_string());
        if Dataset::is_built_in(path) {
            Roles { label: column, owner: None }.refuse(&name)?;
            let dataset = Dataset::load_raw(path, labels, Roles::default())?;
            self.check_width(&name, dataset.dimension())?;
            let label = |row| dataset.label_text(row);
            let labels = (0..dataset.row_count()).map(label).collect();
            return Ok(Unseen { rows: dataset.rows, labels, preparation: self.clone() });
        }
        self.unseen(&name, &Content::read(path, &name)?, column)
    }

    /// Like [`read`](Self::read), from the content of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_bytes(
        &self,
        name: &str,
        bytes: &[u8],
        column: Option<&OsStr>,
    ) -> Result<Unseen, DatasetError> {
        self.unseen(name, &Content::of(bytes, name)?, column)
    }

    fn unseen(
        &self,
        name: &str,
        content: &Content,
        column: Option<&OsStr>,
    ) -> Result<Unseen, DatasetError> {
        let Table { rows, labels, .. } =
            content.columns(name, self, Roles { label: column, owner: None })?;
        let labels = labels.iter().map(Into::into).collect();
        Ok(Unseen { rows, labels, preparation: self.clone() })
    }
}

impl Unseen {
    /// Returns the number of rows, at least 1.
    pub fn row_count(&self) -> usize {
        self.rows.row_count()
    }

    /// Returns the prepared features of a row, counted from 0.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn features(&self, row: usize) -> Vec<f64> {
        let entries = self.rows.starts[row]..self.rows.starts[row + 1];
        let columns = self.rows.columns[entries.clone()].iter().map(|&column| usize::from(column));
        self.preparation.features(columns.zip(self.rows.values[entries].iter().copied()))
    }

    /// Returns the label of a row as written in the file; `None` if the file has no labels.
    pub fn label(&self, row: usize) -> Option<&str> {
        self.labels.get(row).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::class_number;
    use super::super::prepare::Scales;
    use super::*;

    const TRAINING: &str = "id,b,a,kind\n1,2,3,no\n2,4,9,yes\n3,6,6,no\n";

    fn preparation(text: &str, owner: Option<&str>) -> Preparation {
        let roles = Roles { label: None, owner };
        let bytes = text.as_bytes();
        let dataset = Dataset::of_bytes("set.csv", bytes, Labels::Binary, roles).unwrap();
        dataset.preparation_with(Scales::Standard, true).unwrap()
    }

    fn read(preparation: &Preparation, name: &str, text: &str) -> Result<Unseen, String> {
        let unseen = preparation.read_bytes(name, text.as_bytes(), None);
        unseen.map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let preparation = preparation(TRAINING, Some("id"));
        let deviations = [8.0f64 / 3.0, 6.0].map(f64::sqrt);
        let unseen = read(&preparation, "new.csv", "note;a;kind;b\nold;7;maybe;5\n").unwrap();
        assert_eq!(unseen.features(0), [1.0 / deviations[0], 1.0 / deviations[1], 1.0]);
        assert_eq!((unseen.row_count(), unseen.label(0)), (1, Some("maybe")));
        let unseen = read(&preparation, "new.csv", "a,b\n6,4\n").unwrap();
        assert_eq!((unseen.features(0), unseen.label(0)), (vec![0.0, 0.0, 1.0], None));
        let error = read(&preparation, "new.csv", "a,c\n6,4\n").unwrap_err();
        assert_eq!(error, "new.csv: no column is called `b`; the columns are a, c");
    }

    #[test]
    fn columns_without_names_are_found_by_their_order() {
        let named = preparation(TRAINING, Some("id"));
        let unseen = read(&named, "new", "1 1:4 2:6\n").unwrap();
        assert_eq!((unseen.features(0), unseen.label(0)), (vec![0.0, 0.0, 1.0], Some("1")));
        let plain = Dataset::parse("plain", "-1 1:3\n+1 2:4\n").unwrap().preparation().clone();
        let unseen = read(&plain, "new.csv", "x,y,label\n6,4,-1\n").unwrap();
        assert_eq!((unseen.features(0), unseen.label(0)), (vec![6.0, 4.0], Some("-1")));
        let unseen = read(&plain, "new.csv", "x,y\n6,4\n").unwrap();
        assert_eq!((unseen.features(0), unseen.label(0)), (vec![6.0, 4.0], None));
        let error = read(&plain, "new.csv", "x,y,z,w\n6,4,1,1\n").unwrap_err();
        assert_eq!(
            error,
            "new.csv: 4 columns are features, but the model has 2; give the same columns"
        );
    }

    #[test]
    fn further_columns_are_refused_in_every_format() {
        let plain = Dataset::parse("plain", "-1 1:3\n+1 2:4\n").unwrap().preparation().clone();
        for (name, text) in [("new", "1 1:4 4:6\n"), ("new.csv", "x,y,z,label\n6,4,1,1\n")] {
            let error = read(&plain, name, text).unwrap_err();
            let said = "4 columns are features, but the model has 2; give the same columns";
            assert_eq!(error, format!("{name}: {said}"));
        }
        let preparation = Dataset::load_with("digits", Labels::Classes).unwrap().preparation;
        let error = preparation.read("breast-cancer", Labels::Classes, None).unwrap_err();
        let said =
            "breast-cancer: 30 columns are features, but the model has 64; give the same columns";
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn bundled_sets_have_the_labels_of_their_classes() {
        for (labels, first) in [(Labels::Binary, "even"), (Labels::Classes, "0")] {
            let preparation = Dataset::load_with("digits", labels).unwrap().preparation().clone();
            let unseen = preparation.read("digits", labels, None).unwrap();
            assert_eq!((unseen.row_count(), unseen.label(0)), (1797, Some(first)));
        }
    }

    #[test]
    fn label_column_can_be_another_one() {
        let preparation = preparation(TRAINING, Some("id"));
        let read = |name: &str, text: &str| {
            let column = Some(OsStr::new("truth"));
            let unseen = preparation.read_bytes(name, text.as_bytes(), column);
            unseen.map_err(|error| error.to_string())
        };
        let unseen = read("new.csv", "a,b,kind,truth\n1,2,no,yes\n").unwrap();
        assert_eq!(unseen.label(0), Some("yes"));
        let error = read("new.csv", "a,b,kind\n1,2,no\n").unwrap_err();
        assert!(error.starts_with("new.csv: no column is called `truth`"), "{error}");
        let error = read("new", "1 1:2\n").unwrap_err();
        assert!(error.starts_with("new: --label names a column of a CSV or .npy file"), "{error}");
    }

    #[test]
    fn class_has_the_same_text_or_an_equal_number() {
        let classes = ["-1", "+1", "one"].map(String::from);
        let number = |label| class_number(&classes, label);
        assert_eq!([number("1.0"), number("one"), number("-1")], [Some(1), Some(2), Some(0)]);
        assert_eq!([number("two"), number("nan"), number("2")], [None; 3]);
    }
}
