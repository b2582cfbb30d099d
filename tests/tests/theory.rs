//! The constants that the host computes before the first round, against those of the reference.

use smidgen::theory::{Smoothness, Step, top_k_alpha};
use smidgen_tests::reference::{self, Constants, Problem};

fn check(problem: &Problem, expected: &Constants) {
    let Problem { dataset, shares, lambda } = problem;
    let found = Smoothness::of_logistic(dataset, shares, *lambda);
    let alpha = top_k_alpha(1, dataset.dimension());
    for (what, found, expected, tolerance) in [
        ("L", found.l, expected.l, 1e-6),
        ("L_AM", found.l_am, expected.l_am, 1e-6),
        ("L_QM", found.l_qm, expected.l_qm, 1e-6),
        ("L_var", found.l_var, expected.l_var, 1e-3),
        ("γ with L_QM", found.gamma(Step::Qm, alpha), expected.gamma_qm, 1e-6),
        ("γ with L_AM", found.gamma(Step::Am, alpha), expected.gamma_am, 1e-6),
    ] {
        assert!((found / expected - 1.0).abs() <= tolerance, "{what}: {found} is not {expected}");
    }
}

#[test]
fn constants_of_digits() {
    check(&Problem::digits(), &reference::DIGITS);
}

#[test]
fn constants_of_breast_cancer() {
    check(&Problem::breast_cancer(), &reference::BREAST_CANCER);
    check(&Problem::breast_cancer_standardised(), &reference::BREAST_CANCER_STANDARDISED);
}

#[test]
fn constants_of_phishing() {
    let Some(problem) = Problem::contiguous("phishing", "constants_of_phishing") else { return };
    check(&problem, &reference::PHISHING);
}

#[test]
fn constants_of_mushrooms() {
    let Some(problem) = Problem::contiguous("mushrooms", "constants_of_mushrooms") else { return };
    check(&problem, &reference::MUSHROOMS);
}

#[test]
fn constants_of_a9a() {
    let Some(problem) = Problem::contiguous("a9a", "constants_of_a9a") else { return };
    check(&problem, &reference::A9A);
}

#[test]
fn constants_of_australian() {
    let Some(problem) = Problem::australian("constants_of_australian") else { return };
    check(&problem, &reference::AUSTRALIAN);
}

#[test]
fn constants_of_w1a() {
    let Some(problem) = Problem::w1a("constants_of_w1a") else { return };
    check(&problem, &reference::W1A);
}
