//! The oracle itself, against worked examples and reference trajectories, and theory's own test of
//! it.

use smidgen::options;
use smidgen::problem::dataset::Dataset;
use smidgen::problem::objective::{Objective, Penalty};
use smidgen::problem::theory::{Mean, Smoothness, theta, top_k_alpha};
use smidgen_tests::oracle::{Ef21, Init, logistic_gradient, norm_squared, top_k};
use smidgen_tests::reference::{self, Problem, ROUNDS, Trajectory};

#[test]
fn ties_go_to_the_lower_index() {
    assert_eq!(top_k(vec![1.0, -2.0, 2.0, 0.5], 1), [0.0, -2.0, 0.0, 0.0]);
    assert_eq!(top_k(vec![1.0, -1.0, 1.0], 2), [1.0, -1.0, 0.0]);
    assert_eq!(top_k(vec![1.0, 2.0], 3), [1.0, 2.0]);
}

/// ∇f_i of f_i(x) = ½ Σ_k h_ik (x_k − c_ik)².
fn quadratic<'a, const D: usize>(
    h: &'a [[f64; D]],
    c: &'a [[f64; D]],
) -> impl Fn(usize, &[f64]) -> Vec<f64> + use<'a, D> {
    |i, x| (0..D).map(|k| h[i][k] * (x[k] - c[i][k])).collect()
}

#[test]
fn the_worked_example() {
    use reference::worked_example::{C, H, STATES};
    let mut run = Ef21::new(2, vec![0.0; 2], 1, 0.1, Init::Compressed, quadratic(&H, &C));
    for (t, [x, g_1, g_2]) in STATES.into_iter().enumerate() {
        for (found, expected) in [(&run.x, x), (&run.g_i[0], g_1), (&run.g_i[1], g_2)] {
            let close =
                found.iter().zip(expected).all(|(found, value)| (found - value).abs() < 1e-14);
            assert!(close, "t = {t}: {found:?} is not {expected:?}");
        }
        run.round();
    }
}

#[test]
fn the_quadratic_example() {
    use reference::quadratic_example::{C, H, ROUNDS, TRAJECTORIES, smoothness};
    for (step, expected) in TRAJECTORIES {
        let gamma = smoothness().gamma(step, top_k_alpha(1, 6));
        let run = Ef21::new(4, vec![0.0; 6], 1, gamma, Init::Compressed, quadratic(&H, &C));
        follow(run, &ROUNDS, &expected, 1e-9);
    }
}

/// Runs and compares ‖∇f(x^t)‖² at the given rounds.
fn follow<F: Fn(usize, &[f64]) -> Vec<f64>>(
    mut run: Ef21<F>,
    rounds: &[usize],
    expected: &[f64],
    tolerance: f64,
) {
    let mut t = 0;
    for (&round, expected) in rounds.iter().zip(expected) {
        (t..round).for_each(|_| run.round());
        t = round;
        let found = norm_squared(&run.gradient());
        assert!((found / expected - 1.0).abs() <= tolerance, "t = {t}: {found} is not {expected}");
    }
}

fn run(
    problem: &Problem,
    step: Mean,
    k: usize,
    init: Init,
) -> Ef21<impl Fn(usize, &[f64]) -> Vec<f64>> {
    let Problem { dataset, shares, lambda } = problem;
    let smoothness = Smoothness::of_logistic(dataset, shares, *lambda);
    let gamma = smoothness.gamma(step, top_k_alpha(k, dataset.dimension()));
    let x = vec![0.0; dataset.dimension()];
    let gradient = |i: usize, x: &[f64]| logistic_gradient(dataset, &shares[i], *lambda, x);
    Ef21::new(shares.len(), x, k, gamma, init, gradient)
}

fn check(problem: &Problem, (step, expected): Trajectory, init: Init) {
    follow(run(problem, step, 1, init), &ROUNDS, &expected, 1e-7);
}

#[test]
fn trajectory_of_digits() {
    let problem = Problem::digits();
    check(&problem, reference::DIGITS_QM, Init::Full);
    check(&problem, reference::DIGITS_AM, Init::Full);
}

#[test]
fn trajectory_of_breast_cancer() {
    let problem = Problem::breast_cancer_standardised();
    check(&problem, reference::BREAST_CANCER_QM, Init::Full);
    check(&problem, reference::BREAST_CANCER_AM, Init::Full);
}

#[test]
fn trajectory_of_mushrooms() {
    let Some(problem) = Problem::contiguous("mushrooms", "trajectory_of_mushrooms") else { return };
    check(&problem, reference::MUSHROOMS_QM, Init::Full);
    check(&problem, reference::MUSHROOMS_AM, Init::Full);
}

#[test]
fn trajectory_of_phishing() {
    let test = "trajectory_of_phishing";
    let Some(mut problem) = Problem::contiguous("phishing", test) else { return };
    check(&problem, reference::PHISHING_QM, Init::Full);
    problem.lambda = 1e-3;
    check(&problem, reference::PHISHING_COMPRESSED_QM, Init::Compressed);
}

#[test]
fn trajectory_of_australian() {
    let Some(problem) = Problem::australian("trajectory_of_australian") else { return };
    check(&problem, reference::AUSTRALIAN_QM, Init::Full);
    check(&problem, reference::AUSTRALIAN_AM, Init::Full);
}

#[test]
fn trajectory_of_w1a() {
    let Some(problem) = Problem::w1a("trajectory_of_w1a") else { return };
    check(&problem, reference::W1A_QM, Init::Full);
    check(&problem, reference::W1A_AM, Init::Full);
}

fn logistic(dataset: &Dataset, shares: &[Vec<usize>], lambda: f64) -> Objective {
    Objective::new(options::Objective::Logistic, Penalty::nonconvex(lambda), dataset, shares)
}

/// The host's objective and the oracle's gradient were written apart; they are the same function.
#[test]
fn telemetry_and_oracle_agree() {
    for problem in [Problem::digits(), Problem::breast_cancer_standardised()] {
        let Problem { dataset, shares, lambda } = &problem;
        let objective = logistic(dataset, shares, *lambda);
        let x: Vec<f64> = (0..dataset.dimension()).map(|k| (k as f64).sin()).collect();
        let mut gradient = vec![0.0; x.len()];
        for (i, share) in shares.iter().enumerate() {
            objective.worker_loss_and_gradient(i, &x, &mut gradient);
            let oracle = logistic_gradient(dataset, share, *lambda, &x);
            assert!(gradient.iter().zip(oracle).all(|(a, b)| (a - b).abs() < 1e-14), "worker {i}");
        }
    }
}

/// Ψ^t = f(x^t) + γ/(2θ) · (1/n) Σ (L_AM/L_i) ‖g_i^t − ∇f_i(x^t)‖² falls by at least (γ/2)
/// ‖∇f(x^t)‖² a round.
#[test]
fn the_lyapunov_function_falls_as_proved() {
    for (problem, k) in
        [(Problem::digits(), 1), (Problem::digits(), 8), (Problem::breast_cancer_standardised(), 2)]
    {
        let Problem { dataset, shares, lambda } = &problem;
        let smoothness = Smoothness::of_logistic(dataset, shares, *lambda);
        let alpha = top_k_alpha(k, dataset.dimension());
        let gamma = smoothness.gamma(Mean::Arithmetic, alpha);
        let objective = logistic(dataset, shares, *lambda);
        let mut run = run(&problem, Mean::Arithmetic, k, Init::Compressed);
        let mut gradient = vec![0.0; dataset.dimension()];
        let mut bound = f64::INFINITY;
        for t in 0..300 {
            let loss = objective.loss_and_gradient(&run.x, &mut gradient);
            let weighted = |(i, l_i): (usize, &f64)| smoothness.l_am / l_i * run.estimator_error(i);
            let error =
                smoothness.l_i.iter().enumerate().map(weighted).sum::<f64>() / shares.len() as f64;
            let psi = loss + gamma / (2.0 * theta(alpha)) * error;
            assert!(psi <= bound + 1e-14, "t = {t}: {psi} exceeds {bound}");
            bound = psi - gamma / 2.0 * norm_squared(&gradient);
            run.round();
        }
    }
}
