//! Quantisation of f64 rows to the integers of a shard.
//!
//! A feature is stored as an integer q with `a ≈ q · scale[column]`. Measured data are mostly multiples of some unit:
//! counts, sixteenths, hundredths of a millimetre, the two values of a one-hot column. So each column is first
//! searched for a unit of which all its entries are multiples up to 2^15 − 1. A column that has one is stored exactly.
//! One that has none is rounded to multiples of max|a| / (2^(b−1) − 1), b the number of bits allowed, an error of at
//! most half of that. Among the notations that hold the integers found (width 0, 8, 16 or 32 bits, dense or sparse)
//! the shard takes the one with the fewest bytes. Labels are one more column, which may take words: there is only one
//! in a row.

use super::data::Dataset;
use smidgen_aggregator::ratio::{ratio, real};
use smidgen_firmware::bias_scale;
use smidgen_protocol::shard::{Columns, Header, Shard, Values, Width};

/// A shard and its quantisation error.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// The shard.
    pub bytes: Vec<u8>,
    /// Its shape.
    pub header: Header,
    /// The largest |stored − original| of a feature, relative to the largest magnitude of its column.
    pub error_max: f64,
}

/// Largest error of an exact column beyond the rounding of the scale itself, relative to the column's largest
/// magnitude.
const EXACT: f64 = 1.0 / (1 << 30) as f64;

/// Quantises the rows of one worker. Columns without a unit use integers of `width`.
///
/// [`Width::I16`] is a good default: an error of 2^-16 of a column's largest magnitude is far below measurement
/// errors, and a shard of half words fits small boards.
///
/// # Panics
/// If there are no rows, or more than 2^32 entries.
pub fn quantise(dataset: &Dataset, rows: &[usize], width: Width) -> Quantised {
    assert!(!rows.is_empty(), "a worker has at least one row");
    let grids = grids(dataset, rows, width);
    let labels: Vec<f64> = rows.iter().map(|&row| dataset.row(row).label).collect();
    let target = target(&labels, dataset.class_count());
    let shape = smallest(dataset, rows, &grids);
    let header = Header { label_width: target.width, classes: dataset.class_count(), ..shape };
    let bytes = emit(dataset, rows, header, &grids, target);
    let error_max = rows
        .iter()
        .flat_map(|&row| dataset.row(row).entries())
        .map(|(column, real)| grids[column].error(real))
        .fold(0.0, f64::max);
    Quantised { bytes, header, error_max }
}

/// The contents of a shard as reals.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Listed entries, in the order of the rows.
    pub values: Vec<f64>,
    /// Label of each row.
    pub labels: Vec<f64>,
    /// Unit of each column; 0 if it has no entry.
    pub scales: Vec<f64>,
    /// The unit of the input of a bias.
    pub bias_scale: f64,
}

/// Returns the rows of one worker as [`quantise`] stores them.
pub fn held(dataset: &Dataset, rows: &[usize], width: Width) -> Held {
    let grids = grids(dataset, rows, width);
    let entries = rows.iter().flat_map(|&row| dataset.row(row).entries());
    let values = entries.map(|(column, real)| grids[column].stored(real)).collect();
    let mut labels: Vec<f64> = rows.iter().map(|&row| dataset.row(row).label).collect();
    if dataset.class_count() == 0 {
        let target = target(&labels, 0);
        labels.iter_mut().for_each(|label| *label = target.stored(*label));
    }
    let bias_scale = real(bias_scale(smallest(dataset, rows, &grids).width));
    Held { values, labels, scales: grids.iter().map(|grid| grid.unit).collect(), bias_scale }
}

/// The grid of a column: multiples of a unit.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// The unit, as stored in the shard.
    unit: f64,
    /// The largest magnitude in the column.
    max: f64,
    /// The narrowest integers that hold every entry.
    width: Width,
}

impl Grid {
    fn integer(self, real: f64) -> i32 {
        (real / self.unit).round() as i32
    }

    /// Returns the stored value of a real.
    fn stored(self, real: f64) -> f64 {
        f64::from(self.integer(real)) * self.unit
    }

    /// Returns |stored − original| relative to the column's largest magnitude.
    fn error(self, real: f64) -> f64 {
        (self.stored(real) - real).abs() / self.max
    }
}

fn grids(dataset: &Dataset, rows: &[usize], width: Width) -> Vec<Grid> {
    let mut columns = vec![Vec::new(); dataset.dimension()];
    for (column, real) in rows.iter().flat_map(|&row| dataset.row(row).entries()) {
        columns[column].push(real);
    }
    columns.iter().map(|column| grid(column, width)).collect()
}

/// Returns the grid of labels: integers for classes; bits for two classes, and for two target values of which one is 0.
fn target(labels: &[f64], classes: u8) -> Grid {
    let max = labels.iter().fold(0.0, |max: f64, label| max.max(label.abs()));
    match classes {
        0 if labels.iter().all(|&label| label == 0.0 || label == max) => {
            Grid { unit: real(ratio(max)), max, width: Width::Unit }
        }
        0 => grid(labels, Width::I32),
        2 => Grid { unit: 1.0, max, width: Width::Unit },
        _ => Grid { unit: 1.0, max, width: Width::I8 },
    }
}

fn grid(column: &[f64], width: Width) -> Grid {
    let max = column.iter().fold(0.0, |max: f64, real| max.max(real.abs()));
    let Some(&first) = column.first() else { return Grid { unit: 0.0, max, width: Width::Unit } };
    let fitted = |unit: f64, width| Grid { unit: real(ratio(unit)), max, width };
    if column.iter().all(|&real| real == first) {
        return fitted(first, Width::Unit);
    }
    let narrow = unit(column, max).and_then(|unit| {
        let grid = fitted(unit, width_of(max / unit)?);
        let exact = column.iter().all(|&real| grid.error(real) <= EXACT);
        exact.then_some(grid)
    });
    narrow.unwrap_or_else(|| fitted(max / limit(width), width))
}

/// Returns the largest integer of a width.
fn limit(width: Width) -> f64 {
    f64::from(match width {
        Width::Unit => 1,
        Width::I8 => i32::from(i8::MAX),
        Width::I16 => i32::from(i16::MAX),
        Width::I32 => i32::MAX,
    })
}

/// Returns the width for quotients up to this one, or `None` if a column cannot be exact.
fn width_of(quotient: f64) -> Option<Width> {
    [Width::I8, Width::I16].into_iter().find(|&width| quotient.round() <= limit(width))
}

/// Returns the greatest common divisor of a column, by Euclid's algorithm on f64, in which a remainder that is
/// negligible relative to `max` counts as zero. Returns `None` if the divisor becomes too small.
pub(super) fn unit(column: &[f64], max: f64) -> Option<f64> {
    let nothing = max * EXACT;
    column.iter().try_fold(max, |divisor, real| {
        let (mut larger, mut smaller) = (divisor, real.abs() % divisor);
        // A remainder close to the divisor comes from a multiple that was rounded down.
        while smaller > nothing && larger - smaller > nothing {
            (larger, smaller) = (smaller, larger % smaller);
        }
        // `max` is a multiple, so dividing it removes the accumulated rounding errors of the remainders.
        let quotient = (max / larger).round();
        (quotient <= limit(Width::I16)).then(|| max / quotient)
    })
}

/// Returns the shape with the fewest bytes, without labels, that can hold the integers of all columns.
fn smallest(dataset: &Dataset, rows: &[usize], grids: &[Grid]) -> Header {
    let width = grids.iter().map(|grid| grid.width).max_by_key(|&width| width as u32);
    let width = width.unwrap_or(Width::Unit);
    let (row_count, dimension) = (rows.len() as u32, grids.len() as u32);
    let listed = rows.iter().map(|&row| dataset.row(row).columns.len()).sum::<usize>();
    let sparse = Header {
        rows: row_count,
        dimension,
        sparse: true,
        width,
        nonzeros: u32::try_from(listed).expect("a shard lists fewer than 2^32 entries"),
        label_width: Width::Unit,
        classes: 0,
    };
    let dense_width = if width.stores_features() { width } else { Width::I8 };
    let dense = row_count.checked_mul(dimension).map(|nonzeros| Header {
        sparse: false,
        width: dense_width,
        nonzeros,
        ..sparse
    });
    let len = |header: &Header| header.sections().map_or(usize::MAX, |sections| sections.len);
    // If equal, the dense shape: a board reads it faster.
    dense.filter(|dense| len(dense) <= len(&sparse)).unwrap_or(sparse)
}

fn emit(
    dataset: &Dataset,
    rows: &[usize],
    header: Header,
    grids: &[Grid],
    target: Grid,
) -> Vec<u8> {
    let at = header.sections().expect("a shard fits this machine");
    let mut bytes = vec![0; at.len];
    bytes[..Header::LEN].copy_from_slice(&header.emit());
    let scales = || grids.iter().chain([&target]).map(|grid| ratio(grid.unit));
    fill(&mut bytes[at.scale_mantissas], scales().map(|scale| scale.mantissa.to_le_bytes()));
    fill(&mut bytes[at.scale_exponents], scales().map(|scale| scale.exponent.to_le_bytes()));
    let labels = rows.iter().map(|&row| target.integer(dataset.row(row).label)).collect::<Vec<_>>();
    match header.label_width {
        Width::Unit => fill(&mut bytes[at.labels], labels.chunks(8).map(|bits| [octet(bits)])),
        width => fill_integers(&mut bytes[at.labels], width, &labels),
    }
    fill_integers(&mut bytes[at.values], header.width, &integers(dataset, rows, header, grids));
    if header.sparse {
        let rows = || rows.iter().map(|&row| dataset.row(row));
        let columns = || rows().flat_map(|row| row.columns);
        fill(&mut bytes[at.counts], rows().map(|row| entry_count(row.columns)));
        match header.wide_index() {
            false => fill(&mut bytes[at.indices], columns().map(|&column| [column as u8])),
            true => fill(&mut bytes[at.indices], columns().map(|column| column.to_le_bytes())),
        }
    }
    bytes
}

/// Returns the integers in the order of the shard's values.
fn integers(dataset: &Dataset, rows: &[usize], header: Header, grids: &[Grid]) -> Vec<i32> {
    let mut integers = Vec::with_capacity(header.nonzeros as usize);
    for &row in rows {
        let entries = dataset.row(row).entries();
        let entries = entries.map(|(column, real)| (column, grids[column].integer(real)));
        if header.sparse {
            integers.extend(entries.map(|(_, integer)| integer));
        } else {
            let start = integers.len();
            integers.resize(start + grids.len(), 0);
            entries.for_each(|(column, integer)| integers[start + column] = integer);
        }
    }
    integers
}

fn entry_count(columns: &[u16]) -> [u8; 2] {
    u16::try_from(columns.len()).expect("a row lists fewer than 2^16 entries").to_le_bytes()
}

/// Packs eight bits, lowest first.
fn octet(bits: &[i32]) -> u8 {
    bits.iter().rev().fold(0, |octet, &bit| octet << 1 | bit as u8)
}

fn fill_integers(section: &mut [u8], width: Width, integers: &[i32]) {
    let integers = integers.iter();
    match width {
        Width::Unit => {}
        Width::I8 => fill(section, integers.map(|&q| (q as i8).to_le_bytes())),
        Width::I16 => fill(section, integers.map(|&q| (q as i16).to_le_bytes())),
        Width::I32 => fill(section, integers.map(|&q| q.to_le_bytes())),
    }
}

fn fill<const N: usize>(section: &mut [u8], items: impl Iterator<Item = [u8; N]>) {
    for (place, item) in section.as_chunks_mut().0.iter_mut().zip(items) {
        *place = item;
    }
}

/// Returns the features of a shard as dense rows of reals, as the worker reads them.
pub fn dequantise(shard: &Shard<'_>) -> Vec<Vec<f64>> {
    let dimension = shard.header.dimension as usize;
    let mut integers = integers_of(shard).into_iter();
    let scales: Vec<f64> = (0..dimension).map(|column| real(shard.scale(column))).collect();
    columns_of(shard)
        .into_iter()
        .map(|columns| {
            let mut row = vec![0.0; dimension];
            for (column, integer) in columns.into_iter().zip(&mut integers) {
                row[column] = f64::from(integer) * scales[column];
            }
            row
        })
        .collect()
}

fn integers_of(shard: &Shard<'_>) -> Vec<i32> {
    match shard.values {
        Values::Unit => vec![1; shard.header.nonzeros as usize],
        Values::I8(values) => values.iter().copied().map(i32::from).collect(),
        Values::I16(values) => values.iter().copied().map(i32::from).collect(),
        Values::I32(values) => values.to_vec(),
    }
}

fn columns_of(shard: &Shard<'_>) -> Vec<Vec<usize>> {
    fn rows<T: Copy + Into<usize>>(counts: &[u16], mut indices: &[T]) -> Vec<Vec<usize>> {
        let mut take = |&count: &u16| {
            let (row, rest) = indices.split_at(usize::from(count));
            indices = rest;
            row.iter().copied().map(Into::into).collect()
        };
        counts.iter().map(&mut take).collect()
    }
    match shard.columns {
        Columns::Dense => {
            vec![(0..shard.header.dimension as usize).collect(); shard.header.rows as usize]
        }
        Columns::U8(counts, indices) => rows(counts, indices),
        Columns::U16(counts, indices) => rows(counts, indices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Split;
    use crate::problem::dataset::Labels;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Returns the features read from bytes that are laid out as on a board.
    fn stored(quantised: &Quantised) -> Vec<Vec<f64>> {
        let mut words = vec![0u32; quantised.bytes.len() / 4];
        bytemuck::cast_slice_mut(&mut words).copy_from_slice(&quantised.bytes);
        let shard = Shard::open(bytemuck::cast_slice(&words)).unwrap();
        shard.check().unwrap();
        dequantise(&shard)
    }

    fn dense(dataset: &Dataset, row: usize) -> Vec<f64> {
        let mut dense = vec![0.0; dataset.dimension()];
        dataset.row(row).entries().for_each(|(column, real)| dense[column] = real);
        dense
    }

    fn whole(text: &str, width: Width) -> (Dataset, Quantised) {
        let dataset = Dataset::parse("text", text).unwrap();
        let rows: Vec<usize> = (0..dataset.row_count()).collect();
        let quantised = quantise(&dataset, &rows, width);
        (dataset, quantised)
    }

    #[test]
    fn digits_are_exact_in_bytes() {
        let digits = Dataset::load("digits").unwrap();
        for rows in digits.deal(&Split::Contiguous, 4).unwrap() {
            let quantised = quantise(&digits, &rows, Width::I16);
            assert_eq!((quantised.header.width, quantised.error_max), (Width::I8, 0.0));
            let expected: Vec<_> = rows.iter().map(|&row| dense(&digits, row)).collect();
            assert_eq!(stored(&quantised), expected);
        }
    }

    /// Returns the labels that are read, and their width.
    fn labels(text: &str, labels: Labels) -> (Vec<f64>, Width) {
        let dataset = Dataset::parse_with("text", text, labels).unwrap();
        let rows: Vec<usize> = (0..dataset.row_count()).collect();
        let quantised = quantise(&dataset, &rows, Width::I16);
        let mut words = vec![0u32; quantised.bytes.len() / 4];
        bytemuck::cast_slice_mut(&mut words).copy_from_slice(&quantised.bytes);
        let shard = Shard::open(bytemuck::cast_slice(&words)).unwrap();
        shard.check().unwrap();
        let scale = real(shard.label_scale());
        let label = |row| f64::from(shard.label(row)) * scale;
        ((0..rows.len()).map(label).collect(), quantised.header.label_width)
    }

    #[test]
    fn labels_take_bits_bytes_or_words() {
        let text = |labels: &[&str]| labels.iter().map(|label| format!("{label} 1:1\n")).collect();
        let binary: String = text(&["-1", "1", "1", "-1", "1", "-1", "-1", "1", "1", "-1"]);
        let signs = vec![0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(labels(&binary, Labels::Binary), (signs, Width::Unit));
        let digits: String = text(&["3", "0", "7", "3"]);
        assert_eq!(labels(&digits, Labels::Classes), (vec![1.0, 0.0, 2.0, 1.0], Width::I8));
        assert_eq!(labels(&digits, Labels::Real), (vec![3.0, 0.0, 7.0, 3.0], Width::I8));
        assert_eq!(labels(&text(&["0", "0"]), Labels::Real), (vec![0.0; 2], Width::Unit));
        assert_eq!(labels(&text(&["0", "2.5"]), Labels::Real), (vec![0.0, 2.5], Width::Unit));
        let (found, width) = labels(&text(&["3.25159265", "-2.61828183", "0"]), Labels::Real);
        assert_eq!(width, Width::I32);
        let close = |(a, b): (f64, f64)| (a - b).abs() < 1e-8;
        assert!(found.into_iter().zip([3.25159265, -2.61828183, 0.0]).all(close));
    }

    #[test]
    fn held_labels_are_those_of_the_shard() {
        for (text, kind) in [
            ("3.25159265 1:1\n-2.61828183 1:2\n0 1:3\n", Labels::Real),
            ("0 1:1\n2.5 1:2\n", Labels::Real),
            ("-1 1:1\n1 1:2\n", Labels::Binary),
            ("3 1:1\n0 1:2\n7 1:3\n", Labels::Classes),
        ] {
            let dataset = Dataset::parse_with("text", text, kind).unwrap();
            let rows: Vec<usize> = (0..dataset.row_count()).collect();
            assert_eq!(held(&dataset, &rows, Width::I16).labels, labels(text, kind).0, "{text}");
        }
    }

    #[test]
    fn columns_with_one_value_need_no_values() {
        let text = "1 3:0.18257\n0 3:0.18257 300:-7\n0 300:-7\n";
        let (_, quantised) = whole(text, Width::I16);
        let Header { sparse, width, nonzeros, .. } = quantised.header;
        assert_eq!((sparse, width, nonzeros), (true, Width::Unit, 4));
        assert!(quantised.error_max < 2f64.powi(-31));
        assert_eq!(stored(&quantised)[2][299], -7.0);
    }

    #[test]
    fn decimals_are_stored_exactly() {
        let text = "1 1:22.08 2:0.085 3:-3\n0 1:80.25 2:28.000 3:3\n1 1:0.01 2:1.835 3:6\n";
        let (dataset, quantised) = whole(text, Width::I16);
        assert_eq!((quantised.header.width, quantised.header.sparse), (Width::I16, false));
        assert!(quantised.error_max < EXACT);
        let rows = stored(&quantised);
        assert!((rows[0][1] - 0.085).abs() < 1e-8 && rows[1][2] == dataset.row(1).values[2]);
    }

    #[test]
    fn columns_without_a_unit_are_rounded() {
        let text = "1 1:3.14159265 2:1\n0 1:2.71828183 2:0.5\n0 1:-1.41421356 2:2.5\n";
        let (_, halves) = whole(text, Width::I16);
        assert_eq!(halves.header.width, Width::I16);
        assert!(halves.error_max > 2f64.powi(-20) && halves.error_max < 2f64.powi(-15));
        let (_, words) = whole(text, Width::I32);
        assert_eq!(words.header.width, Width::I32);
        assert!(words.error_max < 2f64.powi(-30));
        let (_, bytes) = whole(text, Width::I8);
        assert_eq!(bytes.header.width, Width::I8);
        assert!(bytes.error_max < 2f64.powi(-7));
    }

    #[test]
    fn shorter_of_dense_and_sparse_is_used() {
        let (_, dense) = whole("1 1:1 2:2 3:3\n0 1:4 2:5 3:6\n", Width::I16);
        assert!(!dense.header.sparse);
        let (_, sparse) = whole("1 1:1 90:2\n0 1:4 90:5\n", Width::I16);
        assert!(sparse.header.sparse);
    }

    /// Up to nine rows of up to 300 columns, with multiples of a unit or arbitrary values.
    fn rows() -> impl Strategy<Value = Vec<BTreeMap<usize, f64>>> {
        let unit = prop_oneof![Just(1.0), Just(0.01), Just(0.0625), Just(1.0 / 3.0)];
        let value = prop_oneof![
            (unit, -3000i32..3000).prop_map(|(unit, times)| unit * f64::from(times)),
            -1e5..1e5f64,
        ];
        prop::collection::vec(prop::collection::btree_map(1usize..300, value, 1..40), 2..9)
    }

    fn text(rows: &[BTreeMap<usize, f64>]) -> String {
        let mut text = String::new();
        for (row, entries) in rows.iter().enumerate() {
            text += &format!("{}", row % 2);
            entries.iter().for_each(|(index, value)| text += &format!(" {index}:{value}"));
            text.push('\n');
        }
        text
    }

    proptest! {
        #[test]
        fn quantised_rows_round_trip(
            rows in rows(),
            width in prop_oneof![Just(Width::I8), Just(Width::I16), Just(Width::I32)],
        ) {
            let (dataset, quantised) = whole(&text(&rows), width);
            let bound = 0.5 / limit(width) + EXACT;
            prop_assert!(quantised.error_max <= bound, "{} > {bound}", quantised.error_max);
            let stored = stored(&quantised);
            let original: Vec<_> = (0..rows.len()).map(|row| dense(&dataset, row)).collect();
            for column in 0..dataset.dimension() {
                let max = original.iter().fold(0.0, |max: f64, row| max.max(row[column].abs()));
                for (stored, original) in stored.iter().zip(&original) {
                    let error = (stored[column] - original[column]).abs();
                    prop_assert!(error <= quantised.error_max * max * (1.0 + 1e-12));
                }
            }
            let order: Vec<usize> = (0..rows.len()).collect();
            let mut held = held(&dataset, &order, width).values.into_iter();
            for (row, stored) in stored.iter().enumerate() {
                for (column, _) in dataset.row(row).entries() {
                    prop_assert_eq!(held.next(), Some(stored[column]));
                }
            }
        }
    }
}
