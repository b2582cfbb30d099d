//! `smidgen predict`

use super::console::print;
use anyhow::Result;
use smidgen::cli::Predict;
use smidgen::record::Model;
use smidgen::units::shown::shown;

/// Predicts the rows of a data set.
pub(crate) fn run(Predict { model, dataset, label, out }: &Predict) -> Result<()> {
    let predictions = Model::read(model)?.predict(dataset, label.as_deref())?;
    print(&predictions)?;
    if let Some(path) = out {
        predictions.write_csv(path)?;
        print(format_args!("{} has a line for each row.", shown(path)))?;
    }
    Ok(())
}
