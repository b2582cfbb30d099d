//! Exports: a model as source code, as tensors, or as a graph. All of them predict what `predict` does.

mod about;
mod c;
mod error;
mod numpy;
mod onnx;
mod rust;
mod safetensors;
mod source;
mod tensors;
mod windows;
mod zip;

pub use error::ExportError;

use super::network::Network;
use crate::options::ExportFormat;
use crate::record::{Model, replace_file};
use std::path::Path;

/// Returns the content of the file of a model in a format.
///
/// # Errors
/// If the format cannot express the model.
pub fn export(model: &Model, format: ExportFormat) -> Result<Vec<u8>, ExportError> {
    let network = Network::of(model);
    Ok(match format {
        ExportFormat::Rust => rust::module(model, &network).into_bytes(),
        ExportFormat::C => c::header(model, &network).into_bytes(),
        ExportFormat::Npy => numpy::archive(model, &network),
        ExportFormat::Safetensors => safetensors::file(model, &network),
        ExportFormat::Onnx => onnx::graph(model, &network)?,
    })
}

/// Writes the file of a model in a format, atomically.
///
/// # Errors
/// If the format cannot express the model, or the file cannot be written.
pub fn write(model: &Model, format: ExportFormat, path: &Path) -> Result<(), ExportError> {
    Ok(replace_file(path, &export(model, format)?)?)
}

/// Returns how to use such a file, in a few words.
pub fn usage(model: &Model, format: ExportFormat) -> String {
    let is_value = model.classes.is_empty();
    let has_windows = model.input.preparation().windows.is_some();
    match format {
        ExportFormat::Rust => {
            let function = if is_value { "predict" } else { "classify" };
            let row = if has_windows { "&model::features(&window)" } else { "&row" };
            format!("`mod model;` in a crate, then `model::{function}({row})`")
        }
        ExportFormat::C => {
            let features = if has_windows { "`model_features(window, row)`, " } else { "" };
            let functions = match is_value {
                true => "`model_predict(row)`",
                false => "`model_scores(row, scores)` and `model_class(scores)`",
            };
            format!("include it in C, then {features}{functions}")
        }
        ExportFormat::Npy => "`numpy.load` gives its arrays; docs/model.md has the formula".into(),
        ExportFormat::Safetensors => "it has the tensors; docs/model.md has the formula".into(),
        ExportFormat::Onnx => {
            let input = if has_windows { "windows" } else { "rows" };
            let output = if is_value { "prediction" } else { "label" };
            format!("a graph from `{input}`, in 64-bit floats, to `{output}`")
        }
    }
}
