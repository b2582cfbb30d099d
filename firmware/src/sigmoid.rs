//! σ(−z) and log(1 + e^−z) for z ≥ 0, from a table of cubics.
//!
//! Each cell of width 1/16 has a cubic per function: the Taylor polynomial about its centre with an economised next
//! term, where t⁴ is replaced by its best quadratic approximation on [−1, 1], t² − 1/8. The error is 2^-30.6, the best
//! possible for a cubic, and 2^-29.9 with rounding. The compiler evaluates the table; no floats exist at run time.
//!
//! ```
//! use smidgen_firmware::sigmoid::{EXPONENT, Sigmoid};
//!
//! // At z = 1, which has 20 fraction bits here.
//! let (sigma, loss) = Sigmoid::new(20).at(1 << 20);
//! let real = |value: u32| f64::from(value) / f64::from(EXPONENT).exp2();
//! assert!((real(sigma) - 1.0 / (1.0 + 1f64.exp())).abs() < 1e-9);
//! assert!((real(loss) - (-1f64).exp().ln_1p()).abs() < 1e-9);
//! ```

/// Fraction bits of both functions.
pub const EXPONENT: u32 = 32;
/// Error bound of either function, 2^-29.9.
#[cfg(test)]
pub const ERROR_MAX: f64 = 1e-9;

/// At z = 22 both functions are close to their resolution of 2^-32; the last cell serves all larger z.
const CELLS: usize = 22 * 16;
/// Half the width of a cell.
const HALF_WIDTH: f64 = 1.0 / 32.0;
/// Fraction bits of z for which the upper word is the index of the cell and the lower word the position in it.
const Z_EXPONENT: i32 = 36;
/// Largest z within the table.
const Z_MAX: u64 = ((CELLS as u64) << 32) - 1;
/// Fraction bits of all coefficients except the constant.
const SLOPE_EXPONENT: u32 = 35;

/// A cubic on [−1, 1), lowest power first; see [`Cubic::new`] for the coefficients.
#[derive(Clone, Copy)]
struct Cubic {
    constant: u32,
    slopes: [i32; 3],
}

/// Both functions on one cell, in 32 bytes: half a cache line.
#[derive(Clone, Copy)]
struct Cell {
    sigma: Cubic,
    loss: Cubic,
}

const TABLE_CELLS: [Cell; CELLS] = table();
static TABLE: [Cell; CELLS] = TABLE_CELLS;

/// The functions for arguments with a fixed exponent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sigmoid {
    /// Largest magnitude within the table.
    bound: u64,
    left: u32,
    right: u32,
}

impl Sigmoid {
    /// For arguments `magnitude * 2^-exponent`.
    pub fn new(exponent: i32) -> Self {
        let right = exponent - Z_EXPONENT;
        // If a unit is 2 or more, arguments beyond the table may be treated as 16 instead of 22. The error of such a
        // margin is far larger than that.
        let left = (-right).clamp(0, Z_MAX.ilog2() as i32) as u32;
        let right = right.clamp(0, 63) as u32;
        let bound = if right < Z_MAX.leading_zeros() { (Z_MAX << right) >> left } else { u64::MAX };
        Self { bound, left, right }
    }

    /// σ(−z) and log(1 + e^−z), neither of which is ever zero.
    #[inline]
    pub fn at(&self, magnitude: u64) -> (u32, u32) {
        let (index, t) = self.place(magnitude);
        let cell = &TABLE[index];
        (cell.sigma.at(t), cell.loss.at(t))
    }

    /// The cell of an argument, and the place in it with 31 fraction bits.
    #[inline(always)]
    fn place(&self, magnitude: u64) -> (usize, i32) {
        // Clamped before the shift, which therefore cannot overflow.
        let z = (magnitude.min(self.bound) << self.left) >> self.right;
        // `min` shows the compiler that the index is in range, so that it emits no panic.
        let index = ((z >> 32) as usize).min(CELLS - 1);
        // Subtracting half of its range turns the lower word into a signed fraction.
        (index, (z as u32 ^ 1 << 31) as i32)
    }

    /// [`Sigmoid::at`] for several arguments, for the vectors of a host.
    #[inline(always)]
    pub(crate) fn lanes<const N: usize>(&self, magnitudes: &[u64; N]) -> ([u32; N], [u32; N]) {
        let (mut indices, mut places) = ([0; N], [0; N]);
        for (lane, &magnitude) in magnitudes.iter().enumerate() {
            (indices[lane], places[lane]) = self.place(magnitude);
        }
        let mut cells = [[0; CELL_WORDS]; N];
        for (cell, index) in cells.iter_mut().zip(indices) {
            *cell = WORDS[index];
        }
        // By coefficient: a vector has that of several arguments.
        let mut words = [[0; N]; CELL_WORDS];
        for (lane, cell) in cells.iter().enumerate() {
            for (word, &value) in words.iter_mut().zip(cell) {
                word[lane] = value;
            }
        }
        let (mut sigmas, mut losses) = ([0; N], [0; N]);
        for lane in 0..N {
            let [a, b, c, d, e, f, g, h] = words.each_ref().map(|words| words[lane]);
            sigmas[lane] = Cubic { constant: a as u32, slopes: [b, c, d] }.at(places[lane]);
            losses[lane] = Cubic { constant: e as u32, slopes: [f, g, h] }.at(places[lane]);
        }
        (sigmas, losses)
    }
}

/// Words of a cell.
const CELL_WORDS: usize = 8;
/// The table with cells as arrays, which a host copies as vectors.
static WORDS: [[i32; CELL_WORDS]; CELLS] = {
    let mut words = [[0; CELL_WORDS]; CELLS];
    let mut index = 0;
    while index < CELLS {
        let Cell { sigma, loss } = TABLE_CELLS[index];
        let ([b, c, d], [f, g, h]) = (sigma.slopes, loss.slopes);
        words[index] = [sigma.constant as i32, b, c, d, loss.constant as i32, f, g, h];
        index += 1;
    }
    words
};

impl Cubic {
    /// Value at `t * 2^-31`. Products keep their upper word, which a 32-bit core reads directly.
    #[inline]
    fn at(&self, t: i32) -> u32 {
        let product = |factor: i32| i64::from(factor) * i64::from(t);
        let times_half_t = |factor: i32| (product(factor) >> 32) as i32;
        let [c1, c2, c3] = self.slopes;
        let slope = c1 + times_half_t(c2 + times_half_t(c3));
        self.constant
            .wrapping_add_signed((product(slope) >> (32 + SLOPE_EXPONENT - EXPONENT)) as i32)
    }

    /// The economised Taylor polynomial, given f, h f', h² f''/2, h³ f'''/6 and h⁴ f''''/24.
    ///
    /// Coefficients are those of powers of t/2. The constant includes half a unit, since the last product is rounded
    /// down.
    const fn new(terms: [f64; 5]) -> Self {
        let [c0, c1, c2, c3, c4] = terms;
        let slopes = [
            round(2.0 * c1, SLOPE_EXPONENT) as i32,
            round(4.0 * (c2 + c4), SLOPE_EXPONENT) as i32,
            round(8.0 * c3, SLOPE_EXPONENT) as i32,
        ];
        let half_unit = 0.5 / (1u64 << EXPONENT) as f64;
        Self { constant: round(c0 - c4 / 8.0 + half_unit, EXPONENT) as u32, slopes }
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
    /// The cell centred at z with e^−z = `power`. With s = σ(−z): s' = −s(1 − s) and log(1 + e^−z)' = −s.
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

/// e^x for |x| < 1, from its series.
pub const fn exp(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while n < 20.0 {
        term *= x / n;
        sum += term;
        n += 1.0;
    }
    sum
}

/// log(1 + x) for 0 ≤ x ≤ 1, from the series of 2 artanh(x / (2 + x)).
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

    /// The larger of the errors of both functions at z.
    fn error(z: u64) -> f64 {
        let exact = z as f64 / f64::from(Z_EXPONENT).exp2();
        let (sigma, loss) = Sigmoid::new(Z_EXPONENT).at(z);
        let [sigma, loss] =
            [sigma, loss].map(|value| f64::from(value) / f64::from(EXPONENT).exp2());
        let power = (-exact).exp();
        (sigma - power / (1.0 + power)).abs().max((loss - power.ln_1p()).abs())
    }

    #[test]
    fn sigma_and_loss_errors_are_bounded() {
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
    fn every_argument_exponent_works() {
        for (exponent, bit) in
            (-400..400).flat_map(|exponent| (0..64).map(move |bit| (exponent, bit)))
        {
            let exact = f64::from(bit - exponent).exp2();
            let (sigma, loss) = Sigmoid::new(exponent).at(1 << bit);
            let sigma = f64::from(sigma) / f64::from(EXPONENT).exp2();
            // If a unit is 2 or more, the largest arguments may be treated as 16.
            let limit = if exponent < 0 { 1.2e-7 } else { ERROR_MAX };
            assert!((sigma - 1.0 / (1.0 + exact.exp())).abs() <= limit, "{exponent} {bit}");
            assert!(sigma > 0.0 && loss > 0);
        }
    }
}
