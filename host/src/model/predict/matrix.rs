//! The confusion matrix of a classifier, in at most 80 columns.

use crate::units::shown::shown;
use std::cmp::Reverse;
use std::fmt;

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Maximum width of the names of rows.
const NAME_WIDTH_MAX: usize = 16;
/// Number of confusions that are listed if the matrix is too wide.
const LISTED_MAX: usize = 20;

/// Writes how often each class was predicted for rows of each class; of `pairs` the first is the label.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    classes: &[String],
    pairs: impl Iterator<Item = (usize, usize)>,
) -> fmt::Result {
    let names: Vec<String> = classes.iter().map(|class| shown(class).to_string()).collect();
    let mut counts = vec![vec![0u64; names.len()]; names.len()];
    pairs.for_each(|(label, predicted)| counts[label][predicted] += 1);
    let name_width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let name_width = name_width.clamp(LABEL.len(), NAME_WIDTH_MAX);
    let largest = counts.iter().flatten().max().map_or(1, |count| count.to_string().len());
    let room = (WIDTH - name_width) / names.len();
    let wanted = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(largest) + 2;
    if room > largest {
        matrix(f, &names, &counts, name_width, wanted.min(room))
    } else {
        list(f, &names, &counts)
    }
}

/// Head of the column of labels.
const LABEL: &str = "label";

fn matrix(
    f: &mut fmt::Formatter<'_>,
    names: &[String],
    counts: &[Vec<u64>],
    name_width: usize,
    width: usize,
) -> fmt::Result {
    write!(f, "{LABEL:<name_width$}")?;
    for name in names {
        write!(f, "{:>width$}", cut(name, width - 1))?;
    }
    for (name, counts) in names.iter().zip(counts) {
        write!(f, "\n{:<name_width$}", cut(name, name_width))?;
        for count in counts {
            write!(f, "{count:>width$}")?;
        }
    }
    write!(f, "\n(a row for each class, a column for each prediction)")
}

/// Lists the most frequent confusions.
fn list(f: &mut fmt::Formatter<'_>, names: &[String], counts: &[Vec<u64>]) -> fmt::Result {
    let classes = 0..names.len();
    let pairs = classes.clone().flat_map(|label| classes.clone().map(move |other| (label, other)));
    let wrong = pairs.filter(|&(label, other)| label != other && counts[label][other] > 0);
    let mut wrong: Vec<_> = wrong.collect();
    wrong.sort_by_key(|&(label, predicted)| Reverse(counts[label][predicted]));
    write!(f, "{} pairs of classes are confused", wrong.len())?;
    if wrong.len() > LISTED_MAX {
        write!(f, "; the {LISTED_MAX} most frequent")?;
    }
    f.write_str(":")?;
    for &(label, predicted) in wrong.iter().take(LISTED_MAX) {
        let [name, other] = [label, predicted].map(|class| cut(&names[class], 24));
        write!(f, "\n  {:>6} x  {name} was predicted as {other}", counts[label][predicted])?;
    }
    Ok(())
}

/// Shortens a name to a width.
fn cut(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.into();
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Matrix(Vec<String>, Vec<(usize, usize)>);

    impl fmt::Display for Matrix {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, &self.0, self.1.iter().copied())
        }
    }

    fn text(names: impl Iterator<Item = String>, pairs: &[(usize, usize)]) -> String {
        Matrix(names.collect(), pairs.into()).to_string()
    }

    #[test]
    fn matrix_counts_predictions_of_each_class() {
        let names = ["no", "yes"].map(String::from).into_iter();
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1)];
        let lines = "label   no  yes\nno       2    1\nyes      0    1\n(a row";
        assert!(text(names.clone(), &pairs).starts_with(lines), "{}", text(names, &pairs));
    }

    #[test]
    fn table_fits_a_terminal_for_any_classes() {
        for count in 2..=64 {
            for name_len in [1, 5, 15, 80] {
                for rows in [1, 12_345] {
                    let names = (0..count).map(|class| format!("{class}{}", "x".repeat(name_len)));
                    let pairs: Vec<_> = (0..count)
                        .flat_map(|k| vec![(k, k * 7 % count); rows / count + 1])
                        .collect();
                    let text = text(names, &pairs);
                    let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
                    assert!(longest <= WIDTH, "{count} classes: {longest} columns\n{text}");
                }
            }
        }
    }

    #[test]
    fn hostile_name_is_escaped() {
        let names = ["\u{1b}[2J", "b"].map(String::from).into_iter();
        assert!(!text(names, &[(0, 1)]).contains('\u{1b}'));
    }
}
