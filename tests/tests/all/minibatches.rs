//! Minibatches in whole runs: the batch of all rows, the noise floor, and the self-tuning step.

use smidgen::record::RoundRecord;
use smidgen_tests::conformance::{experiment, simulated, transcripts};

fn norms(rounds: &[RoundRecord]) -> Vec<f64> {
    rounds.iter().map(|r| r.gradient_norm_squared.expect("simulation knows it")).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn only_a_batch_of_all_rows_changes_nothing() {
    let options = "--rows 400 --rounds 30 --init full --k 4";
    let run = |more: &str| simulated(&experiment(&format!("{options} {more}")));
    let plain = run("");
    for all in ["--batch 100", "--batch 1000 --seed 5"] {
        assert_eq!(run(all), plain, "{all}");
    }
    let one_left_out = run("--batch 99");
    assert_ne!(transcripts(&one_left_out), transcripts(&plain));
    assert_ne!(transcripts(&one_left_out), transcripts(&run("--batch 99 --seed 5")));
}

/// On a strongly convex f, where all rows lead to the optimum, EF21-SGD stays at a floor and EF21-SGDM with a small η
/// at a lower one, as in the paper of the latter.
#[test]
fn noise_leaves_a_floor_and_momentum_a_lower_one() {
    let floor = |options: &str| {
        let base = "--workers 8 --k 8 --regulariser l2 --lambda 0.1 --step 0.02 --rounds 3000 --scale-columns off";
        let norms = norms(&simulated(&experiment(&format!("{base} {options}"))));
        (mean(&norms[1500..2250]), mean(&norms[2250..3000]))
    };
    let (_, full) = floor("");
    assert!(full < 1e-7, "{full:e}");
    let (before, sgd) = floor("--batch 16");
    assert!(sgd > 1e-4 && (0.5..2.0).contains(&(before / sgd)), "{before:e}, then {sgd:e}");
    let (before, momentum) = floor("--batch 16 --method ef21-sgdm --eta 0.01");
    assert!(momentum < 0.4 * sgd, "{before:e}, then {momentum:e}, against {sgd:e}");
}

/// For each seed at least as good as the step of theory, up to the noise of single rows, and far better on the mean of
/// four seeds.
#[test]
fn a_tuned_step_tolerates_minibatches() {
    for (batch, noise, far) in [(1, 1.1, 1.0), (16, 1.0, 10.0), (64, 1.0, 10.0)] {
        let mut sums = (0.0, 0.0);
        for seed in 0..4 {
            let options =
                format!("--workers 8 --k 8 --rounds 300 --batch {batch} --seed {seed} --step");
            let [tuned, theory] = ["auto", "am"].map(|step| {
                let rounds = simulated(&experiment(&format!("{options} {step}")));
                let norms = norms(&rounds);
                (rounds[300].loss, mean(&norms[250..]))
            });
            let context = format!("batch {batch}, seed {seed}: {tuned:?}, {theory:?}");
            assert!(tuned.0 <= noise * theory.0 && tuned.1 <= noise * theory.1, "{context}");
            sums = (sums.0 + tuned.1, sums.1 + theory.1);
        }
        assert!(far * sums.0 <= sums.1, "batch {batch}: {sums:?}");
    }
}
