//! A point near the minimum of a strongly convex function.

use crate::problem::objective::Objective;

/// Number of gradients of the search.
const GRADIENTS: usize = 500;

/// Returns f near its minimum, by Nesterov's method for an L-smooth and μ-strongly convex f. The value of f at any
/// point is an upper bound of f*, so the search need not be complete.
pub(super) fn near_minimum(objective: &Objective, l: f64, mu: f64) -> f64 {
    let root = (mu / l).sqrt();
    let momentum = (1.0 - root) / (1.0 + root);
    let mut x = vec![0.0; objective.dimension()];
    let (mut ahead, mut gradient) = (x.clone(), x.clone());
    let mut least = f64::INFINITY;
    for _ in 0..GRADIENTS {
        least = least.min(objective.loss_and_gradient(&ahead, &mut gradient));
        for ((x, ahead), g) in x.iter_mut().zip(&mut ahead).zip(&gradient) {
            let next = *ahead - g / l;
            *ahead = next + momentum * (next - *x);
            *x = next;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::experiment::Experiment;

    #[test]
    fn gradient_vanishes_at_the_minimum() {
        let options = "--rows 100 --workers 4 --regulariser l2 --lambda 0.1 --step am";
        let experiment = Experiment::of(options);
        let (objective, l) =
            (experiment.objective().unwrap(), experiment.smoothness.as_ref().unwrap().l);
        let near = near_minimum(&objective, l, 0.1);
        let mut gradient = vec![0.0; 64];
        let start = objective.loss_and_gradient(&[0.0; 64], &mut gradient);
        // f* is at least this, by strong convexity.
        let bound = start - gradient.iter().map(|g| g * g).sum::<f64>() / 0.2;
        assert!(near < start && near >= bound, "{near} {start} {bound}");
        let fewer = near_minimum(&objective, 4.0 * l, 0.1);
        assert!((near - fewer).abs() < 1e-12, "{near} {fewer}");
    }
}
