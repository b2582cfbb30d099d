//! The model that a run starts from (`--from`).

use super::error::ExperimentError;
use crate::model::board::trained_windows;
use crate::options::{Choice, Options};
use crate::problem::dataset::{Dataset, Preparation, Roles, TrainedWindows};
use crate::record::Model;
use crate::record::model::Input;
use smidgen_aggregator::InitialModel;

/// A model that a run starts from.
pub(super) struct Start(Model);

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
        let prepares = [
            ("--standardise", options.standardise),
            ("--intercept", options.intercept),
            ("--window, --hop, --features and --rate", !options.windowing.is_default()),
            ("--full-scale", !options.full_scale.is_empty()),
        ];
        if let Some((option, _)) = prepares.into_iter().find(|(_, is_given)| *is_given) {
            return Err(ExperimentError::OtherPreparation { path, option });
        }
        Ok(Some(Self(model)))
    }

    /// Loads the data set of the options with the columns and classes of the model.
    ///
    /// # Errors
    /// If it cannot be read, or its columns or classes are not those of the model.
    pub(super) fn dataset(
        &self,
        options: &Options,
        roles: Roles<'_>,
    ) -> Result<Dataset, ExperimentError> {
        let Input::Columns(trained) = &self.0.input;
        let labels = options.objective.info().labels;
        Ok(trained.dataset(&options.dataset, labels, roles, &self.0.classes)?)
    }

    /// Returns what the model knows of rows that boards record.
    ///
    /// # Errors
    /// If it is not a model of such rows.
    pub(super) fn windows(&self) -> Result<TrainedWindows<'_>, ExperimentError> {
        Ok(trained_windows(&self.0)?)
    }

    /// Returns the preparation of the model, for the columns of a data set.
    pub(super) fn preparation(&self, dataset: &Dataset) -> Preparation {
        let Input::Columns(trained) = &self.0.input;
        Preparation {
            scaling: trained.scaling.clone(),
            intercept: trained.intercept,
            ..dataset.preparation().clone()
        }
    }

    /// Returns x⁰ of a run with these options.
    pub(super) fn initial_model(start: Option<&Self>, options: &Options) -> InitialModel {
        match start {
            Some(start) => start.0.initial(),
            None => InitialModel::Seed(options.objective.start_seed(options.seed)),
        }
    }
}
