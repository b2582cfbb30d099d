//! The model that a run starts from (`--from`).

use super::error::ExperimentError;
use crate::options::{Choice, Options};
use crate::problem::dataset::{Dataset, Preparation};
use crate::record::Model;
use crate::record::model::Input;
use smidgen_aggregator::InitialModel;
use std::path::PathBuf;

/// A model that a run starts from.
pub(super) struct Start {
    path: PathBuf,
    model: Model,
}

impl Start {
    /// Reads the model of the options, if they name one.
    ///
    /// # Errors
    /// If it cannot be read, or other options contradict it.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, ExperimentError> {
        let Some(path) = options.from.clone() else { return Ok(None) };
        let model = Model::read(&path)?;
        let (ours, theirs) = (options.objective.name(), model.objective.name());
        if ours != theirs {
            return Err(ExperimentError::OtherObjective { path, ours, theirs });
        }
        if options.standardise || options.intercept {
            return Err(ExperimentError::OtherPreparation { path });
        }
        Ok(Some(Self { path, model }))
    }

    /// Returns the data set with the classes of the model.
    ///
    /// # Errors
    /// If its columns or classes are not those of the model.
    pub(super) fn fitted(&self, dataset: Dataset) -> Result<Dataset, ExperimentError> {
        let Input::Columns(trained) = &self.model.input;
        let name = dataset.name().to_owned();
        dataset.fitted(&self.model.classes, trained).map_err(|misfit| ExperimentError::Misfit {
            dataset: name,
            path: self.path.clone(),
            misfit,
        })
    }

    /// Returns the preparation of the model, for the columns of a data set.
    pub(super) fn preparation(&self, dataset: &Dataset) -> Preparation {
        let Input::Columns(trained) = &self.model.input;
        Preparation {
            scaling: trained.scaling.clone(),
            intercept: trained.intercept,
            ..dataset.preparation().clone()
        }
    }

    /// Returns x⁰ of a run with these options.
    pub(super) fn initial_model(start: Option<&Self>, options: &Options) -> InitialModel {
        match start {
            Some(start) => start.model.initial(),
            None => InitialModel::Seed(options.objective.start_seed(options.seed)),
        }
    }
}
