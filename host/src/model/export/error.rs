//! Reasons why a model cannot be exported.

use crate::record::RecordError;
use thiserror::Error;

/// Reasons why a model cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The sums over a window are not exact in ONNX.
    #[error(
        "windows of {window} samples are too long for ONNX, whose features are those of a board for up to {max}; use \
         another format"
    )]
    Window {
        /// Number of samples.
        window: u16,
        /// The largest number.
        max: u16,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}
