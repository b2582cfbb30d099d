//! `smidgen predict`

use super::console::print;
use crate::cli::Predict;
use crate::problem::dataset::label_file;
use crate::record::{Model, check_output};
use crate::units::shown::shown;
use anyhow::{Result, bail};
use std::path::Path;

/// Predicts the rows of a data set.
pub(crate) fn run(arguments: &Predict) -> Result<()> {
    let Predict { model, dataset, recordings, label, full_scale, out } = arguments;
    if let Some(out) = out {
        let labels = label.as_deref().and_then(label_file);
        let file = Model::file(model);
        let data = [dataset, recordings].map(|path| path.as_deref());
        let inputs = [Some(&*file), labels].into_iter().chain(data).flatten();
        check_output(out, &inputs.collect::<Vec<&Path>>())?;
    }
    let model = Model::read(model)?;
    let predictions = match (dataset, recordings) {
        (_, Some(path)) => model.predict_recordings(path, label.as_deref(), full_scale)?,
        (Some(path), None) => model.predict(path, label.as_deref())?,
        (None, None) => bail!("give --dataset or --recordings"),
    };
    print(&predictions)?;
    if let Some(path) = out {
        predictions.write_csv(path)?;
        print(format_args!("{} has a line for each row.", shown(path)))?;
    }
    Ok(())
}
