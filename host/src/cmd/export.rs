//! `smidgen export`

use super::console::print;
use crate::cli::Export;
use crate::model::export::{usage, write};
use crate::record::{Model, check_output};
use crate::units::shown::shown;
use anyhow::Result;

/// Exports a model.
pub(crate) fn run(Export { model: place, format, out }: &Export) -> Result<()> {
    let model = Model::read(place)?;
    let name = format.file_name();
    let beside = || if place.is_dir() { place.join(name) } else { place.with_file_name(name) };
    let path = out.clone().unwrap_or_else(beside);
    check_output(&path, &[&Model::file(place)])?;
    write(&model, *format, &path)?;
    Ok(print(format_args!("{}: {}.", shown(&path), usage(&model, *format)))?)
}
