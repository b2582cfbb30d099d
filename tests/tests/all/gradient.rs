//! From f64 rows to a board's gradient: quantised, opened in place, evaluated in fixed point.

use smidgen::options::{self, Choice, Split};
use smidgen::problem::dataset::Dataset;
use smidgen::problem::dataset::quantise::quantise;
use smidgen::problem::objective::{Objective as Telemetry, Penalty};
use smidgen::problem::theory::noise;
use smidgen_aggregator::ratio::ratio;
use smidgen_firmware::data::Data;
use smidgen_firmware::objective::{Evaluation, ObjectiveSet};
use smidgen_firmware::objectives::Objectives;
use smidgen_protocol::batch::{Batch, Selection};
use smidgen_protocol::shard::Width;
use smidgen_tests::oracle::norm_squared;
use smidgen_tests::reference::Problem;

/// A vector on the finest grid that holds it, with a spare bit.
struct Grid {
    mantissas: Vec<i32>,
    exponent: i8,
}

impl Grid {
    fn new(reals: &[f64]) -> Self {
        let exponent = exponent(reals);
        let mantissas = reals.iter().map(|real| (real * scale(exponent)).round() as i32).collect();
        Self { mantissas, exponent }
    }

    fn reals(&self) -> Vec<f64> {
        self.mantissas.iter().map(|&mantissa| f64::from(mantissa) / scale(self.exponent)).collect()
    }
}

fn scale(exponent: i8) -> f64 {
    f64::from(exponent).exp2()
}

fn exponent(reals: &[f64]) -> i8 {
    let max = reals.iter().fold(f64::MIN_POSITIVE, |max, real| max.max(real.abs()));
    29 - max.log2().floor() as i8
}

/// A model that moves every margin by a few units, for features of any magnitude.
fn model(problem: &Problem) -> Grid {
    let dataset = &problem.dataset;
    let mut max = vec![0.0f64; dataset.dimension()];
    for row in 0..dataset.row_count() {
        dataset.row(row).entries().for_each(|(k, value)| max[k] = max[k].max(value.abs()));
    }
    let reals = max.iter().zip(1u16..).map(|(max, k)| f64::from(k).sin() / max.max(1e-3));
    Grid::new(&reals.collect::<Vec<_>>())
}

/// A comparison, and its rows.
struct Case<'a> {
    objective: options::Objective,
    penalty: Penalty,
    dataset: &'a Dataset,
    shares: &'a [Vec<usize>],
}

/// Compares loss and gradient of logistic regression.
fn check(problem: &Problem, tolerance: f64) {
    let case = Case {
        objective: options::Objective::Logistic,
        penalty: Penalty::nonconvex(problem.lambda),
        dataset: &problem.dataset,
        shares: &problem.shares,
    };
    check_case(&case, &model(problem), tolerance);
}

/// Compares loss and gradient of every worker with those in f64 on the original rows.
fn check_case(case: &Case, x: &Grid, tolerance: f64) {
    let &Case { objective, penalty, dataset, shares } = case;
    let telemetry = Telemetry::new(objective, penalty, dataset, shares);
    let mut expected = vec![0.0; x.mantissas.len()];
    for (worker, rows) in shares.iter().enumerate() {
        let expected_loss = telemetry.worker_loss_and_gradient(worker, &x.reals(), &mut expected);
        let shard = quantise(dataset, rows, Width::I16).bytes;
        let (loss, gradient) = evaluate(case, &shard, x, exponent(&expected), Selection::ALL);
        let error: Vec<f64> =
            gradient.reals().iter().zip(&expected).map(|(found, real)| found - real).collect();
        let relative = (norm_squared(&error) / norm_squared(&expected)).sqrt();
        assert!(
            relative <= tolerance,
            "{objective:?}, worker {worker}: the gradient is off by {relative:e}"
        );
        let relative = (loss / expected_loss - 1.0).abs();
        assert!(
            relative <= tolerance,
            "{objective:?}, worker {worker}: the loss is off by {relative:e}"
        );
    }
}

fn evaluate(
    case: &Case,
    shard: &[u8],
    x: &Grid,
    gradient_exponent: i8,
    rows: Selection,
) -> (f64, Grid) {
    let dimension = x.mantissas.len();
    let mut room = vec![0; shard.len() + 8];
    let start = room.as_ptr().align_offset(8);
    let data = &mut room[start..start + shard.len()];
    data.copy_from_slice(shard);
    let objective = Objectives::find(case.objective.name()).expect("smidgen has it");
    assert!((objective.check)(Data::Sent(data), dimension));
    let loss_exponent = 30;
    let (mut mantissas, mut saturated) = (vec![0; dimension], 0);
    let loss = Objectives.evaluate_named(Evaluation {
        objective: objective.name,
        x: &x.mantissas,
        x_exponent: x.exponent,
        gradient: &mut mantissas,
        gradient_exponent,
        loss_exponent,
        regulariser: case.penalty.regulariser.into(),
        lambda: ratio(case.penalty.lambda),
        data: Data::Sent(data),
        rows,
        scratch: &mut vec![0; (objective.scratch_len)(dimension)],
        saturated: &mut saturated,
    });
    assert_eq!(saturated, 0);
    (loss as f64 / scale(loss_exponent), Grid { mantissas, exponent: gradient_exponent })
}

/// All objectives on the same images, each with its kind of labels.
#[test]
fn gradient_of_every_objective() {
    for &objective in options::Objective::ALL {
        let digits =
            Dataset::load_with("digits", objective.info().labels).expect("the set is bundled");
        let shares = digits.deal(&Split::Contiguous, 8).expect("there are enough rows");
        let dimension = objective.dimension(digits.dimension(), digits.class_count());
        let x: Vec<f64> = (0..dimension).map(|k| (k as f64).sin() / 4.0).collect();
        for regulariser in [options::Regulariser::Nonconvex, options::Regulariser::L2] {
            let penalty = Penalty { regulariser, lambda: 0.01 };
            let case = Case { objective, penalty, dataset: &digits, shares: &shares };
            check_case(&case, &Grid::new(&x), 2f64.powi(-24));
        }
    }
}

/// Over many rounds, minibatches have the mean of all rows and the variance of theory.
#[test]
fn minibatches_are_unbiased() {
    const ROUNDS: u16 = 4000;
    let problem = Problem::digits();
    let case = Case {
        objective: options::Objective::Logistic,
        penalty: Penalty::nonconvex(problem.lambda),
        dataset: &problem.dataset,
        shares: &problem.shares,
    };
    let (x, rows) = (model(&problem), problem.shares[0].len());
    let shard = quantise(case.dataset, &case.shares[0], Width::I16).bytes;
    let gradient = |rows| {
        let (loss, gradient) = evaluate(&case, &shard, &x, 24, rows);
        [gradient.reals(), vec![loss]].concat()
    };
    let whole = gradient(Selection::ALL);
    // The mean of each coordinate over rounds, the mean loss, and the mean squared distance from the whole.
    let moments = |size: u32| {
        let (mut mean, mut squares) = (vec![0.0; whole.len()], vec![0.0; whole.len()]);
        for round in 0..ROUNDS {
            let batch = Batch { size, seed: 5 }.selection(1, round.into());
            for (k, (found, whole)) in gradient(batch).iter().zip(&whole).enumerate() {
                mean[k] += (found - whole) / f64::from(ROUNDS);
                squares[k] += (found - whole).powi(2) / f64::from(ROUNDS);
            }
        }
        (mean, squares)
    };
    let mut variance_of_one = None;
    for size in [1, 4, 16, 64] {
        let (mean, squares) = moments(size);
        for (k, (mean, square)) in mean.iter().zip(&squares).enumerate() {
            let deviation = (square / f64::from(ROUNDS)).sqrt();
            assert!(mean.abs() <= 5.0 * deviation + 1e-6, "{size} rows, {k}: {mean:e}");
        }
        let variance: f64 = squares.iter().sum();
        let of_one = *variance_of_one.get_or_insert(variance);
        let expected = of_one * noise::variance(rows, size as usize);
        assert!((variance / expected - 1.0).abs() < 0.1, "{size} rows: {variance:e}");
    }
}

#[test]
fn gradient_of_digits() {
    check(&Problem::digits(), 1e-7);
}

#[test]
fn gradient_of_breast_cancer() {
    check(&Problem::breast_cancer(), 1e-7);
    check(&Problem::breast_cancer_standardised(), 1e-4);
}

#[test]
fn gradient_of_files() {
    for name in ["mushrooms", "phishing", "a9a"] {
        let Some(problem) = Problem::contiguous(name, "gradient_of_files") else { continue };
        check(&problem, 1e-7);
    }
}

#[test]
fn gradient_of_australian() {
    let Some(problem) = Problem::australian("gradient_of_australian") else { return };
    check(&problem, 1e-7);
}

#[test]
fn gradient_of_w1a() {
    let Some(problem) = Problem::w1a("gradient_of_w1a") else { return };
    check(&problem, 1e-7);
}
