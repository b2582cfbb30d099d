//! The bundled data sets; `host/data/README.md` names their sources and licences.

use super::data::Dataset;
use super::error::DatasetError;
use super::labels::Labels;
use super::libsvm;
use super::preparation::Scaling;
use super::prepare;

/// A bundled data set.
pub(super) struct Bundled {
    name: &'static str,
    text: &'static str,
    load: fn(&Bundled, Labels) -> Result<Dataset, DatasetError>,
}

const BREAST_CANCER: &str = include_str!("../../../data/breast-cancer.libsvm");

const SETS: [Bundled; 4] = [
    Bundled { name: "digits", text: include_str!("../../../data/digits.libsvm"), load: digits },
    Bundled { name: "breast-cancer", text: BREAST_CANCER, load: plain },
    Bundled { name: "breast-cancer-standardised", text: BREAST_CANCER, load: standardised },
    Bundled {
        name: "tight-quadratics",
        text: include_str!("../../../data/tight-quadratics.libsvm"),
        load: synthetic,
    },
];

/// The largest pixel of `digits`. Its features are pixels divided by this.
const PIXEL_MAX: f64 = 16.0;

fn plain(set: &Bundled, labels: Labels) -> Result<Dataset, DatasetError> {
    Dataset::parse_with(set.name, set.text, labels)
}

fn synthetic(set: &Bundled, labels: Labels) -> Result<Dataset, DatasetError> {
    Ok(Dataset { is_synthetic: true, ..plain(set, labels)? })
}

fn digits(set: &Bundled, labels: Labels) -> Result<Dataset, DatasetError> {
    let mut table = libsvm::parse(set.name, set.text)?;
    match labels {
        Labels::Binary => {
            let is_odd = |digit: &str| digit.parse().is_ok_and(|digit: f64| digit % 2.0 == 1.0);
            table.labels =
                table.labels.map(|digit| if is_odd(digit) { "odd" } else { "even" }.into());
        }
        Labels::Classes | Labels::Real => {}
    }
    let mut dataset = Dataset::of(set.name, table, labels)?;
    let scaling = Scaling { centre: 0.0, scale: PIXEL_MAX };
    dataset.preparation.scaling = vec![scaling; dataset.dimension()];
    Ok(dataset)
}

/// Columns have mean 0 and standard deviation 1 over all rows.
fn standardised(set: &Bundled, labels: Labels) -> Result<Dataset, DatasetError> {
    let mut dataset = plain(set, labels)?;
    dataset.preparation.scaling = prepare::standard(&dataset);
    Ok(dataset)
}

impl Bundled {
    /// Loads the rows as in the file. Their preparation has the scaling of the set.
    pub(super) fn load(&self, labels: Labels) -> Result<Dataset, DatasetError> {
        (self.load)(self, labels)
    }
}

/// Returns the bundled set of this name.
pub(super) fn find(name: &str) -> Option<&'static Bundled> {
    const { &SETS }.iter().find(|set| set.name == name)
}

/// Lists the names of the bundled data sets, for a sentence.
pub fn names() -> String {
    SETS.map(|set| set.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::SETS;
    use crate::problem::dataset::preparation::dense;
    use crate::problem::dataset::{Dataset, Labels, Roles};

    #[test]
    fn rows_of_a_set_are_predicted_as_rows_of_its_file() {
        for set in SETS {
            let raw = Dataset::load_raw(set.name, Labels::Real, Roles::default()).unwrap();
            let rows = raw.preparation().read_bytes("rows", set.text.as_bytes(), None).unwrap();
            let dataset = Dataset::load_with(set.name, Labels::Real).unwrap();
            let same = raw.preparation().read(set.name, Labels::Real, None).unwrap();
            for row in 0..dataset.row_count() {
                let mut features = vec![0.0; dataset.dimension()];
                dense(dataset.row(row).entries(), &mut features);
                assert_eq!(rows.features(row), features, "{} {row}", set.name);
                assert_eq!(same.features(row), features, "{} {row}", set.name);
            }
        }
    }

    fn positives(dataset: &Dataset) -> usize {
        (0..dataset.row_count()).filter(|&row| dataset.row(row).label == 1.0).count()
    }

    #[test]
    fn bundled_sets_are_complete() {
        let digits = Dataset::load("digits").unwrap();
        assert_eq!((digits.row_count(), digits.dimension()), (1797, 64));
        assert_eq!(positives(&digits), 182 + 183 + 182 + 179 + 180);
        let largest = digits.row(0).values.iter().copied().fold(0.0, f64::max);
        assert_eq!(largest, 15.0 / 16.0);

        let cancer = Dataset::load("breast-cancer").unwrap();
        assert_eq!((cancer.row_count(), cancer.dimension()), (569, 30));
        assert_eq!(positives(&cancer), 357);
        assert_eq!(cancer.row(0).values[3], 1001.0);
    }

    #[test]
    fn standardised_columns_have_mean_0_and_variance_1() {
        let set = Dataset::load("breast-cancer-standardised").unwrap();
        assert_eq!((set.row_count(), set.dimension(), positives(&set)), (569, 30, 357));
        let (mut sums, mut squares) = ([0.0; 30], [0.0; 30]);
        for (column, value) in (0..569).flat_map(|row| set.row(row).entries()) {
            sums[column] += value;
            squares[column] += value * value;
        }
        assert!(sums.iter().all(|sum: &f64| sum.abs() < 1e-9));
        assert!(squares.iter().all(|square: &f64| (square / 569.0 - 1.0).abs() < 1e-9));
    }
}
