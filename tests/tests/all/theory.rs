//! The constants that the host computes before the first round, against those of the reference.

use smidgen::options::{self, Method, Options};
use smidgen::problem::theory::{Mean, Smoothness, noise, top_k_alpha, xi};
use smidgen::run::ExperimentError;
use smidgen::run::experiment::Experiment;
use smidgen::study::reproduction::Study;
use smidgen::world::World;
use smidgen_tests::conformance::{each, experiment, run, try_experiment};
use smidgen_tests::reference::{self, Constants, Problem};
use smidgen_tests::shared;

fn check(problem: &Problem, expected: &Constants) {
    let Problem { dataset, shares, lambda } = problem;
    let found = Smoothness::of_logistic(dataset, shares, *lambda);
    let alpha = top_k_alpha(1, dataset.dimension());
    for (what, found, expected, tolerance) in [
        ("L", found.l, expected.l, 1e-6),
        ("L_AM", found.l_am, expected.l_am, 1e-6),
        ("L_QM", found.l_qm, expected.l_qm, 1e-6),
        ("L_var", found.l_var, expected.l_var, 1e-3),
        ("γ with L_QM", found.gamma(Mean::Quadratic, alpha), expected.gamma_qm, 1e-6),
        ("γ with L_AM", found.gamma(Mean::Arithmetic, alpha), expected.gamma_am, 1e-6),
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

/// The step of a panel in its study, and that of theory for unrounded values; `None` where the data
/// of the panel are missing.
fn steps(name: &str, panel: &str, test: &str) -> Option<(f64, f64)> {
    let study = Study::load(name).unwrap_or_else(|error| panic!("{error}"));
    let panel = study.panels.into_iter().find(|of| of.name == panel).expect("the study has it");
    let mut options = panel.curves[0].options.clone();
    if panel.missing().is_some() {
        options.dataset = shared::path(&options.dataset.display().to_string(), test)?;
    }
    let options::Step::Fixed(gamma) = options.step else { panic!("{name} has fixed steps") };
    let options = Options { step: options::Step::Am, value_bits: 32, ..options };
    let experiment = Experiment::new(&options, None, 1).unwrap_or_else(|error| panic!("{error}"));
    Some((gamma, experiment.setup.method.gamma))
}

/// A step is written as a number, so that curves of few bits have it, too.
#[test]
fn studies_have_the_step_of_unrounded_values() {
    let test = "studies_have_the_step_of_unrounded_values";
    for (study, panel) in [
        ("weights", "australian"),
        ("weights", "breast-cancer-raw"),
        ("weights", "quadratics"),
        ("bits", "mushrooms"),
        ("bits", "australian"),
    ] {
        let Some((written, theory)) = steps(study, panel, test) else { continue };
        assert!((written / theory - 1.0).abs() < 1e-12, "{study}, {panel}: {written} {theory}");
    }
    // The page says that this step is 134 times as long.
    let (written, theory) = steps("bits", "digits", test).expect("the data are bundled");
    assert_eq!((written / theory).round(), 134.0, "{written} {theory}");
}

/// γ of four workers with these options.
fn try_gamma(options: &str) -> Result<f64, ExperimentError> {
    let experiment = try_experiment(&format!("--rows 400 --workers 4 --value-bits 32 {options}"));
    Ok(experiment?.setup.method.gamma)
}

fn gamma(options: &str) -> f64 {
    try_gamma(options).unwrap_or_else(|error| panic!("{options}: {error}"))
}

#[test]
fn unequal_workers_have_their_own_terms_in_the_step() {
    let options = "--k 1,8,32,64 --participation 1,0.5,0.25,1";
    let mixed = experiment(&format!("--rows 400 --workers 4 --value-bits 32 --step am {options}"));
    let Smoothness { l, ref l_i, l_qm, .. } = *mixed.smoothness.as_ref().expect("it is logistic");
    let alphas = [1.0 / 64.0, 0.5 / 8.0, 0.25 / 2.0, 1.0];
    let error: f64 = l_i.iter().zip(alphas).map(|(l_i, alpha)| l_i * xi(alpha) / 4.0).sum();
    assert!((mixed.setup.method.gamma * (l + error) - 1.0).abs() < 1e-12);
    // The first theory of EF21 knows one compressor, the worst.
    let old = gamma(&format!("{options} --step qm"));
    assert!((old * (l + l_qm * xi(1.0 / 64.0)) - 1.0).abs() < 1e-12);
    let momentum = gamma(&format!("{options} --step am --method ef21-hb --eta 0.5"));
    assert!((momentum * (6.0 * l + 2.0 * error) - 1.0).abs() < 1e-12);
}

#[test]
fn minibatches_shorten_steps_of_noiseless_theory() {
    let options = "--step am --k 4";
    let one = experiment(&format!("--rows 400 --workers 4 --value-bits 32 {options}"));
    let Smoothness { l, l_am, .. } = *one.smoothness.as_ref().expect("it is logistic");
    let left = noise::contraction(4.0 / 64.0);
    assert_eq!(gamma(&format!("{options} --batch 99")), 1.0 / (l + l_am * xi(left)));
    for unchanged in ["", "--method ef21-sgdm"] {
        let batch = if unchanged.is_empty() { 100 } else { 10 };
        let plain = gamma(&format!("{options} {unchanged}"));
        assert_eq!(gamma(&format!("{options} {unchanged} --batch {batch}")), plain);
    }
    // The noise of least squares is bounded only by a multiple of f: γ is then inversely proportional to the variance.
    let least_squares = format!("{options} --objective least-squares");
    let [one, two] = [1, 2].map(|batch| gamma(&format!("{least_squares} --batch {batch}")));
    let expected = noise::variance(100, 1) / noise::variance(100, 2);
    assert!((two / one / expected - 1.0).abs() < 1e-12);
    assert!(gamma(&format!("{least_squares} --batch 99")) > two);
}

#[test]
fn equal_workers_have_the_step_of_one_to_the_last_bit() {
    let mut compared = 0;
    for method in each::<Method>("--method") {
        let options = format!("{method} --step auto --participation 0.7 --k 4");
        let list = options.replace("0.7", "0.7,0.7,0.7,0.7").replace("--k 4", "--k 4,4,4,4");
        // A method that refuses a step of theory, partial participation or K refuses the list as well.
        let [one, each] = [options, list].map(|options| try_gamma(&options).ok());
        assert_eq!(one, each, "{method}");
        compared += usize::from(one.is_some());
    }
    assert!(compared >= 6, "{compared} methods were compared");
    let one = experiment("--rows 400 --workers 4 --value-bits 32 --step am --k 4");
    let Smoothness { l, l_am, .. } = *one.smoothness.as_ref().expect("it is logistic");
    assert_eq!(one.setup.method.gamma, 1.0 / (l + l_am * xi(4.0 / 64.0)));
}

/// The L̂_i that simulated boards report over the L_i of f64, the largest of all workers and the mean of them.
fn looseness(options: &str) -> (f64, f64) {
    let experiment = experiment(&format!("{options} --constants boards --rounds 1"));
    let mut world = experiment.simulation();
    run(&experiment, &mut world).unwrap_or_else(|error| panic!("{error}"));
    let l_i = &experiment.smoothness.as_ref().expect("it is logistic").l_i;
    let ratio = |worker: usize| world.aggregator().l_i(worker).expect("it was asked") / l_i[worker];
    let ratios: Vec<f64> = (0..l_i.len()).map(ratio).collect();
    // Boards know quantised features, which may differ from the host's in the last bit.
    assert!(ratios.iter().all(|&ratio| ratio > 1.0 - 1e-4), "{options}: {ratios:?}");
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    (ratios.into_iter().fold(0.0, f64::max), mean)
}

#[test]
fn bounds_of_boards_are_tight() {
    for (options, most) in [
        ("--dataset digits --workers 10 --split sorted-norm", 1.0001),
        ("--dataset digits --workers 8 --objective softmax --scale-columns off", 1.0001),
        ("--dataset breast-cancer --workers 10", 1.0001),
        ("--dataset breast-cancer --split one-each", 1.0001),
        // Shifted columns have values of both signs.
        ("--dataset digits --workers 8 --objective softmax", 1.9),
        ("--dataset breast-cancer-standardised --workers 10 --split sorted-norm", 1.4),
    ] {
        let (largest, mean) = looseness(&format!("--lambda 0 {options}"));
        println!("{options}: L̂_i / L_i is {largest:.6} at most, {mean:.6} in the mean");
        assert!(largest <= most, "{options}: {largest}");
    }
}

#[test]
fn bounds_of_boards_are_tight_on_files() {
    for (name, options) in [
        ("mushrooms", "--workers 20"),
        ("phishing", "--workers 20"),
        ("a9a", "--workers 20"),
        ("w1a", "--workers 20"),
        ("australian", "--split one-each"),
        ("australian", "--workers 10"),
    ] {
        let Some(path) = shared::path(name, "bounds_of_boards_are_tight_on_files") else {
            continue;
        };
        let (largest, mean) =
            looseness(&format!("--lambda 0 {options} --dataset {}", path.display()));
        println!("{name} {options}: L̂_i / L_i is {largest:.6} at most, {mean:.6} in the mean");
        assert!(largest <= 1.001, "{name}: {largest}");
    }
}
