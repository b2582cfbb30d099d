//! Models in use: predictions for rows of a data set, and exports to other programs.
//!
//! ```text
//!  Model ──────────── predict ──► labels, scores, probabilities, accuracy
//!    ├── board ─────────┘         classes of windows, by the code of a board
//!    └── network ──── export ───► Rust, C, NumPy, safetensors, ONNX
//! ```

pub mod board;
pub mod export;
mod network;
pub mod predict;
mod windows;
