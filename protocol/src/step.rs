//! The one model step: `x -= gamma g`, g the mean of the workers' estimators (EF21, line "server").

use crate::vector::{Exponent, Ratio, saturate};

/// Moves the model: `x_j -= round(gamma_n * sum_j)` on the grid of x.
///
/// `sum` is `Σ_i g_i` with exponent `sum_exponent`, `gamma_n` is γ/n, so that the mean is never rounded on
/// its own. Host and worker call this with the same integers and hold the same x afterwards.
pub fn step(
    x: &mut [i32],
    x_exponent: Exponent,
    sum: &[i64],
    sum_exponent: Exponent,
    gamma_n: Ratio,
    saturated: &mut u32,
) {
    let shift = i32::from(sum_exponent) - i32::from(x_exponent);
    for (x, sum) in x.iter_mut().zip(sum) {
        let moved = i64::from(*x).saturating_sub(gamma_n.scale(*sum, shift));
        *x = saturate(moved, saturated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_rounded_once() {
        // gamma/n = 1/4, sum on a grid of 1/8, x on a grid of 1/16: 3/8 / 4 = 1.5/16, rounds to 2/16.
        let gamma_n = Ratio { mantissa: 1 << 30, exponent: 32 };
        let (mut x, mut saturated) = ([100, 0], 0);
        step(&mut x, 4, &[3, -3], 3, gamma_n, &mut saturated);
        assert_eq!((x, saturated), ([98, 2], 0));
    }

    #[test]
    fn a_step_out_of_range_saturates_and_is_counted() {
        let gamma_n = Ratio { mantissa: 1 << 30, exponent: 0 };
        let (mut x, mut saturated) = ([0], 0);
        step(&mut x, 0, &[i64::MIN / 2], 0, gamma_n, &mut saturated);
        assert_eq!((x, saturated), ([i32::MAX], 1));
    }
}
