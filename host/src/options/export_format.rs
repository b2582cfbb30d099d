//! The formats of exported models.

use super::choice::choices;

choices! {
    /// A format of exported models.
    pub enum ExportFormat {
        /// A Rust module without dependencies, standard library or panics
        Rust = "rust",
        /// A C99 header
        C = "c",
        /// NumPy: an .npz archive with an .npy array for each layer
        Npy = "npy",
        /// safetensors: a tensor for each layer
        Safetensors = "safetensors",
        /// ONNX: a graph from rows to labels, for ONNX Runtime and others
        Onnx = "onnx",
    }
}

impl ExportFormat {
    /// Returns the file name of an export that is not named otherwise.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Rust => "model.rs",
            Self::C => "model.h",
            Self::Npy => "model.npz",
            Self::Safetensors => "model.safetensors",
            Self::Onnx => "model.onnx",
        }
    }
}
