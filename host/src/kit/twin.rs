//! Checks of a twin against itself: derivative, curvature, convexity.

use super::rows::{KINDS, Rows, model};
use super::subject::{Fault, Subject};
use crate::objective::{Curvature, Margins, Objective};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Step of a difference of the loss.
const STEP: f64 = 1e-6;
/// Error of a quotient of differences relative to loss and gradient. A kink within a step explains no more.
const TOLERANCE: f64 = 1e-4;

pub(super) fn check(subject: &Subject) -> Result<(), Fault> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for kind in KINDS {
        for size in [0.1, 1.0, 10.0] {
            let rows = Rows::draw(subject.objective, kind, 12, &mut rng);
            let x = model(rows.dimension(subject.objective), size, &mut rng);
            check_gradient(subject.objective, &rows, &x)?;
            for scale in [1e-3, 1e-1, 1.0, 10.0] {
                let other = model(x.len(), scale, &mut rng);
                let other: Vec<_> = x.iter().zip(other).map(|(x, step)| x + step).collect();
                check_pair(subject.objective, &rows, &x, &other)?;
                // Losses bend most near their targets, and many at margins of 0.
                let near = model(x.len(), scale, &mut rng);
                check_pair(subject.objective, &rows, &vec![0.0; x.len()], &near)?;
            }
        }
    }
    Ok(())
}

fn check_gradient(objective: Objective, rows: &Rows, x: &[f64]) -> Result<(), Fault> {
    let all: Vec<_> = (0..rows.labels.len()).collect();
    let (loss, gradient, largest) = rows.mean(objective, &all, x);
    let tolerance = TOLERANCE * (1.0 + loss.abs() + largest);
    let mut moved = x.to_vec();
    for (coordinate, &gradient) in gradient.iter().enumerate() {
        let mut at = |step: f64| {
            moved[coordinate] = x[coordinate] + step;
            rows.mean(objective, &all, &moved).0
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        moved[coordinate] = x[coordinate];
        // Also if one of them is not a number.
        if (slope - gradient).abs().partial_cmp(&tolerance) != Some(std::cmp::Ordering::Less) {
            return Err(Fault::Gradient { coordinate, gradient, slope });
        }
    }
    Ok(())
}

/// Compares the gradients of single rows at two models.
fn check_pair(objective: Objective, rows: &Rows, x: &[f64], y: &[f64]) -> Result<(), Fault> {
    let info = objective.info();
    for index in 0..rows.labels.len() {
        let ((_, at_x), (_, at_y)) = (rows.at(objective, index, x), rows.at(objective, index, y));
        let change: Vec<_> = at_x.iter().zip(&at_y).map(|(x, y)| x - y).collect();
        let distance: Vec<_> = x.iter().zip(y).map(|(x, y)| x - y).collect();
        let product: f64 = change.iter().zip(&distance).map(|(g, x)| g * x).sum();
        let (change, distance) = (norm(&change), norm(&distance));
        // Far from targets slopes hardly change, and their last bits may change either way.
        if info.is_convex && product < -(1e-9 * change + 1e-12) * distance {
            return Err(Fault::Convexity);
        }
        let Curvature::AtMost(curvature) = info.curvature else { continue };
        let (row, _) = rows.row(index);
        let squares: f64 = row.values.iter().map(|value| value * value).sum();
        let bias = f64::from(info.margins.have_bias());
        // A row of one margin bends only along its features, where it is measured.
        let distance = match info.margins {
            Margins::One => (row.dot(x) - row.dot(y)).abs() / squares.sqrt().max(f64::MIN_POSITIVE),
            Margins::PerClass | Margins::Hidden => distance,
        };
        let bound = curvature * (squares + bias);
        if change > bound * distance * (1.0 + 1e-6) + 1e-9 {
            return Err(Fault::Curvature { measured: change / distance, bound });
        }
    }
    Ok(())
}

pub(super) fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|entry| entry * entry).sum::<f64>().sqrt()
}
