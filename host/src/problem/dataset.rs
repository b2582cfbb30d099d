//! Data sets: loading labelled rows, distributing them to workers, and quantising them for boards.
//!
//! ```text
//!  csv, npy, libsvm         a file -> a table of rows, with labels as texts
//!  bundled, quadratics      a name -> such a table
//!  labels                   two classes, many classes, or real targets: a table -> Dataset
//!  prepare                  Dataset -> Dataset with scaled columns and an intercept
//!  scale_columns            the scales that give columns equal weight
//!  continued                another file -> Dataset with the columns and classes of a model
//!  unseen                   another file -> features, by the Preparation of a Dataset
//!  windows                  time series -> columns
//!  layer                    columns -> hidden units of another model
//!  split                    Dataset -> one list of rows per worker
//!  quantise                 one such list -> the bytes of a shard
//!  recordings               time series -> Dataset of the rows that boards record
//! ```
//!
//! Theory and telemetry use the f64 rows of this module. Only the data sent to boards are quantised.

mod bundled;
mod columns;
mod continued;
mod csv;
mod data;
mod defect;
mod error;
mod labels;
mod layer;
mod libsvm;
mod load;
mod npy;
mod owners;
mod preparation;
mod prepare;
mod quadratics;
pub mod quantise;
pub mod recordings;
mod rows;
mod scale_columns;
pub mod split;
mod table;
mod texts;
mod unseen;
mod windows;

pub use bundled::names as bundled_names;
pub use columns::Roles;
pub use data::{Dataset, Row};
pub use defect::{Defect, Place, RaggedCause};
pub use error::{DatasetError, QuadraticsError, Syntax};
pub use labels::{Labels, class_number};
pub use layer::FrozenLayer;
pub use load::label_file;
pub use preparation::{Preparation, Scaling};
pub use prepare::Scales;
pub use rows::DIMENSION_MAX;
pub use unseen::Unseen;
pub use windows::{Channel, TrainedWindows, Windows, is_same_full_scale};

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns the error of loading a file with this content.
    fn complaint(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        let error = Dataset::load(path.to_str().unwrap()).unwrap_err().to_string();
        error.replace(path.to_str().unwrap(), "file")
    }

    #[test]
    fn every_valid_form_of_a_line_is_parsed() {
        let text = "\u{feff}# heading\r\n+1 1:0.5\t3:-2e-3 # note\r\n\n-1 2:0 4:0\n  1.0\t2:1";
        let dataset = Dataset::parse("folder/set", text).unwrap();
        assert_eq!((dataset.name(), dataset.row_count(), dataset.dimension()), ("set", 3, 4));
        let rows: Vec<_> = (0..3).map(|row| dataset.row(row)).collect();
        assert_eq!(rows[0].entries().collect::<Vec<_>>(), [(0, 0.5), (2, -0.002)]);
        assert_eq!(rows[1].entries().count(), 0, "a zero only affects the dimension");
        assert_eq!([rows[0].sign(), rows[1].sign(), rows[2].sign()], [1.0, -1.0, 1.0]);
    }

    #[test]
    fn invalid_file_is_refused_with_one_sentence() {
        let refused = "the file is empty or the wrong one; download it again";
        assert_eq!(complaint(b""), format!("file contains no features: {refused}"));
        assert_eq!(complaint(b"# a comment\n\n"), format!("file contains no features: {refused}"));
        assert_eq!(complaint(b"1\n-1\n"), format!("file contains no features: {refused}"));
        for binary in [&b"\x1f\x8b\x08\0"[..], b"1 1:1\n\0\0"] {
            let advice = "it is not text; if it is compressed, decompress it first";
            assert_eq!(complaint(binary), format!("file cannot be read as a data set: {advice}"));
        }
        let advice = "give a file with exactly two, the larger is the positive class, or \
                      choose --objective softmax";
        for (count, text) in [(1, "1 1:1\n1 1:2\n"), (3, "1 1:1\n2 1:1\n3 1:1\n")] {
            let expected = format!("file has {count} distinct labels: {advice}");
            assert_eq!(complaint(text.as_bytes()), expected);
        }
        let error = Dataset::load("no/such/file").unwrap_err().to_string();
        assert!(
            error.starts_with("no/such/file is neither") && error.contains("digits, "),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let error = Dataset::load(folder.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn invalid_line_is_reported_with_line_and_column() {
        let cases: [(&str, &str); 11] = [
            ("1 1:1\n<html> 1:2\n", "line 2, column 1: `<html>` is not a label"),
            ("1 1:1\nnan 1:2\n", "line 2, column 1: `nan` is not a label"),
            ("1 1:1  2\n", "line 1, column 8: `2` is not a feature"),
            ("1 1:x\n", "line 1, column 3: `1:x` is not a feature"),
            ("1 1:inf\n", "line 1, column 3: `1:inf` is not a feature"),
            ("1 0:1\n", "line 1, column 3: index 0: indices start at 1; add 1 to each"),
            ("1 1:1\n\u{feff}-1 1:2\n", "line 2, column 1: there is an invisible byte-order mark"),
            ("1 00:1\n", "line 1, column 3: index 0: indices start at 1"),
            ("1 65536:1\n", "line 1, column 3: `65536` is not an index"),
            ("1 2:1 2:1\n", "line 1, column 7: index 2 does not ascend after 2"),
            ("1 5:1\n-1 1:1 2:1 1:1\n", "line 2, column 12: index 1 does not ascend after 2"),
        ];
        for (text, expected) in cases {
            let error = complaint(text.as_bytes());
            assert!(error.starts_with(&format!("file, {expected}")), "{error}");
            assert!(!error.contains("breaks off"), "{error}");
        }
    }

    #[test]
    fn truncated_file_is_reported() {
        for text in ["1 1:1 2:1\n-1 1:1 2:", "1 1:1 2:1\n-1 1:1 2", "1 1:1 2:1\n-"] {
            let error = complaint(text.as_bytes());
            assert!(
                error.ends_with("the file ends here, so download it again if it is truncated"),
                "{error}"
            );
        }
    }

    #[test]
    fn first_rows_are_kept() {
        let dataset = Dataset::load("digits").unwrap().take(400).unwrap();
        assert_eq!((dataset.row_count(), dataset.dimension()), (400, 64));
        assert_eq!(dataset.rows.values.len(), dataset.rows.starts[400]);
        let error = dataset.clone().take(401).unwrap_err().to_string();
        assert_eq!(error, "digits has 400 rows, so --rows 401 is out of range: give 1 to 400");
        assert!(dataset.take(0).is_err());
    }

    #[test]
    fn labels_are_classes_or_targets() {
        let text = "3 1:1\n-1.5 1:2\n7 1:3\n3 1:4\n";
        let labels = |labels| {
            let dataset = Dataset::parse_with("text", text, labels).unwrap();
            let rows = (0..4).map(|row| dataset.row(row).label).collect::<Vec<_>>();
            (rows, dataset.class_count())
        };
        assert_eq!(labels(Labels::Classes), (vec![1.0, 0.0, 2.0, 1.0], 3));
        assert_eq!(labels(Labels::Real), (vec![3.0, -1.5, 7.0, 3.0], 0));
        let error = |text: &str| {
            Dataset::parse_with("text", text, Labels::Classes).unwrap_err().to_string()
        };
        assert!(error("1 1:1\n").starts_with("text has 1 distinct labels: give"));
        let many: String = (0..100).map(|row| format!("{row} 1:1\n")).collect();
        assert!(error(&many).starts_with("text has 100 distinct labels: give a file with 2 to"));
    }

    #[test]
    fn classes_keep_their_labels_in_the_order_of_their_numbers() {
        let names = |text: &str, labels| {
            let dataset = Dataset::parse_with("text", text, labels).unwrap();
            dataset.class_names().to_vec()
        };
        assert_eq!(names("+1 1:1\n-1 1:2\n1 1:2\n", Labels::Binary), ["-1", "+1"]);
        assert_eq!(names("10 1:1\n7 1:2\n9.0 1:2\n", Labels::Classes), ["7", "9.0", "10"]);
        assert!(names("10 1:1\n7 1:2\n", Labels::Real).is_empty());
        let digits = |labels| Dataset::load_with("digits", labels).unwrap();
        assert_eq!(digits(Labels::Binary).class_names(), ["even", "odd"]);
        let names = digits(Labels::Classes).hold_out(9).unwrap().1.class_names().join("");
        assert_eq!(names, "0123456789");
        assert!(digits(Labels::Classes).column_names().is_empty());
    }

    #[test]
    fn last_rows_are_held_out() {
        let digits = Dataset::load_with("digits", Labels::Classes).unwrap();
        let (training, test) = digits.clone().hold_out(300).unwrap();
        assert_eq!((training.row_count(), test.row_count(), test.dimension()), (1497, 300, 64));
        for (row, held) in (1497..1797).zip(0..) {
            let (row, held) = (digits.row(row), test.row(held));
            assert_eq!(
                (row.columns, row.values, row.label),
                (held.columns, held.values, held.label)
            );
        }
        assert_eq!(training.rows.values.len(), training.rows.starts[1497]);
        let error = digits.hold_out(1797).unwrap_err().to_string();
        assert!(error.contains("--test-rows 1797 does not fit the 1\u{202f}797 rows"), "{error}");
    }

    #[test]
    fn column_of_ones_is_last() {
        let dataset = Dataset::parse("two", "1 1:3 4:4\n0 3:0\n").unwrap().with_ones();
        assert_eq!((dataset.dimension(), dataset.row_count()), (5, 2));
        assert_eq!(dataset.row(0).entries().collect::<Vec<_>>(), [(0, 3.0), (3, 4.0), (4, 1.0)]);
        assert_eq!(dataset.row(1).entries().collect::<Vec<_>>(), [(4, 1.0)]);
    }
}
