//! How large the values of recorded columns are.

use crate::recipe::ROW_LEN_MAX;

/// Longest list of columns in bytes.
pub const COLUMNS_LEN_MAX: usize = ROW_LEN_MAX.div_ceil(2);
/// The largest bits of a column.
const BITS_MAX: u32 = 15;

/// Mean of the squares of a column's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanSquare {
    sum: u64,
    rows: u64,
}

impl MeanSquare {
    /// Adds the value of a row.
    pub fn add(&mut self, value: i16) {
        self.add_rows(u64::from(value.unsigned_abs()).pow(2), 1);
    }

    /// Adds rows of which only number and [bits](Self::bits) are known.
    pub fn merge(&mut self, bits: u8, rows: u64) {
        self.add_rows(rows.saturating_mul(1 << (2 * u32::from(bits).min(BITS_MAX))), rows);
    }

    fn add_rows(&mut self, sum: u64, rows: u64) {
        self.sum = self.sum.saturating_add(sum);
        self.rows = self.rows.saturating_add(rows);
    }

    /// The binary logarithm of the root of the mean, rounded to nearest; at least 0, and 0 without rows.
    ///
    /// The mean is less than 2 · 4^bits.
    pub fn bits(self) -> u8 {
        let twice = self.sum.saturating_mul(2).checked_div(self.rows);
        let log = twice.and_then(u64::checked_ilog2).unwrap_or(0);
        (log / 2).min(BITS_MAX) as u8
    }
}

/// Sets the bits of a column in a list.
pub fn set_column_bits(columns: &mut [u8], column: usize, bits: u8) {
    if let Some(both) = columns.get_mut(column / 2) {
        let shift = column % 2 * 4;
        *both = *both & !(15 << shift) | (bits & 15) << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(values: &[i16]) -> u8 {
        let mut square = MeanSquare::default();
        values.iter().for_each(|&value| square.add(value));
        square.bits()
    }

    #[test]
    fn bits_are_those_of_the_root_mean_square() {
        let min = i16::MIN;
        // Of two values, the mean of 1 and 3 squared is 5, that of 1 and 4 squared 8.5: around 8 = 4^1.5.
        let columns: [(&[i16], u8); 10] = [
            (&[], 0),
            (&[0], 0),
            (&[-1], 0),
            (&[1, 3], 1),
            (&[1, 4], 2),
            (&[-4; 9], 2),
            (&[100, 0, 0, 0], 6),
            (&[i16::MAX; 3], 15),
            (&[min, min, min, min, min], 15),
            (&[min, 0], 15),
        ];
        for (values, expected) in columns {
            assert_eq!(bits(values), expected, "{values:?}");
        }
    }

    #[test]
    fn rows_of_boards_count_by_their_number() {
        let of = |boards: &[(u8, u64)]| {
            let mut square = MeanSquare::default();
            boards.iter().for_each(|&(bits, rows)| square.merge(bits, rows));
            square.bits()
        };
        let boards: [(&[(u8, u64)], u8); 7] = [
            (&[], 0),
            (&[(7, 0)], 0),
            (&[(7, 12)], 7),
            // 4^7 · 1/8 is half of 4^6; with the other rows it is more than that.
            (&[(7, 1), (0, 7)], 6),
            (&[(7, 1), (0, 8)], 5),
            (&[(15, u64::MAX), (15, 5)], 0),
            (&[(255, 1 << 25); 8], 15),
        ];
        for (boards, expected) in boards {
            assert_eq!(of(boards), expected, "{boards:?}");
        }
    }

    #[test]
    fn bits_of_a_list_are_set_one_by_one() {
        let mut columns = [0; 2];
        for (column, bits) in [(0, 3), (1, 15), (2, 4), (0, 2), (2, 9), (7, 1)] {
            set_column_bits(&mut columns, column, bits);
        }
        assert_eq!(columns, [0xf2, 9]);
    }

    proptest! {
        #[test]
        fn bits_round_the_logarithm_as_f64_does(
            shift in 0u32..16,
            values in prop::collection::vec(any::<i16>(), 1..50),
        ) {
            let values: Vec<_> = values.iter().map(|value| value >> shift).collect();
            let squares: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
            let mean = squares / values.len() as f64;
            let exact = 0.5 * mean.log2();
            let found = f64::from(bits(&values));
            prop_assert!(mean < 2.0 * found.exp2().powi(2));
            if exact > -0.5 {
                prop_assert!((found - exact).abs() <= 0.5 + 1e-12, "{found} of {exact}");
            } else {
                prop_assert_eq!(found, 0.0);
            }
        }

        #[test]
        fn rows_of_boards_are_as_large_as_all_rows_within_a_bit(
            columns in prop::collection::vec(prop::collection::vec(any::<i16>(), 1..20), 1..9),
        ) {
            let mut merged = MeanSquare::default();
            columns.iter().for_each(|values| merged.merge(bits(values), values.len() as u64));
            prop_assert!(merged.bits().abs_diff(bits(&columns.concat())) <= 1);
        }
    }
}
