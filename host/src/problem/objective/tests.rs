use super::*;
use crate::options::{self, Choice, Regulariser, Split};
use crate::problem::dataset::Dataset;
use smidgen_firmware::objective::ObjectiveSet;
use smidgen_firmware::objectives::Objectives;

fn digits(kind: options::Objective, regulariser: Regulariser) -> Objective {
    let dataset = Dataset::load_with("digits", kind.info().labels).unwrap().take(200).unwrap();
    let shares = dataset.deal(&Split::Contiguous, 4).unwrap();
    Objective::new(kind, Penalty { regulariser, lambda: 0.1 }, &dataset, &shares)
}

/// Returns all objectives with either regulariser.
fn all() -> impl Iterator<Item = Objective> {
    let kinds = options::Objective::ALL.iter();
    kinds.flat_map(|&kind| {
        Regulariser::ALL.iter().map(move |&regulariser| digits(kind, regulariser))
    })
}

#[test]
fn workers_know_every_objective_by_the_name_of_its_option() {
    for objective in options::Objective::ALL {
        assert!(Objectives::find(objective.name()).is_some(), "{}", objective.name());
    }
    assert_eq!(options::Objective::ALL.len(), Objectives::ALL.len());
}

/// Returns a model without small coordinates.
fn model(dimension: usize) -> Vec<f64> {
    (0..dimension).map(|k| (k as f64 * 0.7).sin()).collect()
}

#[test]
fn gradient_is_the_derivative_of_the_loss() {
    for objective in all() {
        let (mut x, step) = (model(objective.dimension), 1e-5);
        let (mut gradient, mut unused) = (x.clone(), x.clone());
        let scale = objective.loss_and_gradient(&x, &mut gradient).max(1.0);
        for k in 0..x.len() {
            let centre = x[k];
            x[k] = centre + step;
            let above = objective.loss_and_gradient(&x, &mut unused);
            x[k] = centre - step;
            let below = objective.loss_and_gradient(&x, &mut unused);
            x[k] = centre;
            let slope = (above - below) / (2.0 * step);
            let error = (slope - gradient[k]).abs();
            assert!(error < 1e-9 * scale, "{:?} {k}: {slope} {}", objective.kind, gradient[k]);
        }
    }
}

#[test]
fn objective_is_the_mean_of_the_workers() {
    for objective in all() {
        let x = model(objective.dimension);
        let (mut whole, mut gradient) = (x.clone(), x.clone());
        let loss = objective.loss_and_gradient(&x, &mut whole);
        let (mut losses, mut mean) = (0.0, vec![0.0; x.len()]);
        for worker in 0..4 {
            losses += objective.worker_loss_and_gradient(worker, &x, &mut gradient) / 4.0;
            mean.iter_mut().zip(&gradient).for_each(|(mean, slope)| *mean += slope / 4.0);
        }
        assert!((losses / loss - 1.0).abs() < 1e-14);
        let scale = whole.iter().fold(1.0, |max: f64, slope| max.max(slope.abs()));
        let close = |(whole, mean): (f64, f64)| (whole - mean).abs() < 1e-14 * scale;
        assert!(whole.into_iter().zip(mean).all(close));
    }
}
