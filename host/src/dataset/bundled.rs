//! The data sets inside the program; `host/data/README.md` names their sources and licences.

use super::{Dataset, DatasetError, Labels, libsvm};

/// A data set inside the program.
pub(super) struct Bundled {
    name: &'static str,
    text: &'static str,
    load: fn(&Bundled, Labels) -> Result<Dataset, DatasetError>,
}

const SETS: [Bundled; 2] = [
    Bundled { name: "digits", text: include_str!("../../data/digits.libsvm"), load: digits },
    Bundled {
        name: "breast-cancer",
        text: include_str!("../../data/breast-cancer.libsvm"),
        load: |set, labels| Dataset::parse_with(set.name, set.text, labels),
    },
];

/// The pixels of `digits` are counts of 0..=16, its features pixels divided by 16.
const PIXEL_MAX: f64 = 16.0;

fn digits(set: &Bundled, labels: Labels) -> Result<Dataset, DatasetError> {
    let mut table = libsvm::parse(set.name, set.text)?;
    table.rows.values.iter_mut().for_each(|pixel| *pixel /= PIXEL_MAX);
    if labels == Labels::Binary {
        table.labels.iter_mut().for_each(|digit| *digit %= 2.0);
    }
    Dataset::label(set.name, table, labels)
}

impl Bundled {
    pub fn load(&self, labels: Labels) -> Result<Dataset, DatasetError> {
        (self.load)(self, labels)
    }
}

/// The bundled set of this name.
pub(super) fn find(name: &str) -> Option<&'static Bundled> {
    const { &SETS }.iter().find(|set| set.name == name)
}

/// Their names, for a sentence.
pub(super) fn names() -> String {
    SETS.map(|set| set.name).join(", ")
}

#[cfg(test)]
mod tests {
    use crate::dataset::Dataset;

    fn positives(dataset: &Dataset) -> usize {
        (0..dataset.row_count()).filter(|&row| dataset.row(row).label == 1.0).count()
    }

    #[test]
    fn the_bundled_sets_are_whole() {
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
}
