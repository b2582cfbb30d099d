//! `smidgen predict`

use super::console::print;
use anyhow::Result;
use smidgen::cli::Predict;
use smidgen::problem::dataset::label_file;
use smidgen::record::{Model, check_output};
use smidgen::units::shown::shown;
use std::path::Path;

/// Predicts the rows of a data set.
pub(crate) fn run(Predict { model, dataset, label, out }: &Predict) -> Result<()> {
    if let Some(out) = out {
        let labels = label.as_deref().and_then(label_file);
        let file = Model::file(model);
        let inputs = [Some(&*file), Some(dataset.as_ref()), labels].into_iter().flatten();
        check_output(out, &inputs.collect::<Vec<&Path>>())?;
    }
    let predictions = Model::read(model)?.predict(dataset, label.as_deref())?;
    print(&predictions)?;
    if let Some(path) = out {
        predictions.write_csv(path)?;
        print(format_args!("{} has a line for each row.", shown(path)))?;
    }
    Ok(())
}
