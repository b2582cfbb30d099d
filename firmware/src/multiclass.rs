//! Classes beyond two.

/// The largest number of classes: a row's scores lie on the stack.
pub const CLASSES_MAX: usize = 64;
