//! Raw measurements on emulated boards: the host scales and shifts columns before it sends rows. Boards train the model
//! of simulation, whose loss on raw rows is the one that they report, and measure the constants of scaled columns.

use smidgen::problem::dataset::quantise::dequantise;
use smidgen::problem::dataset::{Dataset, Roles, Scaling};
use smidgen::problem::objective::{HIDDEN, Margins, Objective, Penalty};
use smidgen::run::experiment::Experiment;
use smidgen::world::World;
use smidgen_protocol::shard::Shard;
use smidgen_tests::conformance::{experiment, trained_in, transcripts};
use smidgen_tests::emulation::{driver, start};

/// Columns from 0.001 to 1000, some of which have a mean of many deviations.
const RAW: &str = "--dataset breast-cancer --rounds 25";

/// The rows as the file has them.
fn raw_rows(experiment: &Experiment) -> Dataset {
    let options = experiment.options();
    let labels = options.objective.info().labels;
    let raw = Dataset::load_raw(&options.dataset, labels, Roles::default()).expect("it is bundled");
    match options.rows {
        Some(rows) => raw.take(rows).expect("it has as many"),
        None => raw,
    }
}

fn scaling(experiment: &Experiment) -> &[Scaling] {
    &experiment.shape.preparation.scaling
}

/// The same model for raw columns: the shifts move into the biases.
fn of_raw_columns(experiment: &Experiment, x: &[f64]) -> Vec<f64> {
    let scaling = scaling(experiment);
    let of_unit = |unit: &[f64]| {
        let (bias, weights) = unit.split_last().expect("a bias");
        let weights: Vec<f64> = weights.iter().zip(scaling).map(|(w, it)| w / it.scale).collect();
        let shift: f64 = weights.iter().zip(scaling).map(|(w, it)| w * it.centre).sum();
        [weights, vec![bias - shift]].concat()
    };
    let units = match experiment.options().objective.info().margins {
        Margins::One => 1,
        Margins::PerClass => experiment.shape.class_names.len(),
        Margins::Hidden => HIDDEN,
    };
    let (units, rest) = x.split_at(units * (scaling.len() + 1));
    units.chunks(scaling.len() + 1).flat_map(of_unit).chain(rest.iter().copied()).collect()
}

/// f(x) in f64 on raw rows, with x for raw columns.
fn raw_loss(experiment: &Experiment, raw: &Dataset, x: &[f64]) -> f64 {
    let options = experiment.options();
    let with_ones = options.intercept.then(|| raw.with_ones());
    let rows = with_ones.as_ref().unwrap_or(raw);
    let shares = &experiment.data.as_ref().expect("the host has the rows").shares;
    let penalty = Penalty { regulariser: options.regulariser, lambda: options.lambda };
    let objective = Objective::new(options.objective, penalty, rows, shares);
    objective.loss_and_gradient(x, &mut vec![0.0; x.len()])
}

/// Asserts that the columns are badly scaled, and that boards are sent integers from which scales and shifts give the
/// rows of the file.
fn assert_sent(experiment: &Experiment, raw: &Dataset, options: &str) {
    let scaling = scaling(experiment);
    let scales = || scaling.iter().map(|column| column.scale);
    assert!(scales().all(|scale| scale.log2().fract() == 0.0), "{options}: {scaling:?}");
    let (least, most) = (scales().fold(f64::INFINITY, f64::min), scales().fold(0.0, f64::max));
    assert!(most >= 1e4 * least, "{options}: {least} to {most}");
    let shifted = scaling.iter().filter(|column| column.centre != 0.0).count();
    assert!(2 * shifted > scaling.len(), "{options}: {shifted} columns are shifted");
    let shares = &experiment.data.as_ref().expect("the host has the rows").shares;
    for (share, rows) in experiment.setup.shares.iter().zip(shares) {
        let mut words = vec![0u32; share.data.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..share.data.len()].copy_from_slice(&share.data);
        let shard = Shard::open(bytemuck::cast_slice(&words)).expect("a shard");
        let sent = dequantise(&shard);
        assert_eq!(sent.len(), rows.len(), "{options}");
        for (sent, &row) in sent.iter().zip(rows) {
            let mut expected = vec![0.0; scaling.len()];
            raw.row(row).entries().for_each(|(column, value)| expected[column] = value);
            for ((sent, expected), column) in sent.iter().zip(expected).zip(scaling) {
                let found = sent * column.scale + column.centre;
                // Columns without a unit are rounded to 16 bits.
                let error = (found - expected).abs() / column.scale;
                assert!(error < 1e-3, "{options}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn emulated_boards_train_the_model_of_simulation_on_raw_rows() {
    let test = "emulated_boards_train_the_model_of_simulation_on_raw_rows";
    let cases: [(&str, &[&str]); 4] = [
        ("--intercept", &["mps2-m3", "stm32f405"]),
        ("--intercept --rows 240", &["microbit", "mps2-m33", "microbit"]),
        ("--objective softmax", &["mps2-m4", "stm32f405"]),
        ("--objective perceptron --rows 200", &["mps2-m7", "stm32f405"]),
    ];
    for (options, boards) in cases {
        let Some(emulators) = start(boards, test) else { return };
        // λ = 0 leaves the function as it is.
        let options = format!("{RAW} --lambda 0 --workers {} {options}", boards.len());
        let experiment = experiment(&options);
        let raw = raw_rows(&experiment);
        assert_sent(&experiment, &raw, &options);
        let mut world = driver(&experiment, &emulators);
        let (rounds, model) = trained_in(&experiment, &mut world);
        let (expected, expected_model) = trained_in(&experiment, &mut experiment.simulation());
        assert_eq!(transcripts(&rounds), transcripts(&expected), "{options}");
        assert_eq!(model, expected_model, "{options}");
        for board in 0..boards.len() {
            assert_eq!(world.aggregator().statistics(board).overruns, 0, "{options}");
        }

        let reported = model.loss.expect("all boards report it");
        let x = of_raw_columns(&experiment, &model.values);
        let loss = raw_loss(&experiment, &raw, &x);
        let objective = experiment.objective().expect("the host has the rows");
        let (scaled, _) = objective.loss_and_norm_squared(&model.values);
        assert!((loss / scaled - 1.0).abs() < 1e-4, "{options}: {loss}, {scaled} on scaled rows");
        // A reported loss is known to an eighth of its last change.
        assert!((loss / reported - 1.0).abs() < 1e-2, "{options}: {loss}, reported {reported}");
        assert!(reported < 0.5 * rounds[0].loss, "{options}: {reported}");
    }
}

/// γ of the tight theory for functions with these constants, if K of d coordinates are sent in 32 bits.
fn tight_gamma(l_i: &[f64], mu: f64, k: usize, d: u32) -> f64 {
    let s = (1.0 - k as f64 / f64::from(d)).sqrt();
    let mean = l_i.iter().sum::<f64>() / l_i.len() as f64;
    2.0 / (mean + mu) * (1.0 - s) / (1.0 + s)
}

#[test]
fn emulated_boards_report_the_constants_of_the_tight_step() {
    const BASE: &str = "--workers 2 --k 3 --value-bits 32 --step tight --constants boards";
    let test = "emulated_boards_report_the_constants_of_the_tight_step";
    let boards = ["mps2-m3", "stm32f405"];
    let Some(emulators) = start(&boards, test) else { return };
    let cases = [
        ("--intercept --regulariser l2 --lambda 0.01", 0.01),
        ("--intercept --lambda 0", 0.0),
        ("--objective softmax --regulariser l2 --lambda 0.1", 0.1),
        ("--objective least-squares --split sorted-norm --regulariser l2 --lambda 0.02", 0.02),
    ];
    for (session, (options, lambda)) in (1..).zip(cases) {
        let options = format!("{RAW} {BASE} {options}");
        let mut experiment = experiment(&options);
        experiment.setup.session = session;
        let mut worlds = (driver(&experiment, &emulators), experiment.simulation());
        let (rounds, model) = trained_in(&experiment, &mut worlds.0);
        let (expected, expected_model) = trained_in(&experiment, &mut worlds.1);
        assert_eq!(transcripts(&rounds), transcripts(&expected), "{options}");
        assert_eq!(model, expected_model, "{options}");
        let l_i = worlds.0.aggregator().reported().expect("all boards were asked");
        assert_eq!(Some(&l_i), worlds.1.aggregator().reported().as_ref(), "{options}");
        let exact = &experiment.smoothness.as_ref().expect("the host has the rows").l_i;
        let looseness: Vec<f64> = l_i.iter().zip(exact).map(|(bound, l)| bound / l).collect();
        println!("{options}: L̂_i / L_i is {looseness:.4?}");
        // Boards bound those of the scaled columns; values of both signs make bounds loose.
        assert!(looseness.iter().all(|of| (0.9999..1.5).contains(of)), "{options}: {looseness:?}");
        let gamma = worlds.0.aggregator().gamma();
        let tight = tight_gamma(&l_i, lambda, 3, experiment.setup.dimension);
        assert!((gamma / tight - 1.0).abs() < 1e-6, "{options}: {gamma}, not {tight}");
    }
}
