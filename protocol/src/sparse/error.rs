//! Why a body cannot be written or read.

/// The buffer has no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why a body is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// It ends inside its header or inside an entry.
    Truncated,
    /// An index lies beyond the end of the vector or of the part.
    Index,
    /// It names a width that no vector has.
    Width,
    /// A gap is written as an escape that has a shorter code.
    Escape,
    /// It does not end as an encoder ends a body.
    Padding,
}
