//! Data on which the training of a model continues.

use super::columns::Roles;
use super::data::Dataset;
use super::defect::{Defect, Place};
use super::error::DatasetError;
use super::labels::Labels;
use super::load::Content;
use super::preparation::Preparation;
use crate::units::shown::shown;
use std::path::Path;

impl Preparation {
    /// Reads a bundled set or a file like [`read`](Self::read), to train on: rows have labels, and classes have their
    /// numbers in `classes`, those of a model, if it is given. The rows are not prepared.
    ///
    /// # Errors
    /// If the file cannot be read, does not have all columns, or has labels that the model cannot predict.
    pub fn dataset(
        &self,
        name_or_path: impl AsRef<Path>,
        labels: Labels,
        roles: Roles<'_>,
        classes: Option<&[String]>,
    ) -> Result<Dataset, DatasetError> {
        let (path, name) = (name_or_path.as_ref(), shown(name_or_path.as_ref()).to_string());
        if Dataset::is_built_in(path) {
            let dataset = Dataset::load_raw(path, labels, roles)?;
            self.check_width(&name, dataset.dimension())?;
            let Some(classes) = classes else { return Ok(dataset) };
            let labelling = dataset.labelling.renumbered(&name, classes)?;
            return Ok(Dataset { labelling, ..dataset });
        }
        self.continued(&name, &Content::read(path, &name)?, labels, roles, classes)
    }

    fn continued(
        &self,
        name: &str,
        content: &Content,
        labels: Labels,
        roles: Roles<'_>,
        classes: Option<&[String]>,
    ) -> Result<Dataset, DatasetError> {
        let table = content.columns(name, self, roles)?;
        if table.labels.iter().next().is_none() {
            return Err(Defect::NoLabels.of(name, Place::Table));
        }
        let labelling = match classes {
            Some(classes) => labels.read_as(name, classes, &table.labels)?,
            None => labels.read(name, table.label.as_deref(), &table.labels)?,
        };
        Ok(Dataset::labelled(name, table, labelling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continued(
        trained: &Dataset,
        (name, bytes): (&str, &[u8]),
        labels: Labels,
        owner: Option<&str>,
    ) -> Result<Dataset, String> {
        let content = Content::of(bytes, name).unwrap();
        let roles = Roles { label: None, owner };
        let preparation = trained.preparation();
        let classes = Some(trained.class_names());
        let dataset = preparation.continued(name, &content, labels, roles, classes);
        dataset.map_err(|error| error.to_string())
    }

    fn sparse(text: &str, labels: Labels) -> Result<Dataset, String> {
        let trained = Dataset::parse_with("trained", "7 1:1 3:1\n5 1:1\n6 2:1\n", labels).unwrap();
        continued(&trained, ("rows", text.as_bytes()), labels, None)
    }

    #[test]
    fn classes_have_the_numbers_of_the_model() {
        let dataset = sparse("7 1:1\n6.0 2:1\n7 1:2\n", Labels::Classes).unwrap();
        let labels: Vec<_> = (0..3).map(|row| dataset.row(row).label).collect();
        assert_eq!((labels, dataset.class_count()), (vec![2.0, 1.0, 2.0], 3));
        assert_eq!((dataset.dimension(), dataset.preparation().column_count), (3, 3));
        let targets = sparse("5 1:1\n7.5 2:1\n", Labels::Real).unwrap();
        assert_eq!((targets.row(1).label, targets.class_count()), (7.5, 0));
    }

    #[test]
    fn data_may_lack_classes_of_the_model() {
        let dataset = sparse("6 1:1\n6 2:1\n", Labels::Classes).unwrap();
        assert_eq!((dataset.row(0).label, dataset.class_count()), (1.0, 3));
        let binary = Dataset::parse("trained", "1 1:1\n2 1:2\n").unwrap();
        let dataset = continued(&binary, ("rows", b"2 1:1\n"), Labels::Binary, None).unwrap();
        assert_eq!((dataset.row(0).label, dataset.class_count()), (1.0, 2));
    }

    #[test]
    fn other_classes_and_columns_are_refused() {
        let error = |text| sparse(text, Labels::Classes).unwrap_err();
        assert_eq!(
            error("5 1:1\n3 1:2\n"),
            "rows: the model does not know the class `3`, only 5, 6, 7; leave out its rows, or train a new model"
        );
        let said = "rows: 4 columns are features, but the model has 3; give the same columns";
        assert_eq!(error("5 1:1\n7 4:2\n"), said);
    }

    #[test]
    fn columns_are_found_as_for_a_prediction() {
        let read = |name: &str, text: &str, owner| {
            let roles = Roles { label: None, owner };
            Dataset::of_bytes(name, text.as_bytes(), Labels::Binary, roles).unwrap()
        };
        let trained = read("old.csv", "a,b,kind\n1,2,no\n3,4,yes\n", None);
        let new = ("new.csv", &b"who,kind,b,a\nann,yes,4,9\n"[..]);
        let dataset = continued(&trained, new, Labels::Binary, Some("who")).unwrap();
        assert_eq!(dataset.row(0).entries().collect::<Vec<_>>(), [(0, 9.0), (1, 4.0)]);
        assert_eq!((dataset.row(0).label, dataset.owner(0)), (1.0, Some("ann")));
        assert_eq!(dataset.column_names(), ["a", "b"]);
        let error = continued(&trained, ("new.csv", b"a,b\n1,2\n"), Labels::Binary, None);
        assert_eq!(error.unwrap_err(), "new.csv: no column has the labels; name it by --label");
    }

    /// Returns an array of one row, as numpy.save writes it.
    fn array(row: &[u8]) -> Vec<u8> {
        let shape = format!("(1, {})", row.len());
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), row]
            .concat()
    }

    #[test]
    fn array_with_too_few_or_many_columns_is_refused() {
        let trained =
            Dataset::of_bytes("old.npy", &array(&[4, 5, 6, 1]), Labels::Real, Roles::default());
        let trained = trained.unwrap();
        let read = |row: &[u8]| continued(&trained, ("new.npy", &array(row)), Labels::Real, None);
        assert_eq!(read(&[1, 2, 3, 9]).unwrap().row(0).label, 9.0);
        for row in [&[1, 2][..], &[1, 2, 3, 4, 5, 6]] {
            let error = read(row).unwrap_err();
            assert!(error.ends_with("but the model has 3; give the same columns"), "{error}");
        }
    }
}
