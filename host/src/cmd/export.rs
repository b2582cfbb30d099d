//! `smidgen export`

use super::console::print;
use anyhow::Result;
use smidgen::cli::Export;
use smidgen::model::export::{usage, write};
use smidgen::record::{Model, check_output};
use smidgen::units::shown::shown;

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
