//! The rule by itself, and EF21 with TopK on random quadratics under it.

use super::*;
use proptest::prelude::*;
use smidgen_protocol::step::Rule;

const ONE_LOSS: fn(i32) -> Option<(i32, Ratio)> = |loss| Some((loss, Ratio::ONE));

/// One worker with one coordinate: reports a loss, and moves by what the pace says.
fn feed(tuner: &mut Tuner, loss: i32, g: i32, moved: i32) -> u8 {
    tuner.report([ONE_LOSS(loss)].into_iter(), 0);
    let pace = tuner.judge(&[g.into()], 0);
    tuner.promise(0, (&[g], 0, Ratio::ONE), (&[moved], &[0], 0));
    pace
}

#[test]
fn a_fall_as_promised_lengthens_the_step_and_a_rise_shortens_it() {
    let mut tuner = Tuner::new(1, FIRST_GROWTH_MAX);
    assert_eq!(feed(&mut tuner, 1_000_000, 100, 100), 0, "nothing is known yet");
    let grown = feed(&mut tuner, 990_100, 100, 100);
    assert_eq!(i32::from(grown), FIRST_GROWTH_MAX, "99 % of what was promised: too short by far");
    let shrunk = feed(&mut tuner, 1_000_000, -100, -100);
    assert_eq!(i32::from(grown - shrunk), OCTAVE, "g turned, and its angle says half");
    let again = feed(&mut tuner, 991_000, -100, -100);
    assert_eq!(i32::from(again - shrunk), GROWTH_MAX, "by small steps, once one was too long");
}

#[test]
fn an_old_estimator_is_waited_for_and_not_punished() {
    let mut tuner = Tuner::new(1, FIRST_GROWTH_MAX);
    feed(&mut tuner, 1_000_000, 100, 100);
    let grown = feed(&mut tuner, 990_100, 100, 100);
    let after = feed(&mut tuner, 991_000, 100, 100);
    assert_eq!(grown - after, 1, "the loss rose, and g points where it pointed");
}

#[test]
fn losses_that_only_rise_lead_back_to_theory() {
    let mut tuner = Tuner::new(1, FIRST_GROWTH_MAX);
    feed(&mut tuner, 1000, 100, 1);
    feed(&mut tuner, 901, 100, 1);
    assert!(tuner.pace > 0);
    for round in 0..400 {
        feed(&mut tuner, 3000 + round, 100, 1);
    }
    assert_eq!((tuner.pace, tuner.ceiling), (0, 0));
}

#[test]
fn noise_lengthens_trials_and_leaves_the_step() {
    let mut tuner = Tuner::new(1, FIRST_GROWTH_MAX);
    for round in 0..1000 {
        let noise = [5000, -4000, 3000, -5000][round as usize % 4];
        feed(&mut tuner, 1_000_000 + noise, 1, 1);
    }
    assert!(tuner.pace <= 1, "a thousand steps promise less than the noise: {}", tuner.pace);
}

proptest! {
    #[test]
    fn eighths_are_logarithms(a in 1i128..1 << 100, b in 1i128..1 << 100) {
        let exact = 8.0 * (a as f64 / b as f64).log2();
        prop_assume!((exact - exact.round()).abs() > 1e-3);
        prop_assert_eq!(eighths(a, b), exact.floor() as i32);
    }

    /// Whatever workers say, nothing overflows, and the pace stays under its ceiling.
    #[test]
    fn any_losses_and_estimators_are_survived(
        rounds in prop::collection::vec(
            (prop::collection::vec(prop::option::of(-(1i32 << 23)..1 << 23), 3), any::<[i32; 2]>(), any::<[i32; 2]>(), any::<i8>()),
            1..60,
        ),
        weight_exponent in 0i16..60,
    ) {
        let weight = Ratio { mantissa: 1 << 30, exponent: weight_exponent };
        let mut tuner = Tuner::new(3, FIRST_GROWTH_MAX);
        for (losses, g, x, exponent) in rounds {
            let losses = losses.into_iter().map(|loss| loss.map(|loss| (loss, weight)));
            tuner.report(losses, exponent);
            let pace = tuner.judge(&g.map(|g| i64::from(g) << 15), exponent);
            prop_assert!(pace <= tuner.ceiling);
            for worker in 0..3 {
                tuner.promise(worker, (&g, exponent, weight), (&x, &[i32::MAX, -i32::MAX], exponent));
            }
        }
    }
}

/// f_i(x) = ½ Σ_j h_ij (x_j − c_ij)², in fixed point as it would travel; n = 3, d = 4, K = 1.
#[derive(Debug)]
struct Quadratics {
    h: [[f64; 4]; 3],
    c: [[f64; 4]; 3],
}

/// Grids of x and of the g_i.
const GRIDS: (Exponent, Exponent) = (20, 12);

impl Quadratics {
    fn gradient(&self, i: usize, x: &[i32; 4]) -> [i32; 4] {
        let scale = f64::from(GRIDS.1).exp2();
        let at = |j: usize| f64::from(x[j]) * (-f64::from(GRIDS.0)).exp2() - self.c[i][j];
        [0, 1, 2, 3].map(|j| (self.h[i][j] * at(j) * scale).round() as i32)
    }

    fn losses(&self, x: &[i32; 4]) -> [f64; 3] {
        let at = |i: usize, j: usize| f64::from(x[j]) * (-f64::from(GRIDS.0)).exp2() - self.c[i][j];
        [0, 1, 2].map(|i| (0..4).map(|j| 0.5 * self.h[i][j] * at(i, j).powi(2)).sum())
    }

    /// γ/n of theory, "Error Feedback Reloaded", Theorem 3.
    fn theory(&self) -> Rule {
        let l_i = self.h.map(|h| h.into_iter().fold(0.0, f64::max));
        let l = (0..4).map(|j| self.h.iter().map(|h| h[j]).sum::<f64>() / 3.0).fold(0.0, f64::max);
        // ξ(α) = sqrt(1 − α) / (1 − sqrt(1 − α)) of α = K/d = 1/4.
        let root = 0.75f64.sqrt();
        let xi = root / (1.0 - root);
        let gamma_n = crate::ratio::ratio(1.0 / (l + l_i.iter().sum::<f64>() / 3.0 * xi) / 3.0);
        Rule { gamma_n, ..Rule::default() }
    }

    /// Runs EF21 with TopK; returns the losses f(x^t).
    fn run(&self, rounds: u32, present: impl Fn(usize, u32) -> bool) -> Vec<f64> {
        let mut tuner = Tuner::new(3, FIRST_GROWTH_MAX);
        let mut x = [0; 4];
        let mut g = [0, 1, 2].map(|i| self.gradient(i, &x));
        let mut trajectory = Vec::new();
        for round in 0..rounds {
            let losses = self.losses(&x);
            trajectory.push(losses.iter().sum::<f64>() / 3.0);
            let largest = losses.into_iter().fold(1e-9, f64::max);
            let exponent = (21 - largest.log2().ceil() as i32) as Exponent;
            let mantissa = |loss: f64| (loss * f64::from(exponent).exp2()).round() as i32;
            let said = (0..3).map(|i| present(i, round).then(|| (mantissa(losses[i]), Ratio::ONE)));
            tuner.report(said, exponent);
            for (i, g_i) in g.iter_mut().enumerate().filter(|&(i, _)| present(i, round)) {
                let now = self.gradient(i, &x);
                let most = (0..4).max_by_key(|&j| now[j].abs_diff(g_i[j])).expect("four");
                g_i[most] = now[most];
            }
            let sum = [0, 1, 2, 3].map(|j| g.iter().map(|g_i| i64::from(g_i[j])).sum::<i64>());
            let gamma_n = self.theory().paced(tuner.judge(&sum, GRIDS.1)).gamma_n;
            let before = x;
            let shift = i32::from(GRIDS.1) - i32::from(GRIDS.0);
            let moved = |j: usize| i64::from(x[j]) - gamma_n.scale(sum[j], shift);
            x = [0, 1, 2, 3].map(|j| vector::saturate(moved(j), &mut 0));
            for (i, g_i) in g.iter().enumerate() {
                tuner.promise(i, (g_i, GRIDS.1, Ratio::ONE), (&before, &x, GRIDS.0));
            }
        }
        trajectory
    }
}

prop_compose! {
    /// Curvatures over three orders of magnitude, centres apart.
    fn quadratics()(
        bits in prop::array::uniform3(prop::array::uniform4(-5.0f64..5.0)),
        c in prop::array::uniform3(prop::array::uniform4(-8.0f64..8.0)),
    ) -> Quadratics {
        Quadratics { h: bits.map(|bits| bits.map(f64::exp2)), c }
    }
}

proptest! {
    /// The loss may rise far for some rounds; it comes back.
    #[test]
    fn no_quadratic_diverges(problem in quadratics(), seed: u32, half: bool) {
        let draw = |i: usize, round: u32| {
            (seed ^ round.wrapping_mul(0x9e37_79b9) ^ i as u32).wrapping_mul(0x85eb_ca6b) >> 31 == 0
        };
        let trajectory = problem.run(800, |i, round| round == 0 || !half || draw(i, round));
        let first = trajectory[0];
        let last = trajectory[700..].iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(last <= first, "from {first} to {last}");
    }
}
