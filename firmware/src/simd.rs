//! The loops of a gradient for the vectors of a host's processor. Boards are built without the feature `simd`.
//!
//! 1. Loops are written so that the compiler can vectorise them: over arrays, without branches.
//! 2. [`loops`] compiles them for several instruction sets and takes the best that the processor has.
//!
//! Everything computes the same bits as the plain loops that boards have: tests compare them.

pub(crate) mod columns;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
pub(crate) mod dense;
pub(crate) mod loops;
