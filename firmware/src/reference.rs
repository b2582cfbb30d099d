//! Shared by the tests of objectives: generated data sets, and reference evaluations in f64.

use crate::data::Data;
use crate::objective::{Evaluation, Objective, ObjectiveInfo, ObjectiveSet};
use proptest::prelude::*;
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::{Header, Parts, Shard, Width};
use smidgen_protocol::vector::Ratio;
use std::ops::RangeInclusive;

/// A data set for a shard, with entries listed by row.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    pub dimension: usize,
    pub width: Width,
    pub sparse: bool,
    pub scales: Vec<Ratio>,
    pub classes: u8,
    pub label_width: Width,
    pub label_scale: Ratio,
    pub labels: Vec<i32>,
    pub entries: Vec<Vec<(usize, i32)>>,
}

impl Dataset {
    /// Encodes the shard, in words for alignment.
    pub(crate) fn shard(&self) -> Vec<u64> {
        let header = Header {
            rows: self.labels.len() as u32,
            dimension: self.dimension as u32,
            sparse: self.sparse,
            width: self.width,
            nonzeros: self.entries.iter().map(Vec::len).sum::<usize>() as u32,
            label_width: self.label_width,
            classes: self.classes,
        };
        let point = header.sections().expect("a small shard");
        let mut words = vec![0u64; point.len.div_ceil(8)];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        bytes[..Header::LEN].copy_from_slice(&header.emit());
        for (k, scale) in self.scales.iter().chain([&self.label_scale]).enumerate() {
            let (mantissa, exponent) = (point.scale_mantissas.start, point.scale_exponents.start);
            bytes[mantissa + 4 * k..][..4].copy_from_slice(&scale.mantissa.to_le_bytes());
            bytes[exponent + 2 * k..][..2].copy_from_slice(&scale.exponent.to_le_bytes());
        }
        for (j, label) in self.labels.iter().enumerate() {
            let (point, width) = (point.labels.start, self.label_width as usize);
            match self.label_width {
                Width::Unit => bytes[point + j / 8] |= (*label as u8) << (j % 8),
                _ => bytes[point + j * width..][..width]
                    .copy_from_slice(&label.to_le_bytes()[..width]),
            }
        }
        let (width, wide) = (self.width as usize, header.wide_index());
        for (n, (column, value)) in self.entries.iter().flatten().enumerate() {
            bytes[point.values.start + n * width..][..width]
                .copy_from_slice(&value.to_le_bytes()[..width]);
            if self.sparse {
                let size = if wide { 2 } else { 1 };
                bytes[point.indices.start + n * size..][..size]
                    .copy_from_slice(&column.to_le_bytes()[..size]);
            }
        }
        for (j, row) in self.entries.iter().enumerate().filter(|_| self.sparse) {
            bytes[point.counts.start + 2 * j..][..2]
                .copy_from_slice(&(row.len() as u16).to_le_bytes());
        }
        words
    }

    /// Length of the shard in bytes.
    pub(crate) fn len(&self) -> usize {
        let words = self.shard();
        let header = Header::parse(bytemuck::cast_slice(&words)).expect("a valid header");
        header.sections().expect("a small shard").len
    }

    /// The same rows with enough columns for two-byte indices.
    pub(crate) fn widened(&self) -> Self {
        let mut rows = self.clone();
        rows.dimension = rows.dimension.max(300);
        rows.scales.resize(rows.dimension, Ratio { mantissa: 1, exponent: 0 });
        rows
    }

    /// The rows in reverse order.
    pub(crate) fn reversed(&self) -> Self {
        let mut rows = self.clone();
        rows.labels.reverse();
        rows.entries.reverse();
        rows
    }
}

/// Rows as a board records them: values in two bytes, padding between rows, and masked rows.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    dimension: usize,
    classes: u8,
    stride: usize,
    values: Vec<i16>,
    labels: Vec<i8>,
    scale_mantissas: Vec<i32>,
    scale_exponents: Vec<i16>,
}

impl Recording {
    /// Records the rows of a data set in classes, those of `masked` too, with `padding` values after each.
    pub(crate) fn new(rows: &Dataset, masked: impl Fn(usize) -> bool, padding: usize) -> Self {
        let row = |row: &Vec<(usize, i32)>| {
            // What a masked row and the padding contain must not matter.
            let mut values = vec![-1; rows.dimension + padding];
            row.iter().for_each(|&(k, value)| values[k] = value as i16);
            values
        };
        let label = |(j, &label): (usize, &i32)| if masked(j) { -1 } else { label as i8 };
        let scales = || rows.scales.iter().chain([&rows.label_scale]);
        Self {
            dimension: rows.dimension,
            classes: rows.classes,
            stride: rows.dimension + padding,
            values: rows.entries.iter().flat_map(row).collect(),
            labels: rows.labels.iter().enumerate().map(label).collect(),
            scale_mantissas: scales().map(|scale| scale.mantissa).collect(),
            scale_exponents: scales().map(|scale| scale.exponent).collect(),
        }
    }

    /// The rows in place.
    pub(crate) fn shard(&self) -> Shard<'_> {
        let parts = Parts {
            dimension: self.dimension as u32,
            classes: self.classes,
            values: &self.values,
            stride: self.stride,
            labels: &self.labels,
            scale_mantissas: &self.scale_mantissas,
            scale_exponents: &self.scale_exponents,
        };
        Shard::from_parts(&parts).expect("consistent parts")
    }
}

impl Dataset {
    /// The rows as a board records them: dense, values in two bytes, labels in one.
    pub(crate) fn dense(mut self) -> Self {
        for row in &mut self.entries {
            let listed = core::mem::take(row);
            let value = |k| listed.iter().find(|entry| entry.0 == k).map_or(0, |entry| entry.1);
            *row = (0..self.dimension).map(|k| (k, i32::from(value(k) as i16))).collect();
        }
        Self { width: Width::I16, sparse: false, label_width: Width::I8, ..self }
    }

    /// The rows with the numbers that `keep` accepts.
    pub(crate) fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = (0..self.labels.len()).filter(|&row| keep(row));
        let kept = kept.map(|row| (self.labels[row], self.entries[row].clone()));
        let (labels, entries) = kept.unzip();
        Self { labels, entries, ..self.clone() }
    }
}

/// Inputs of an evaluation other than the rows.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub x: Vec<i32>,
    pub x_exponent: i8,
    pub gradient_exponent: i8,
    pub loss_exponent: i8,
    pub regulariser: Regulariser,
    pub lambda: Ratio,
}

/// Results of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub gradient: Vec<i32>,
    pub loss: i64,
    pub saturated: u32,
}

/// Returns whether an objective accepts the rows.
pub(crate) fn check<O: Objective>(rows: &Dataset, dimension: usize) -> bool {
    O::check(Data::Sent(&bytemuck::cast_slice(&rows.shard())[..rows.len()]), dimension)
}

/// Evaluates an objective on rows that it accepts.
pub(crate) fn evaluate<O: Objective + Default>(rows: &Dataset, point: &Point) -> Outcome {
    evaluate_selected::<O>(rows, point, Selection::ALL)
}

/// Evaluates a minibatch of `size` rows, and a shard with the rows of that minibatch.
pub(crate) fn minibatch<O: Objective + Default>(
    rows: &Dataset,
    point: &Point,
    size: u32,
) -> [Outcome; 2] {
    let selection = Batch { size, seed: 3 }.selection(1, 5);
    let kept: Vec<_> = selection.runs(rows.labels.len() as u32).flatten().collect();
    let alone = rows.filtered(|row| kept.contains(&(row as u32)));
    [evaluate_selected::<O>(rows, point, selection), evaluate::<O>(&alone, point)]
}

fn evaluate_selected<O: Objective + Default>(
    rows: &Dataset,
    point: &Point,
    selection: Selection,
) -> Outcome {
    let words = rows.shard();
    let data = Data::Sent(&bytemuck::cast_slice(&words)[..rows.len()]);
    assert!(O::check(data, point.x.len()));
    evaluate_data(&mut O::default(), &ObjectiveInfo::of::<O>(), data, point, selection)
}

/// Evaluates one of several objectives on data that it accepts.
pub(crate) fn evaluate_data(
    objectives: &mut impl ObjectiveSet,
    objective: &ObjectiveInfo,
    data: Data<'_>,
    point: &Point,
    selection: Selection,
) -> Outcome {
    let mut scratch = vec![-1; (objective.scratch_len)(point.x.len())];
    let (mut gradient, mut saturated) = (vec![-1; point.x.len()], 0);
    let loss = objectives.evaluate_named(Evaluation {
        objective: objective.name,
        x: &point.x,
        x_exponent: point.x_exponent,
        gradient: &mut gradient,
        gradient_exponent: point.gradient_exponent,
        loss_exponent: point.loss_exponent,
        regulariser: point.regulariser,
        lambda: point.lambda,
        data,
        rows: selection,
        scratch: &mut scratch,
        saturated: &mut saturated,
    });
    Outcome { gradient, loss, saturated }
}

pub(crate) fn real(ratio: Ratio) -> f64 {
    f64::from(ratio.mantissa) * f64::from(-ratio.exponent).exp2()
}

impl Point {
    pub(crate) fn reals(&self) -> Vec<f64> {
        let unit = f64::from(-i32::from(self.x_exponent)).exp2();
        self.x.iter().map(|&x| f64::from(x) * unit).collect()
    }
}

/// A row in f64.
pub(crate) struct Row {
    /// Columns and features.
    pub entries: Vec<(usize, f64)>,
    /// Class or target.
    pub label: f64,
    /// Sum of the magnitudes of its stored values.
    pub values: f64,
}

impl Row {
    /// aᵀx
    pub(crate) fn dot(&self, x: &[f64]) -> f64 {
        self.entries.iter().map(|&(k, a)| a * x[k]).sum()
    }
}

impl Dataset {
    /// The rows in f64.
    pub(crate) fn reals(&self) -> Vec<Row> {
        let row = |(row, &label): (&Vec<(usize, i32)>, &i32)| Row {
            entries: row.iter().map(|&(k, v)| (k, f64::from(v) * real(self.scales[k]))).collect(),
            label: f64::from(label) * if self.classes > 0 { 1.0 } else { real(self.label_scale) },
            values: row.iter().map(|&(_, value)| f64::from(value).abs()).sum(),
        };
        self.entries.iter().zip(&self.labels).map(row).collect()
    }

    /// Largest term of a margin for a stored value of 1; margins are rounded relative to it.
    pub(crate) fn top(&self, x: &[f64]) -> f64 {
        let terms = self.scales.iter().zip(x).map(|(&scale, x)| (real(scale) * x).abs());
        terms.fold(0.0, f64::max)
    }
}

impl Dataset {
    /// Bound of the rounding error of a row's margins in units of 2^-28, for models whose pieces end with a bias.
    pub(crate) fn margin_error(&self, row: &Row, x: &[f64]) -> f64 {
        let one = match self.width {
            Width::Unit => 0,
            width => 8 * width as i32 - 2,
        };
        let one = f64::from(one).exp2();
        let pieces = x.chunks(self.dimension + 1);
        let top =
            pieces.map(|x| self.top(x).max(x[self.dimension].abs() / one)).fold(0.0, f64::max);
        (row.values + one) * top
    }
}

/// A reference evaluation: each result with the largest intermediate quantity.
pub(crate) struct Reference {
    pub loss: (f64, f64),
    pub gradient: Vec<(f64, f64)>,
}

impl Reference {
    /// The regulariser alone.
    pub(crate) fn new(point: &Point) -> Self {
        let lambda = real(point.lambda);
        let part = |x: f64| match point.regulariser {
            Regulariser::Nonconvex => (x * x / (1.0 + x * x), 2.0 * x / (1.0 + x * x).powi(2)),
            Regulariser::L2 => (x * x / 2.0, x),
        };
        let parts: Vec<_> = point.reals().into_iter().map(part).collect();
        let loss = lambda * parts.iter().map(|part| part.0).sum::<f64>();
        let gradient = parts.iter().map(|part| (lambda * part.1, (lambda * part.1).abs()));
        Self { loss: (loss, loss.abs().max(1.0)), gradient: gradient.collect() }
    }

    pub(crate) fn add_loss(&mut self, loss: f64, largest: f64) {
        self.loss = (self.loss.0 + loss, self.loss.1.max(largest));
    }

    pub(crate) fn add_slope(&mut self, k: usize, slope: f64, largest: f64) {
        let gradient = &mut self.gradient[k];
        *gradient = (gradient.0 + slope, gradient.1.max(largest));
    }

    /// Asserts that results are within one and a half units plus 2^-28 of the largest intermediate quantity.
    pub(crate) fn assert_close(
        &self,
        outcome: &Outcome,
        point: &Point,
    ) -> Result<(), TestCaseError> {
        let range = f64::from(31 - i32::from(point.gradient_exponent)).exp2();
        for (k, (&mantissa, &exact)) in outcome.gradient.iter().zip(&self.gradient).enumerate() {
            let cut = (exact.0.clamp(-range, range), exact.1);
            prop_assert!(
                close(mantissa.into(), point.gradient_exponent, cut),
                "{k}: {mantissa} {exact:?}"
            );
        }
        let range = f64::from(63 - i32::from(point.loss_exponent)).exp2();
        let cut = (self.loss.0.clamp(-range, range), self.loss.1);
        prop_assert!(
            close(outcome.loss, point.loss_exponent, cut),
            "{} {:?}",
            outcome.loss,
            self.loss
        );
        Ok(())
    }
}

fn close(mantissa: i64, exponent: i8, (exact, largest): (f64, f64)) -> bool {
    let unit = f64::from(-i32::from(exponent)).exp2();
    (mantissa as f64 * unit - exact).abs() <= 1.5 * unit + largest * (-28f64).exp2()
}

/// Kind of labels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Labels {
    /// Classes, and their number.
    Classes(u8),
    /// Real targets of any width.
    Targets,
}

impl Labels {
    fn width(self) -> BoxedStrategy<Width> {
        match self {
            Self::Classes(2) => prop_oneof![Just(Width::Unit), Just(Width::I16)].boxed(),
            Self::Classes(_) => Just(Width::I8).boxed(),
            Self::Targets => {
                let widths = [Width::Unit, Width::I8, Width::I16, Width::I32];
                prop::sample::select(widths.to_vec()).boxed()
            }
        }
    }

    fn values(self, width: Width) -> RangeInclusive<i32> {
        match (self, width) {
            (Self::Classes(classes), _) => 0..=i32::from(classes) - 1,
            (_, Width::Unit) => 0..=1,
            (_, Width::I8) => -128..=127,
            (_, Width::I16) => -32768..=32767,
            (_, Width::I32) => i32::MIN..=i32::MAX,
        }
    }
}

fn widths() -> impl Strategy<Value = (Width, bool)> {
    prop_oneof![
        Just((Width::Unit, true)),
        (prop_oneof![Just(Width::I8), Just(Width::I16), Just(Width::I32)], any::<bool>()),
    ]
}

/// Data sets of every kind, with scales within a factor of 2^`range`.
pub(crate) fn datasets(
    dimension: impl Strategy<Value = usize>,
    labels: Labels,
    range: i16,
) -> impl Strategy<Value = Dataset> {
    let shape = (1usize..30, dimension, widths(), labels.width());
    shape.prop_flat_map(move |(n, dimension, (width, sparse), label_width)| {
        let value = move |value: i32| match width {
            Width::Unit => 1,
            Width::I8 => i32::from(value as i8),
            Width::I16 => i32::from(value as i16),
            Width::I32 => value,
        };
        let row = prop::collection::vec(any::<i32>().prop_map(value), dimension);
        let listed =
            prop::sample::subsequence((0..dimension).collect::<Vec<_>>(), 0..=dimension.min(30));
        let entries = (row, listed).prop_map(move |(row, listed)| {
            let columns = if sparse { listed } else { (0..dimension).collect() };
            columns.into_iter().map(|k| (k, row[k])).collect::<Vec<_>>()
        });
        let scale = move |width: Width| {
            let bits = 31 + 8 * width as i16;
            (any::<i32>(), bits - range..=bits + range)
                .prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent })
        };
        (
            prop::collection::vec(scale(width), dimension),
            scale(label_width),
            prop::collection::vec(labels.values(label_width), n),
            prop::collection::vec(entries, n),
        )
            .prop_map(move |(scales, label_scale, stored, entries)| Dataset {
                dimension,
                width,
                sparse,
                scales,
                classes: if let Labels::Classes(classes) = labels { classes } else { 0 },
                label_width,
                label_scale,
                labels: stored,
                entries,
            })
    })
}

/// Dimensions with one-byte and with two-byte indices.
pub(crate) fn dimensions() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..40, 250usize..300]
}

fn regularisers() -> impl Strategy<Value = Regulariser> {
    prop_oneof![Just(Regulariser::Nonconvex), Just(Regulariser::L2)]
}

/// Points at which nothing leaves its range, for rows with similar scales.
pub(crate) fn points(dimension: usize) -> impl Strategy<Value = Point> {
    let x = (any::<i32>(), 0u32..32).prop_map(|(x, shift)| x >> shift);
    // The slope λx of l2 is unbounded, and two terms of a gradient beyond 63 bits may cancel.
    let lambda =
        (any::<i32>(), 35i16..60).prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent });
    let exponents = (20i8..50, 0i8..30, 0i8..32);
    (prop::collection::vec(x, dimension), exponents, regularisers(), lambda).prop_map(
        |(x, (x_exponent, gradient_exponent, loss_exponent), regulariser, lambda)| Point {
            x,
            x_exponent,
            gradient_exponent,
            loss_exponent,
            regulariser,
            lambda,
        },
    )
}

/// Inputs for a comparison with f64; `weights` returns the dimension of the model.
pub(crate) fn moderate(
    rows: impl Strategy<Value = Dataset>,
    weights: fn(&Dataset) -> usize,
) -> impl Strategy<Value = (Dataset, Point)> {
    rows.prop_flat_map(move |rows| {
        let point = points(weights(&rows));
        (Just(rows), point)
    })
}

/// Any input that passes the check, with extreme numbers.
pub(crate) fn extreme(
    rows: impl Strategy<Value = Dataset>,
    weights: fn(&Dataset) -> usize,
) -> impl Strategy<Value = (Dataset, Point)> {
    let ratio = || {
        let mantissa = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -1..=1];
        let exponent = prop_oneof![any::<i16>(), Just(i16::MIN), Just(i16::MAX), -70i16..70];
        (mantissa, exponent).prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent })
    };
    rows.prop_flat_map(move |rows| {
        let x = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -1..=1];
        let exponents = [any::<i8>(), any::<i8>(), any::<i8>()];
        let scales = (prop::collection::vec(ratio(), rows.dimension), ratio());
        let x = prop::collection::vec(x, weights(&rows));
        let rest = (scales, x, exponents, regularisers(), ratio());
        (Just(rows), rest).prop_map(|(mut rows, (scales, x, exponents, regulariser, lambda))| {
            (rows.scales, rows.label_scale) = scales;
            let [x_exponent, gradient_exponent, loss_exponent] = exponents;
            let point =
                Point { x, x_exponent, gradient_exponent, loss_exponent, regulariser, lambda };
            (rows, point)
        })
    })
}
