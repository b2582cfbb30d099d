//! The model that a run builds on (`--from`, `--features-from`).

use super::error::ExperimentError;
use crate::model::board::trained_windows;
use crate::options::{Choice, Options, ScaleColumns};
use crate::problem::dataset::{Dataset, FrozenLayer, Preparation, Roles, TrainedWindows};
use crate::problem::objective::HIDDEN;
use crate::record::Model;
use smidgen_aggregator::InitialModel;
use std::path::Path;

/// The model that a run builds on.
pub(super) enum Start {
    /// The run continues it.
    From(Box<Model>),
    /// The features of the run are its hidden units.
    Features(Preparation),
}

impl Start {
    /// Reads the model of the options, if they name one.
    ///
    /// # Errors
    /// If it cannot be read, or other options contradict it.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, ExperimentError> {
        let (path, name) = match (&options.from, &options.features_from) {
            (Some(path), _) => (path, "--from"),
            (None, Some(path)) => (path, "--features-from"),
            (None, None) => return Ok(None),
        };
        let is_continued = options.from.is_some();
        let prepares = [
            ("--standardise", options.standardise),
            ("--scale-columns", options.scale_columns != ScaleColumns::Auto),
            ("--intercept", is_continued && options.intercept),
            ("--features-from", is_continued && options.features_from.is_some()),
            ("--window, --hop, --features and --rate", !options.windowing.is_default()),
        ];
        if let Some((option, _)) = prepares.into_iter().find(|(_, is_given)| *is_given) {
            let path = path.clone();
            return Err(ExperimentError::OtherPreparation { path, name, option });
        }
        let model = Model::read(path)?;
        if !is_continued {
            return units(path, &model).map(|units| Some(Self::Features(units)));
        }
        let (ours, theirs) = (options.objective.name(), model.objective.name());
        if ours != theirs {
            let path = path.clone();
            return Err(ExperimentError::OtherObjective { path, ours, theirs });
        }
        Ok(Some(Self::From(Box::new(model))))
    }

    fn trained(&self) -> &Preparation {
        match self {
            Self::From(model) => model.input.preparation(),
            Self::Features(preparation) => preparation,
        }
    }

    /// Loads the data set of the options with the columns of the model, and its classes if the run continues it.
    ///
    /// # Errors
    /// If it cannot be read, or its columns or classes are not those of the model.
    pub(super) fn dataset(
        &self,
        options: &Options,
        roles: Roles<'_>,
    ) -> Result<Dataset, ExperimentError> {
        let labels = options.objective.info().labels;
        let classes = match self {
            Self::From(model) => Some(&model.classes[..]),
            Self::Features(_) => None,
        };
        Ok(self.trained().dataset(&options.dataset, labels, roles, classes)?)
    }

    /// Returns what the model knows of rows that boards record.
    ///
    /// # Errors
    /// If it is not a model of such rows, or boards would compute its hidden units.
    pub(super) fn windows(&self) -> Result<TrainedWindows<'_>, ExperimentError> {
        match self {
            Self::From(model) => Ok(trained_windows(model)?),
            Self::Features(_) => Err(ExperimentError::UnitsOnBoard),
        }
    }

    /// Returns the preparation of the model, for the columns of a data set.
    pub(super) fn preparation(&self, dataset: &Dataset, options: &Options) -> Preparation {
        let trained = self.trained();
        Preparation {
            scaling: trained.scaling.clone(),
            layers: trained.layers.clone(),
            intercept: trained.intercept || options.intercept,
            ..dataset.preparation().clone()
        }
    }

    /// Returns x⁰ of a run with these options.
    pub(super) fn initial_model(start: Option<&Self>, options: &Options) -> InitialModel {
        match start {
            Some(Self::From(model)) => model.initial(),
            Some(Self::Features(_)) | None => {
                InitialModel::Seed(options.objective.start_seed(options.seed))
            }
        }
    }
}

/// Returns what turns rows into the hidden units of a model.
fn units(path: &Path, model: &Model) -> Result<Preparation, ExperimentError> {
    let preparation = model.input.preparation();
    if preparation.windows.is_some() {
        return Err(ExperimentError::UnitsOnBoard);
    }
    // The layer has no place for an intercept, which no run of such an objective has.
    if !model.objective.info().margins.have_units() || preparation.intercept {
        let objective = model.objective.name();
        return Err(ExperimentError::NoUnits { path: path.into(), objective });
    }
    let mantissas = model.mantissas[..HIDDEN * (preparation.dimension() + 1)].to_vec();
    let mut preparation = preparation.clone();
    preparation.layers.push(FrozenLayer { exponent: model.exponent, mantissas });
    Ok(preparation)
}
