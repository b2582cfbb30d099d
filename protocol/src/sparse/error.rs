//! Errors of decoding.

/// Reason why bytes are not a valid body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// More entries than the vector has room for, or than there are.
    Count,
    /// Shift or width is out of range.
    Form,
    /// An index lies beyond the end of the vector or part.
    Index,
    /// The bytes are not those that an encoder writes.
    Padding,
}
