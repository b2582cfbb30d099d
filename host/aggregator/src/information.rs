//! The information content of updates, for telemetry.

/// Counts the bits of updates with K entries: log2 C(d, K) choose the coordinates, and K · b give each b bits.
#[derive(Debug)]
pub(crate) struct Information {
    dimension: u32,
    value_bits: u8,
    /// log2 C(d, K) for each K up to the largest so far.
    subsets: Vec<f64>,
}

impl Information {
    /// Counts for `dimension` coordinates and mantissas of `value_bits` bits.
    pub(crate) fn new(dimension: u32, value_bits: u8) -> Self {
        Self { dimension, value_bits, subsets: vec![0.0] }
    }

    /// The bits of an update, by its number of entries.
    pub(crate) fn bits(&mut self, entries: u32) -> f64 {
        while self.subsets.len() <= entries as usize {
            // log2 C(d, i) from log2 C(d, i − 1): factorials of d would overflow.
            let (before, i) = (self.subsets[self.subsets.len() - 1], self.subsets.len() as f64);
            self.subsets.push(before + (f64::from(self.dimension) - i + 1.0).log2() - i.log2());
        }
        self.subsets[entries as usize] + f64::from(entries) * f64::from(self.value_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_and_mantissas_are_counted() {
        let bits = |d, k, b| Information::new(d, b).bits(k);
        assert!((bits(64, 1, 8) - 14.0).abs() < 1e-12);
        // C(10, 3) = 120, C(5, 5) = 1.
        assert!((bits(10, 3, 4) - (120f64.log2() + 12.0)).abs() < 1e-12);
        assert!((bits(5, 5, 32) - 160.0).abs() < 1e-12);
        let mut kept = Information::new(10, 4);
        assert_eq!(
            (kept.bits(3), kept.bits(0), kept.bits(3)),
            (bits(10, 3, 4), 0.0, bits(10, 3, 4))
        );
    }
}
