//! Checks of the integers of boards.

use super::rows::{KINDS, Rows, model};
use super::subject::{Fault, Subject};
use crate::objective::{Labels, Margins};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Classification, Evaluation, Evaluator};
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::{Parts, Shard, Width};
use smidgen_protocol::vector::{MANTISSA_MAX, Ratio};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Accuracy of boards relative to the largest quantity, besides the grid of the result.
const ACCURACY: f64 = 1.0 / (1 << 22) as f64;
/// Difference of two scores that rounding may reverse.
const NARROW: f64 = 1e-4;

/// Bits of the entries of a large model, which leaves some of a mantissa to spare.
const MODEL_BITS: i8 = 28;

/// Model and exponents of an evaluation.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub x: Vec<i32>,
    pub x_exponent: i8,
    pub gradient_exponent: i8,
    pub loss_exponent: i8,
    pub rows: Selection,
}

impl Point {
    pub(super) fn reals(&self) -> Vec<f64> {
        self.x.iter().map(|&x| f64::from(x) * unit(self.x_exponent)).collect()
    }

    pub(super) fn case(&self, rows: &Rows) -> String {
        let Self { x_exponent, gradient_exponent, .. } = self;
        let header = rows.shard().header;
        let (width, sparse) = (header.width, if header.sparse { "sparse" } else { "dense" });
        format!("{sparse} rows of width {width:?}, exponents {x_exponent} and {gradient_exponent}")
    }
}

/// Results of an evaluation.
#[derive(PartialEq)]
pub(super) struct Outcome {
    pub gradient: Vec<i32>,
    pub loss: i64,
    pub saturated: u32,
}

pub(super) fn unit(exponent: i8) -> f64 {
    f64::from(-i32::from(exponent)).exp2()
}

impl Subject {
    /// Evaluates rows; a panic is a fault.
    pub(super) fn evaluate(&self, rows: &Rows, point: &Point) -> Result<Outcome, Fault> {
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.evaluate_data(rows.data(), point)));
        evaluated.map_err(|_| Fault::Panic(point.case(rows)))
    }

    fn evaluate_data(&self, data: Data<'_>, point: &Point) -> Outcome {
        let dimension = point.x.len();
        // What is left of earlier evaluations must not matter.
        let (mut gradient, mut saturated) = (vec![-1; dimension], 0);
        let mut scratch = vec![-1; (self.info.scratch_len)(dimension)];
        let loss = { self.workers }.evaluate_named(Evaluation {
            objective: self.info.name,
            x: &point.x,
            x_exponent: point.x_exponent,
            gradient: &mut gradient,
            gradient_exponent: point.gradient_exponent,
            loss_exponent: point.loss_exponent,
            regulariser: Regulariser::L2,
            lambda: Ratio::default(),
            data,
            rows: point.rows,
            scratch: &mut scratch,
            saturated: &mut saturated,
        });
        Outcome { gradient, loss, saturated }
    }
}

pub(super) fn check(subject: &Subject) -> Result<(), Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for kind in KINDS {
        for x_exponent in [16, 22, 28] {
            let rows = Rows::draw(subject.objective, kind, 21, &mut rng);
            let (gradient_exponent, loss_exponent) = (rng.random_range(10..26), 24);
            let large = match subject.objective.info().margins {
                Margins::One | Margins::PerClass => unit(x_exponent - MODEL_BITS),
                // Its errors grow with the weights of its outputs.
                Margins::Hidden => 1.0,
            };
            for size in [2.0, large] {
                let x = model(rows.dimension(subject.objective), size, &mut rng);
                let x = x.iter().map(|x| (x / unit(x_exponent)) as i32).collect();
                let all = Selection::ALL;
                let point = Point { x, x_exponent, gradient_exponent, loss_exponent, rows: all };
                check_dimensions(subject, &rows, &point)?;
                compare(subject, &rows, &point)?;
                let rows_of_batch = Batch { size: 5, seed: rng.random() }.selection(0, 1);
                compare(subject, &rows, &Point { rows: rows_of_batch, ..point.clone() })?;
                check_classes(subject, &rows, &point)?;
            }
        }
    }
    check_masked(subject, &mut rng)
}

/// Compares boards with the twin.
pub(super) fn compare(subject: &Subject, rows: &Rows, point: &Point) -> Result<(), Fault> {
    let selected = point.rows.runs(rows.labels.len() as u32).flatten();
    let selected: Vec<_> = selected.map(|row| row as usize).collect();
    let (loss, gradient, largest) = rows.mean(subject.objective, &selected, &point.reals());
    let found = subject.evaluate(rows, point)?;
    let grid = unit(point.gradient_exponent);
    let tolerance = 1.5 * grid + ACCURACY * (1.0 + largest);
    let range = f64::from(MANTISSA_MAX) * grid;
    for (coordinate, (&mantissa, exact)) in found.gradient.iter().zip(gradient).enumerate() {
        let found = f64::from(mantissa) * grid;
        if (found - exact.clamp(-range, range)).abs() > tolerance {
            return Err(Fault::FixedGradient { coordinate, found, exact, case: point.case(rows) });
        }
    }
    let grid = unit(point.loss_exponent);
    let (found, loss) = (found.loss as f64 * grid, loss.min(i64::MAX as f64 * grid));
    let tolerance = 1.5 * grid + ACCURACY * (1.0 + loss.abs() + largest);
    match (found - loss).abs() <= tolerance + rows.cancellation(subject.objective, &point.reals()) {
        true => Ok(()),
        false => Err(Fault::FixedLoss { found, exact: loss, case: point.case(rows) }),
    }
}

fn check_dimensions(subject: &Subject, rows: &Rows, point: &Point) -> Result<(), Fault> {
    let dimension = point.x.len();
    let check = subject.info.check;
    if !check(rows.data(), dimension) {
        return Err(Fault::Refuses(point.case(rows)));
    }
    for (what, accepts) in [
        ("too large a dimension", check(rows.data(), dimension + 1)),
        ("too small a dimension", check(rows.data(), dimension - 1)),
        ("empty data", check(Data::Sent(&[]), dimension)),
    ] {
        if accepts {
            return Err(Fault::Accepts(what));
        }
    }
    Ok(())
}

/// Compares the number of rows that are classified right, but for those whose scores are close.
fn check_classes(subject: &Subject, rows: &Rows, point: &Point) -> Result<(), Fault> {
    let mut scratch = vec![-1; (subject.info.scratch_len)(point.x.len())];
    let found = { subject.workers }.classify_named(Classification {
        objective: subject.info.name,
        shard: &rows.shard(),
        x: &point.x,
        x_exponent: point.x_exponent,
        scratch: &mut scratch,
    });
    let (x, mut exact, mut narrow) = (point.reals(), 0, 0);
    for row in 0..rows.labels.len() {
        let (row, label) = rows.row(row);
        let scores = subject.objective.twin().scores(row, &x);
        let class = subject.objective.class(&scores);
        exact += u32::from(class.is_some_and(|class| class as f64 == label));
        narrow += u32::from(margin(&scores) < NARROW);
    }
    let found = found.map_or(0, |classes| classes.right);
    match found.abs_diff(exact) <= narrow {
        true => Ok(()),
        false => Err(Fault::Classes { found, exact }),
    }
}

/// Returns how far the largest score is from the next one, or from 0.
fn margin(scores: &[f64]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    match &sorted[..] {
        [.., next, largest] => largest - next,
        [only] => only.abs(),
        [] => f64::INFINITY,
    }
}

/// Compares recorded rows, some of them masked, with the others alone.
fn check_masked(subject: &Subject, rng: &mut impl Rng) -> Result<(), Fault> {
    let classes = match subject.objective.info().labels {
        Labels::Real => return Ok(()),
        Labels::Binary => 2,
        Labels::Classes => 3,
    };
    let rows = Rows::draw(subject.objective, (Width::I16, false), 6, rng);
    let features = rows.shard().header.dimension as usize;
    let values: Vec<i16> = (0..12 * features).map(|_| rng.random()).collect();
    let labels: Vec<i8> =
        (0..12).map(|row| if row % 3 == 1 { -1 } else { row % classes }).collect();
    let kept: Vec<_> = (0..12).filter(|&row| labels[row] >= 0).collect();
    let rows_alone = kept.iter().map(|&row| &values[row * features..][..features]);
    let values_alone = rows_alone.collect::<Vec<_>>().concat();
    let labels_alone: Vec<_> = kept.iter().map(|&row| labels[row]).collect();
    let (mantissas, exponents) = (vec![1 << 30; features + 1], vec![45; features + 1]);
    let shard = |values, labels| {
        Shard::from_parts(&Parts {
            dimension: features as u32,
            classes: classes as u8,
            values,
            stride: features,
            labels,
            scale_mantissas: &mantissas,
            scale_exponents: &exponents,
        })
        .expect("the parts are consistent")
    };
    let (masked, alone) = (shard(&values, &labels), shard(&values_alone, &labels_alone));
    let dimension = rows.dimension(subject.objective);
    let x = (0..dimension).map(|_| rng.random_range(-1 << 20..1 << 20)).collect();
    let all = Selection::ALL;
    let point = Point { x, x_exponent: 20, gradient_exponent: 24, loss_exponent: 20, rows: all };
    let outcomes =
        [&masked, &alone].map(|shard| subject.evaluate_data(Data::Recorded(shard), &point));
    if outcomes[0] == outcomes[1] { Ok(()) } else { Err(Fault::Masked) }
}
