//! Features of a window in exact integers.
//!
//! ```text
//! S = Σ x    E = Σ x²    V = n E − S²    D = Σ |x_t − x_{t−1}|        all sums without rounding
//!
//! mean S / n    std √V / n    mad D / (n − 1)    rms √(n E) / n       rounded to nearest, halves away from zero
//! ```
//!
//! With q = ⌊√(4 V)⌋, ⌊(q + n) / 2n⌋ is √V / n rounded: the integer part of a quotient by an integer does not change if
//! the dividend loses its fraction first.
//!
//! For windows of up to 2^16 − 1 samples S fits i32, D u32, and 4 n E as well as 4 V u64.

use super::window::Samples;
use smidgen_protocol::recipe::{Feature, Features, ROW_LEN_MAX};

/// Computes the row of a window; returns it in `row`.
pub fn row<'r>(
    samples: &Samples<'_>,
    features: Features,
    row: &'r mut [i16; ROW_LEN_MAX],
) -> &'r [i16] {
    let mut places = row.iter_mut();
    let mut len = 0;
    for channel in 0..samples.channels() {
        let sums = Sums::of(samples.channel(channel));
        for (feature, place) in features.iter().zip(&mut places) {
            *place = sums.feature(feature);
            len += 1;
        }
    }
    row.get(..len).unwrap_or_default()
}

/// Sums over one channel of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u32,
    sum: i32,
    squares: u64,
    differences: u32,
    min: i16,
    max: i16,
}

impl Sums {
    fn of(samples: impl Iterator<Item = i16> + Clone) -> Self {
        let first = samples.clone().next().unwrap_or(0);
        let mut sums = Self { min: first, max: first, ..Self::default() };
        let mut last = first;
        for sample in samples {
            sums.count += 1;
            sums.sum += i32::from(sample);
            sums.squares += u64::from(i32::from(sample).pow(2).unsigned_abs());
            sums.differences += u32::from(sample.abs_diff(last));
            sums.min = sums.min.min(sample);
            sums.max = sums.max.max(sample);
            last = sample;
        }
        sums
    }

    fn feature(&self, feature: Feature) -> i16 {
        match feature {
            Feature::Mean => self.mean(),
            Feature::Deviation => {
                self.rooted(self.energy() - u64::from(self.sum.unsigned_abs()).pow(2))
            }
            Feature::Difference => {
                saturate(quotient(self.differences, self.count.saturating_sub(1)))
            }
            Feature::Min => self.min,
            Feature::Max => self.max,
            Feature::Rms => self.rooted(self.energy()),
        }
    }

    /// n E, at least S² (Cauchy, Schwarz).
    fn energy(&self) -> u64 {
        u64::from(self.count) * self.squares
    }

    fn mean(&self) -> i16 {
        let magnitude = quotient(self.sum.unsigned_abs(), self.count) as i32;
        // A mean is in the range of its samples.
        (if self.sum < 0 { -magnitude } else { magnitude }) as i16
    }

    /// √`square` / n.
    fn rooted(&self, square: u64) -> i16 {
        saturate(quotient((4 * square).isqrt() as u32, 2 * self.count))
    }
}

/// `dividend / divisor`, rounded to nearest, halves up; 0 for a divisor of 0.
fn quotient(dividend: u32, divisor: u32) -> u32 {
    let Some(quotient) = dividend.checked_div(divisor) else { return 0 };
    let rest = dividend - quotient * divisor;
    quotient + u32::from(rest >= divisor - rest)
}

/// Only a channel that swings over its full scale exceeds an i16: its rms by 1, its mad by a factor of up to 2.
fn saturate(magnitude: u32) -> i16 {
    magnitude.min(i16::MAX.unsigned_abs().into()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::window::Window;
    use proptest::prelude::*;
    use smidgen_protocol::recipe::Recipe;

    fn all() -> Features {
        Feature::ALL.into_iter().fold(Features::NONE, Features::with)
    }

    /// The features of one window of samples, which have one value per channel.
    fn features(samples: &[Vec<i16>], features: Features) -> Vec<i16> {
        let recipe = Recipe {
            channels: samples[0].len() as u8,
            window: samples.len() as u16,
            hop: 1,
            features,
            rate_millihertz: 1,
        };
        let mut memory = vec![0; recipe.window_len()];
        let mut window = Window::new(&mut memory);
        window.start(&recipe).unwrap();
        let (last, before) = samples.split_last().unwrap();
        assert!(before.iter().all(|sample| window.push(sample).is_none()));
        row(&window.push(last).unwrap(), features, &mut [0; ROW_LEN_MAX]).to_vec()
    }

    fn single(samples: impl IntoIterator<Item = i16>) -> Vec<i16> {
        features(&samples.into_iter().map(|sample| vec![sample]).collect::<Vec<_>>(), all())
    }

    /// The features of a channel in f64, before rounding.
    fn exact(samples: &[i16]) -> [f64; 6] {
        let x: Vec<f64> = samples.iter().map(|&sample| sample.into()).collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let differences: f64 = x.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
        let energy = x.iter().map(|x| x * x).sum::<f64>() / n;
        let (min, max) = (
            x.iter().copied().fold(f64::MAX, f64::min),
            x.iter().copied().fold(f64::MIN, f64::max),
        );
        [mean, variance.sqrt(), differences / (n - 1.0).max(1.0), min, max, energy.sqrt()]
    }

    /// Samples of all magnitudes, runs of equal ones and extremes.
    fn channels() -> impl Strategy<Value = Vec<i16>> {
        let sample = prop_oneof![any::<i16>(), -3i16..4, Just(i16::MIN), Just(i16::MAX)];
        let run = (sample, 1usize..9).prop_map(|(sample, count)| vec![sample; count]);
        let shifted = (any::<i16>(), 0u32..16).prop_map(|(sample, shift)| vec![sample >> shift]);
        prop::collection::vec(prop_oneof![run, shifted], 1..200).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn features_are_within_half_a_unit_of_f64(samples in channels()) {
            for (found, exact) in single(samples.clone()).into_iter().zip(exact(&samples)) {
                let error = (f64::from(found) - exact.min(32767.0)).abs();
                prop_assert!(error <= 0.5 + 1e-9, "{found} {exact}");
            }
        }

        #[test]
        fn channels_are_independent_and_in_order(
            samples in prop::collection::vec(any::<[i16; 3]>(), 1..40), bits in 1u8..64,
        ) {
            let set = Features::from_bits(bits);
            let rows: Vec<_> = samples.iter().map(|sample| sample.to_vec()).collect();
            let expected: Vec<i16> = (0..3)
                .flat_map(|c| {
                    let alone = single(samples.iter().map(|sample| sample[c]));
                    set.iter().map(move |feature| alone[feature as usize]).collect::<Vec<_>>()
                })
                .collect();
            prop_assert_eq!(features(&rows, set), expected);
        }

        #[test]
        fn negated_samples_negate_the_mean_alone(samples in prop::collection::vec(-32767i16.., 1..50)) {
            let [mean, std, mad, min, max, rms] = single(samples.clone())[..] else { panic!() };
            let negated = single(samples.into_iter().map(|sample| -sample));
            prop_assert_eq!(negated, [-mean, std, mad, -max, -min, rms]);
        }
    }

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!(single([1, 2])[..3], [2, 1, 1]);
        assert_eq!(single([-1, -2])[..3], [-2, 1, 1]);
        // The standard deviations are 1/2 and 3/2, the mean absolute differences 1 and 5/2.
        assert_eq!(single([0, 3, 0])[..3], [1, 1, 3]);
        assert_eq!(single([0, 3])[..3], [2, 2, 3]);
    }

    #[test]
    fn window_of_one_sample_does_not_vary() {
        for sample in [i16::MIN, -1, 0, i16::MAX] {
            let rms = sample.unsigned_abs().min(32767) as i16;
            assert_eq!(single([sample]), [sample, 0, 0, sample, sample, rms]);
        }
    }

    #[test]
    fn longest_windows_of_extremes_do_not_overflow() {
        let n = usize::from(u16::MAX);
        let low = i16::MIN;
        assert_eq!(single(vec![low; n]), [low, 0, 0, low, low, i16::MAX]);
        assert_eq!(single(vec![i16::MAX; n]), [i16::MAX, 0, 0, i16::MAX, i16::MAX, i16::MAX]);
        // The mean is −1 or 0 by the sample that is one more often, the deviation 32767.5.
        let swing = |first: i16| single((0..n).map(|t| if t % 2 == 0 { first } else { !first }));
        assert_eq!(swing(low), [-1, i16::MAX, i16::MAX, low, i16::MAX, i16::MAX]);
        assert_eq!(swing(i16::MAX), [0, i16::MAX, i16::MAX, low, i16::MAX, i16::MAX]);
    }
}
