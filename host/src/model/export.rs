//! Exports: a model as source code, as tensors, or as a graph. All of them predict what `predict` does.

mod about;
mod c;
mod numpy;
mod onnx;
mod rust;
mod safetensors;
mod source;
mod tensors;

use super::network::Network;
use crate::options::ExportFormat;
use crate::record::{Model, RecordError, replace_file};
use std::path::Path;

/// Returns the content of the file of a model in a format.
pub fn export(model: &Model, format: ExportFormat) -> Vec<u8> {
    let network = Network::of(model);
    match format {
        ExportFormat::Rust => rust::module(model, &network).into_bytes(),
        ExportFormat::C => c::header(model, &network).into_bytes(),
        ExportFormat::Npy => numpy::archive(model, &network),
        ExportFormat::Safetensors => safetensors::file(model, &network),
        ExportFormat::Onnx => onnx::graph(model, &network),
    }
}

/// Writes the file of a model in a format, atomically.
///
/// # Errors
/// If it cannot be written.
pub fn write(model: &Model, format: ExportFormat, path: &Path) -> Result<(), RecordError> {
    replace_file(path, &export(model, format))
}

/// Returns how to use such a file, in a few words.
pub fn usage(model: &Model, format: ExportFormat) -> String {
    let is_value = model.classes.is_empty();
    match format {
        ExportFormat::Rust if is_value => {
            "`mod model;` in a crate, then `model::predict(&row)`".into()
        }
        ExportFormat::Rust => "`mod model;` in a crate, then `model::classify(&row)`".into(),
        ExportFormat::C if is_value => "include it in C, then `model_predict(row)`".into(),
        ExportFormat::C => {
            "include it in C, then `model_scores(row, scores)` and `model_class(scores)`".into()
        }
        ExportFormat::Npy => "`numpy.load` gives its arrays; docs/model.md has the formula".into(),
        ExportFormat::Safetensors => "it has the tensors; docs/model.md has the formula".into(),
        ExportFormat::Onnx => {
            let output = if is_value { "prediction" } else { "label" };
            format!("a graph from `rows`, in 64-bit floats, to `{output}`")
        }
    }
}
