//! The evaluation against a naive one in f64, on shards of every kind.

use super::*;
use proptest::prelude::*;
use smidgen_protocol::shard::{Header, Width};

/// A shard in the making: every row lists its entries.
#[derive(Clone, Debug)]
struct Rows {
    dimension: usize,
    width: Width,
    sparse: bool,
    scales: Vec<Ratio>,
    labels: Vec<bool>,
    entries: Vec<Vec<(usize, i32)>>,
}

impl Rows {
    /// The shard's bytes, in words so that they are aligned.
    fn shard(&self) -> Vec<u64> {
        let header = Header {
            rows: self.labels.len() as u32,
            dimension: self.dimension as u32,
            sparse: self.sparse,
            width: self.width,
            nonzeros: self.entries.iter().map(Vec::len).sum::<usize>() as u32,
        };
        let at = header.sections().unwrap();
        let mut words = vec![0u64; at.len.div_ceil(8)];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        bytes[..Header::LEN].copy_from_slice(&header.emit());
        for (k, scale) in self.scales.iter().enumerate() {
            let (mantissa, exponent) = (at.scale_mantissas.start, at.scale_exponents.start);
            bytes[mantissa + 4 * k..][..4].copy_from_slice(&scale.mantissa.to_le_bytes());
            bytes[exponent + 2 * k..][..2].copy_from_slice(&scale.exponent.to_le_bytes());
        }
        for (j, _) in self.labels.iter().enumerate().filter(|(_, label)| **label) {
            bytes[at.labels.start + j / 8] |= 1 << (j % 8);
        }
        let (width, wide) = (self.width as usize, header.wide_index());
        for (n, (column, value)) in self.entries.iter().flatten().enumerate() {
            bytes[at.values.start + n * width..][..width]
                .copy_from_slice(&value.to_le_bytes()[..width]);
            if self.sparse {
                let size = if wide { 2 } else { 1 };
                bytes[at.indices.start + n * size..][..size]
                    .copy_from_slice(&column.to_le_bytes()[..size]);
            }
        }
        for (j, row) in self.entries.iter().enumerate().filter(|_| self.sparse) {
            bytes[at.counts.start + 2 * j..][..2]
                .copy_from_slice(&(row.len() as u16).to_le_bytes());
        }
        words
    }

    /// Length of the shard in bytes.
    fn len(&self) -> usize {
        Header::parse(bytemuck::cast_slice(&self.shard())).unwrap().sections().unwrap().len
    }

    /// The same rows with so many columns that indices take two bytes.
    fn widened(&self) -> Self {
        let mut rows = self.clone();
        rows.dimension = rows.dimension.max(300);
        rows.scales.resize(rows.dimension, Ratio { mantissa: 1, exponent: 0 });
        rows
    }

    /// The rows in another order.
    fn reversed(&self) -> Self {
        let mut rows = self.clone();
        rows.labels.reverse();
        rows.entries.reverse();
        rows
    }
}

/// The numbers of an evaluation beside the rows.
#[derive(Clone, Debug)]
struct Point {
    x: Vec<i32>,
    x_exponent: i8,
    gradient_exponent: i8,
    loss_exponent: i8,
    lambda: Ratio,
}

/// What an evaluation gives.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    gradient: Vec<i32>,
    loss: i64,
    saturated: u32,
}

fn evaluate(rows: &Rows, at: &Point) -> Outcome {
    let words = rows.shard();
    let data = &bytemuck::cast_slice(&words)[..rows.len()];
    assert!(Logistic::check(data, rows.dimension));
    let mut scratch = vec![-1; Logistic::scratch_len(rows.dimension)];
    let (mut gradient, mut saturated) = (vec![-1; rows.dimension], 0);
    let loss = Logistic.evaluate(Evaluation {
        x: &at.x,
        x_exponent: at.x_exponent,
        gradient: &mut gradient,
        gradient_exponent: at.gradient_exponent,
        loss_exponent: at.loss_exponent,
        lambda: at.lambda,
        data,
        scratch: &mut scratch,
        saturated: &mut saturated,
    });
    Outcome { gradient, loss, saturated }
}

fn real(ratio: Ratio) -> f64 {
    f64::from(ratio.mantissa) * f64::from(-ratio.exponent).exp2()
}

/// The same in f64, each number with the largest intermediate on its way.
struct Naive {
    loss: (f64, f64),
    gradient: Vec<(f64, f64)>,
}

fn naive(rows: &Rows, at: &Point) -> Naive {
    let x: Vec<f64> =
        at.x.iter().map(|&x| f64::from(x) * f64::from(-i32::from(at.x_exponent)).exp2()).collect();
    let n = rows.labels.len() as f64;
    let lambda = real(at.lambda);
    let mut loss = (0.0, 1.0f64);
    let mut gradient = vec![(0.0, 0.0f64); rows.dimension];
    // The largest term of any margin: its last bits are the error of every margin.
    let scaled = |&(k, value): &(usize, i32)| (k, f64::from(value) * real(rows.scales[k]));
    let terms = |k: usize| (real(rows.scales[k]) * x[k]).abs();
    let top = (0..rows.dimension).map(terms).fold(0.0, f64::max);
    for (row, &label) in rows.entries.iter().zip(&rows.labels) {
        let y = if label { 1.0 } else { -1.0 };
        let margin: f64 = row.iter().map(scaled).map(|(k, value)| value * x[k]).sum();
        let most: f64 = row.iter().map(|&(_, value)| f64::from(value).abs()).sum();
        let u = y * margin;
        loss.0 += ((-u.abs()).exp().ln_1p() + (-u).max(0.0)) / n;
        loss.1 = loss.1.max(most * top);
        let sigma = 1.0 / (1.0 + u.exp());
        for (k, value) in row.iter().map(scaled) {
            gradient[k].0 -= y * sigma * value / n;
            gradient[k].1 = gradient[k].1.max(value.abs() * most.mul_add(top, 1.0));
        }
    }
    for (k, &x) in x.iter().enumerate() {
        let r = 1.0 / (1.0 + x * x);
        loss.0 += lambda * x * x * r;
        loss.1 = loss.1.max(lambda.abs() * x * x * r);
        gradient[k].0 += 2.0 * lambda * x * r * r;
        gradient[k].1 = gradient[k].1.max((2.0 * lambda * x * r * r).abs());
    }
    Naive { loss, gradient }
}

/// The one tolerance: a unit and a half of the grid, and 2^-28 of the largest intermediate.
fn close(mantissa: i64, exponent: i8, (exact, largest): (f64, f64)) -> bool {
    let unit = f64::from(-i32::from(exponent)).exp2();
    (mantissa as f64 * unit - exact).abs() <= 1.5 * unit + largest * (-28f64).exp2()
}

fn assert_close(rows: &Rows, at: &Point) -> Result<(), TestCaseError> {
    let (outcome, exact) = (evaluate(rows, at), naive(rows, at));
    let range = f64::from(31 - i32::from(at.gradient_exponent)).exp2();
    for (k, (&mantissa, &exact)) in outcome.gradient.iter().zip(&exact.gradient).enumerate() {
        let cut = (exact.0.clamp(-range, range), exact.1);
        prop_assert!(
            close(mantissa.into(), at.gradient_exponent, cut),
            "{k}: {mantissa} {exact:?}"
        );
    }
    prop_assert!(close(outcome.loss, at.loss_exponent, exact.loss), "{outcome:?} {:?}", exact.loss);
    Ok(())
}

fn widths() -> impl Strategy<Value = (Width, bool)> {
    prop_oneof![
        Just((Width::Unit, true)),
        (prop_oneof![Just(Width::I8), Just(Width::I16), Just(Width::I32)], any::<bool>()),
    ]
}

/// Rows of every kind, with scales up to 2^`range` apart.
fn rows(range: i16) -> impl Strategy<Value = Rows> {
    let dimension = prop_oneof![1usize..40, 250usize..300];
    (1usize..30, dimension, widths()).prop_flat_map(move |(n, dimension, (width, sparse))| {
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
        let bits = 8 * width as i16;
        let scale = (any::<i32>(), 31 + bits - range..=31 + bits + range)
            .prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent });
        (
            prop::collection::vec(scale, dimension),
            prop::collection::vec(any::<bool>(), n),
            prop::collection::vec(entries, n),
        )
            .prop_map(move |(scales, labels, entries)| Rows {
                dimension,
                width,
                sparse,
                scales,
                labels,
                entries,
            })
    })
}

/// Points at which nothing leaves its range, for such rows.
fn points(dimension: usize) -> impl Strategy<Value = Point> {
    let x = (any::<i32>(), 0u32..32).prop_map(|(x, shift)| x >> shift);
    let lambda =
        (any::<i32>(), 15i16..60).prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent });
    (prop::collection::vec(x, dimension), 20i8..50, 0i8..30, 0i8..32, lambda).prop_map(
        |(x, x_exponent, gradient_exponent, loss_exponent, lambda)| Point {
            x,
            x_exponent,
            gradient_exponent,
            loss_exponent,
            lambda,
        },
    )
}

fn tame() -> impl Strategy<Value = (Rows, Point)> {
    rows(6).prop_flat_map(|rows| {
        let point = points(rows.dimension);
        (Just(rows), point)
    })
}

/// Whatever a check lets through.
fn wild() -> impl Strategy<Value = (Rows, Point)> {
    let ratio = || {
        let mantissa = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -1..=1];
        let exponent = prop_oneof![any::<i16>(), Just(i16::MIN), Just(i16::MAX), -70i16..70];
        (mantissa, exponent).prop_map(|(mantissa, exponent)| Ratio { mantissa, exponent })
    };
    rows(6).prop_flat_map(move |rows| {
        let x = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -1..=1];
        let exponents = [any::<i8>(), any::<i8>(), any::<i8>()];
        let rest = (
            prop::collection::vec(ratio(), rows.dimension),
            prop::collection::vec(x, rows.dimension),
            exponents,
            ratio(),
        );
        (Just(rows), rest).prop_map(|(mut rows, (scales, x, exponents, lambda))| {
            rows.scales = scales;
            let [x_exponent, gradient_exponent, loss_exponent] = exponents;
            (rows, Point { x, x_exponent, gradient_exponent, loss_exponent, lambda })
        })
    })
}

proptest! {
    #[test]
    fn gradient_and_loss_are_those_of_f64((rows, at) in tame()) {
        assert_close(&rows, &at)?;
    }

    #[test]
    fn no_input_panics_and_the_order_of_the_rows_does_not_matter((rows, at) in wild()) {
        prop_assert_eq!(evaluate(&rows.reversed(), &at), evaluate(&rows, &at));
    }
}

proptest! {
    /// On a PC, indices of one byte go through tables and those of two bytes do not.
    #[test]
    fn columns_that_no_row_lists_change_nothing((rows, at) in wild()) {
        prop_assume!(rows.sparse);
        let (wide, mut wide_at) = (rows.widened(), at.clone());
        wide_at.x.resize(wide.dimension, 0);
        let (outcome, wide) = (evaluate(&rows, &at), evaluate(&wide, &wide_at));
        prop_assert_eq!(&outcome.gradient[..], &wide.gradient[..rows.dimension]);
        prop_assert_eq!(outcome.loss, wide.loss);
    }
}

#[test]
fn a_column_that_a_row_lists_twice_is_refused() {
    let mut rows = Rows {
        dimension: 3,
        width: Width::I8,
        sparse: true,
        scales: vec![Ratio { mantissa: 1 << 30, exponent: 30 }; 3],
        labels: vec![true],
        entries: vec![vec![(0, 1), (2, 1)]],
    };
    let check = |rows: &Rows, dimension| {
        Logistic::check(&bytemuck::cast_slice(&rows.shard())[..rows.len()], dimension)
    };
    assert!(check(&rows, 3) && !check(&rows, 2));
    rows.entries[0][0].0 = 2;
    assert!(!check(&rows, 3));
}
