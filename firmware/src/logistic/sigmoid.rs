//! σ(−z) and log(1 + e^−z) for z ≥ 0, by one table of cubics.
//!
//! Each cell of width 1/16 holds a cubic for either function, the Taylor polynomial about its middle with the
//! next term economised: t⁴ is replaced by t² − 1/8, its best quadratic on [−1, 1]. That is as good as a cubic
//! gets, to the last bit that matters here: 2^-30.6. With rounding, both functions stay within [`ERROR_MAX`].
//! The table is evaluated by the compiler; at run time there is no float.

/// Fraction bits of z as [`sigma_and_loss`] takes it: the upper word is the cell, the lower one the place in it.
pub const Z_EXPONENT: u32 = 36;
/// Fraction bits of σ(−z).
pub const SIGMA_EXPONENT: u32 = 31;
/// Fraction bits of log(1 + e^−z).
pub const LOSS_EXPONENT: u32 = 32;
/// Bound of the error of either function, 2^-29.9.
#[cfg(test)]
pub const ERROR_MAX: f64 = 1e-9;

/// Beyond z = 22 both functions are below their resolution.
const CELLS: usize = 22 * 16;
/// Half the width of a cell.
const HALF_WIDTH: f64 = 1.0 / 32.0;
/// Fraction bits of the constant terms and of the others.
const CONSTANT_EXPONENT: u32 = 32;
const SLOPE_EXPONENT: u32 = 36;

/// A cubic on [−1, 1), lowest term first.
#[derive(Clone, Copy)]
struct Cubic {
    constant: u32,
    slopes: [i32; 3],
}

/// Both functions on one cell. 32 bytes: half a cache line.
#[derive(Clone, Copy)]
struct Cell {
    sigma: Cubic,
    loss: Cubic,
}

static TABLE: [Cell; CELLS] = table();

/// σ(−z) and log(1 + e^−z) at `z * 2^-Z_EXPONENT`; σ is at least one unit, so that 1 − σ fits 31 bits.
#[inline]
pub fn sigma_and_loss(z: u64) -> (u32, u32) {
    let z = z.min(((CELLS as u64) << 32) - 1);
    let cell = &TABLE[(z >> 32) as usize];
    // The lower word, moved by half its range: the place in the cell as a signed fraction.
    let t = (z as u32 ^ 1 << 31) as i32;
    let sigma = cell.sigma.at(t, SIGMA_EXPONENT);
    (sigma.max(1), cell.loss.at(t, LOSS_EXPONENT))
}

impl Cubic {
    /// The value at `t * 2^-31`, with `exponent` fraction bits.
    #[inline]
    fn at(&self, t: i32, exponent: u32) -> u32 {
        let times_t = |factor: i32| ((i64::from(factor) * i64::from(t)) >> 31) as i32;
        let [c1, c2, c3] = self.slopes;
        let slope = times_t(c1 + times_t(c2 + times_t(c3)));
        let drop = SLOPE_EXPONENT - exponent;
        let constant = i64::from(self.constant) << (SLOPE_EXPONENT - CONSTANT_EXPONENT);
        ((constant + i64::from(slope) + (1 << (drop - 1))) >> drop) as u32
    }

    /// The economised Taylor polynomial from f, h f', h² f''/2, h³ f'''/6 and h⁴ f''''/24.
    const fn new(terms: [f64; 5]) -> Self {
        let [c0, c1, c2, c3, c4] = terms;
        let slopes = [
            round(c1, SLOPE_EXPONENT) as i32,
            round(c2 + c4, SLOPE_EXPONENT) as i32,
            round(c3, SLOPE_EXPONENT) as i32,
        ];
        Self { constant: round(c0 - c4 / 8.0, CONSTANT_EXPONENT) as u32, slopes }
    }
}

const fn table() -> [Cell; CELLS] {
    let mut cells = [Cell::new(1.0); CELLS];
    let step = exp(-2.0 * HALF_WIDTH);
    let mut power = exp(-HALF_WIDTH);
    let mut index = 0;
    while index < CELLS {
        cells[index] = Cell::new(power);
        power *= step;
        index += 1;
    }
    cells
}

impl Cell {
    /// The cell about the z with e^−z = `power`. With s = σ(−z), s' = −s(1 − s), and log(1 + e^−z)' = −s.
    const fn new(power: f64) -> Self {
        const H: f64 = HALF_WIDTH;
        let s = power / (1.0 + power);
        let s1 = s * (s - 1.0);
        let s2 = s1 * (2.0 * s - 1.0);
        let s3 = s1 * (6.0 * s * s - 6.0 * s + 1.0);
        let s4 = s1 * (2.0 * s - 1.0) * (12.0 * s * s - 12.0 * s + 1.0);
        let (h2, h3, h4) = (H * H / 2.0, H * H * H / 6.0, H * H * H * H / 24.0);
        Self {
            sigma: Cubic::new([s, H * s1, h2 * s2, h3 * s3, h4 * s4]),
            loss: Cubic::new([log1p(power), -H * s, -h2 * s1, -h3 * s2, -h4 * s3]),
        }
    }
}

/// e^x for |x| < 1, by its series.
const fn exp(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while n < 20.0 {
        term *= x / n;
        sum += term;
        n += 1.0;
    }
    sum
}

/// log(1 + x) for 0 ≤ x ≤ 1, by the series of 2 artanh(x / (2 + x)).
const fn log1p(x: f64) -> f64 {
    let y = x / (2.0 + x);
    let (mut sum, mut power, mut n) = (0.0, 2.0 * y, 1.0);
    while n < 41.0 {
        sum += power / n;
        power *= y * y;
        n += 2.0;
    }
    sum
}

const fn round(value: f64, exponent: u32) -> i64 {
    let scaled = value * (1u64 << exponent) as f64;
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The larger of the two errors at z.
    fn error(z: u64) -> f64 {
        let exact = z as f64 / (1u64 << Z_EXPONENT) as f64;
        let (sigma, loss) = sigma_and_loss(z);
        let sigma = f64::from(sigma) / (1u64 << SIGMA_EXPONENT) as f64;
        let loss = f64::from(loss) / (1u64 << LOSS_EXPONENT) as f64;
        let power = (-exact).exp();
        (sigma - power / (1.0 + power)).abs().max((loss - power.ln_1p()).abs())
    }

    #[test]
    fn both_functions_are_within_the_bound_over_the_whole_range() {
        let grid =
            (0..24u64 << 16).map(|step| (step << (Z_EXPONENT - 16)) + step * 40503 % (1 << 20));
        let borders = (0..=CELLS as u64 + 1).flat_map(|cell| {
            (0..8).flat_map(move |n| [(cell << 32) + n, (cell << 32).saturating_sub(n)])
        });
        let far = (40..64).map(|bit| 1 << bit);
        let worst = grid.chain(borders).chain(far).map(error).fold(0.0, f64::max);
        assert!(worst <= ERROR_MAX, "{worst:e}");
    }

    #[test]
    fn sigma_never_vanishes_and_never_exceeds_a_half() {
        for z in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            assert!((1..=1 << 30).contains(&sigma_and_loss(z).0), "{z}");
        }
    }
}
