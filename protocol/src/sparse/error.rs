//! Errors of encoding and decoding.

/// The buffer has no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Reason why bytes are not a valid body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The body ends inside its header or an entry.
    Truncated,
    /// An index lies beyond the end of the vector or part.
    Index,
    /// The width of mantissas is out of range.
    Width,
    /// A gap is escaped although it has a shorter code.
    Escape,
    /// The padding is not what an encoder writes.
    Padding,
}
