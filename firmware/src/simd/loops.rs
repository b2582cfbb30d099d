//! Which instructions loops are compiled for.

/// The vector loops are used.
pub(crate) const IS_ON: bool = cfg!(feature = "simd");

/// Loops with their arguments. [`Loops::run`] and all that it calls must be `inline(always)`: else they are compiled for
/// the vectors that every processor has.
pub(crate) trait Loops {
    /// What they compute.
    type Output;
    /// Runs them.
    fn run(self) -> Self::Output;
}

/// Runs loops that are compiled for the widest vectors of this processor.
#[inline(always)]
pub(crate) fn vectorised<L: Loops>(loops: L) -> L::Output {
    #[cfg(feature = "simd")]
    return pulp::Arch::new().dispatch(ByArch(loops));
    #[cfg(not(feature = "simd"))]
    loops.run()
}

/// Loops, as the dispatcher takes them.
#[cfg(feature = "simd")]
pub(crate) struct ByArch<L>(pub(crate) L);

#[cfg(feature = "simd")]
impl<L: Loops> pulp::NullaryFnOnce for ByArch<L> {
    type Output = L::Output;
    #[inline(always)]
    fn call(self) -> L::Output {
        self.0.run()
    }
}

/// A sum by halves of 32 bits, whose sums fit 64.
#[inline(always)]
pub(crate) fn sum(terms: &[u64]) -> u128 {
    let low: u64 = terms.iter().map(|term| term & u64::from(u32::MAX)).sum();
    let high: u64 = terms.iter().map(|term| term >> 32).sum();
    (u128::from(high) << 32) + u128::from(low)
}
