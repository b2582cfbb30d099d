//! Checks of the bound that boards report of the curvature.

use super::rows::{KINDS, Rows, model};
use super::subject::{Fault, Subject};
use super::twin::norm;
use crate::objective::{Curvature, Labels, Margins};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smidgen_aggregator::ratio::real;
use smidgen_firmware::bound::Bound;
use smidgen_firmware::curvature::CurvatureRequest;

/// Margins along a row are this far apart, and reach this far from 0 and from the label.
const STEP: f64 = 1.0 / 64.0;
const REACH: i32 = 8 * 64;
/// Rounding error of a measured curvature.
const TOLERANCE: f64 = 1e-4;

pub(super) fn check(subject: &Subject) -> Result<(), Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for kind in KINDS {
        let rows = Rows::draw(subject.objective, kind, 21, &mut rng);
        check_along_gradients(subject, &rows, &mut rng)?;
        // Rows that are alike bend along one line, and a bound of them leaves no slack for others.
        let features: Vec<_> = (0..3).map(|_| rng.random_range(0.5..1.5)).collect();
        let label = rng.random_range(-4.0..4.0);
        for factors in factors(subject) {
            let rows = Rows::multiples(subject.objective, kind, &features, factors, label);
            check_along_gradients(subject, &rows, &mut rng)?;
            match subject.objective.info().margins {
                Margins::One => check_margins(subject, &rows)?,
                Margins::PerClass | Margins::Hidden => {}
            }
        }
    }
    Ok(())
}

/// Factors of three rows. A loss of two classes may bend on one side only, so there one class has rows of zeros.
fn factors(subject: &Subject) -> Vec<[f64; 3]> {
    match subject.objective.info().labels {
        Labels::Binary => vec![[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
        Labels::Classes | Labels::Real => vec![[1.0; 3]],
    }
}

/// Returns the bound of boards, or `None` if neither boards nor twin have one.
fn bound(subject: &Subject, rows: &Rows) -> Result<Option<f64>, Fault> {
    let len = rows.dimension(subject.objective) + 1;
    let (mut vector, mut scratch) = (vec![0; len], vec![0; len]);
    let request =
        CurvatureRequest { data: rows.data(), vector: &mut vector, scratch: &mut scratch };
    let bound = (subject.info.curvature)(request).and_then(Bound::ratio).map(real);
    match (bound, subject.objective.info().curvature) {
        (Some(bound), Curvature::AtMost(_)) => Ok(Some(bound)),
        (None, Curvature::Unbounded { .. }) => Ok(None),
        (None, Curvature::AtMost(_)) | (Some(_), Curvature::Unbounded { .. }) => {
            Err(Fault::OneCurvature)
        }
    }
}

/// Compares the bound with gradients of the twin along the gradient, where losses of margins bend most.
fn check_along_gradients(subject: &Subject, rows: &Rows, rng: &mut impl Rng) -> Result<(), Fault> {
    let Some(bound) = bound(subject, rows)? else { return Ok(()) };
    let dimension = rows.dimension(subject.objective);
    let all: Vec<_> = (0..rows.labels.len()).collect();
    for size in [0.0, 0.3, 1.0, 2.0, 3.0] {
        for _ in 0..20 {
            let start = model(dimension, size, rng);
            let (_, slope, _) = rows.mean(subject.objective, &all, &start);
            let length = norm(&slope).max(f64::MIN_POSITIVE) * 10f64.powi(rng.random_range(0..4));
            let end: Vec<_> = start.iter().zip(&slope).map(|(x, g)| x + g / length).collect();
            compare(subject, rows, bound, &start, &end)?;
        }
    }
    Ok(())
}

/// Compares the bound with gradients along a row, for margins near 0 and near the label.
fn check_margins(subject: &Subject, rows: &Rows) -> Result<(), Fault> {
    let Some(bound) = bound(subject, rows)? else { return Ok(()) };
    let features = rows.dimension(subject.objective);
    let squares_of = |row: usize| rows.row(row).0.values.iter().map(|value| value * value).sum();
    let all = (0..rows.labels.len()).map(|row| (row, squares_of(row)));
    let Some((lead, squares)) = all.max_by(|one: &(_, f64), other| one.1.total_cmp(&other.1))
    else {
        return Ok(());
    };
    let (row, label) = rows.row(lead);
    let at = |margin: f64| {
        let mut x = vec![0.0; features];
        row.add_to(&mut x, margin / squares);
        x
    };
    let centres = match subject.objective.info().labels {
        Labels::Real => vec![0.0, label],
        Labels::Binary | Labels::Classes => vec![0.0],
    };
    for centre in centres {
        for step in -REACH..REACH {
            let margin = centre + f64::from(step) * STEP;
            compare(subject, rows, bound, &at(margin), &at(margin + STEP))?;
        }
    }
    Ok(())
}

/// Compares the bound with the change of the gradient between two models.
fn compare(
    subject: &Subject,
    rows: &Rows,
    bound: f64,
    start: &[f64],
    end: &[f64],
) -> Result<(), Fault> {
    let all: Vec<_> = (0..rows.labels.len()).collect();
    let gradient = |x| rows.mean(subject.objective, &all, x).1;
    let difference = |one: &[f64], other: &[f64]| -> f64 {
        norm(&one.iter().zip(other).map(|(one, other)| one - other).collect::<Vec<_>>())
    };
    let (change, distance) = (difference(&gradient(start), &gradient(end)), difference(start, end));
    let measured = change / distance.max(f64::MIN_POSITIVE);
    match measured > bound * (1.0 + TOLERANCE) {
        true => Err(Fault::BoardCurvature { bound, measured }),
        false => Ok(()),
    }
}
