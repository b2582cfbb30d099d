//! A model as layers: the form that all exports share.

use crate::options::Objective;
use crate::problem::dataset::{Labels, Preparation, Scaling, Windows};
use crate::problem::objective::{HIDDEN, Margins, Probabilities};
use crate::record::Model;
use crate::record::model::Input;
use smidgen_aggregator::value;

/// One or two affine layers, with tanh between them.
pub(super) struct Network<'m> {
    /// Number of columns of a row.
    pub columns: usize,
    /// Their names; empty if they have none.
    pub column_names: &'m [String],
    /// Their scaling; empty if values stay as they are.
    pub scaling: &'m [Scaling],
    /// How windows of samples become columns, if they do.
    pub windows: Option<&'m Windows>,
    /// The layer of hidden units, if there is one.
    pub hidden: Option<Layer>,
    /// The layer of scores.
    pub scores: Layer,
    /// Value of a unit of the mantissas in layers.
    pub unit: f64,
    /// What the scores say.
    pub outcome: Outcome<'m>,
}

/// An affine layer, in mantissas.
pub(super) struct Layer {
    /// Number of inputs.
    pub inputs: usize,
    /// Weights, a row of `inputs` per unit.
    pub weights: Vec<i32>,
    /// A bias per unit. That of an intercept is added to it, so it may be wider than a weight.
    pub biases: Vec<i64>,
}

/// What scores say.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'m> {
    /// The score is the prediction.
    Value,
    /// The second class if the score is positive, else the first.
    Sign {
        /// Names of the two classes.
        classes: &'m [String],
        /// True if the sigmoid of the score is the probability of the second class.
        has_probabilities: bool,
    },
    /// The first class with the largest score. The softmax of the scores are the probabilities.
    Largest {
        /// Names of the classes.
        classes: &'m [String],
    },
}

impl<'m> Network<'m> {
    /// Returns the layers of a model.
    pub(super) fn of(model: &'m Model) -> Self {
        let Input::Columns(preparation) = &model.input;
        let (hidden, scores) = layers(model.objective, preparation, &model.mantissas);
        Self {
            columns: preparation.column_count,
            column_names: &preparation.names,
            scaling: &preparation.scaling,
            windows: preparation.windows.as_ref(),
            hidden,
            scores,
            unit: value(1.0, model.exponent),
            outcome: outcome(model),
        }
    }

    /// Returns the layers in order.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.hidden.iter().chain([&self.scores])
    }
}

impl Layer {
    /// Returns the number of units.
    pub(super) fn units(&self) -> usize {
        self.biases.len()
    }

    /// Reads the pieces of a model with weights of features and, if `has_bias`, then a bias. The feature of an intercept
    /// is 1, so its weight is a bias.
    fn of_features(x: &[i32], preparation: &Preparation, has_bias: bool) -> Self {
        let inputs = preparation.column_count;
        let pieces = || x.chunks_exact(preparation.dimension() + usize::from(has_bias));
        Self {
            inputs,
            weights: pieces().flat_map(|piece| &piece[..inputs]).copied().collect(),
            biases: pieces()
                .map(|piece| piece[inputs..].iter().copied().map(i64::from).sum())
                .collect(),
        }
    }

    /// Reads the pieces of a model with weights of hidden units, then a bias.
    fn of_units(x: &[i32]) -> Self {
        let pieces = || x.chunks_exact(HIDDEN + 1);
        Self {
            inputs: HIDDEN,
            weights: pieces().flat_map(|piece| &piece[..HIDDEN]).copied().collect(),
            biases: pieces().map(|piece| piece[HIDDEN].into()).collect(),
        }
    }
}

/// Returns the layer of hidden units, if there is one, and that of scores.
fn layers(objective: Objective, preparation: &Preparation, x: &[i32]) -> (Option<Layer>, Layer) {
    match objective.info().margins {
        Margins::One => (None, Layer::of_features(x, preparation, false)),
        Margins::PerClass => (None, Layer::of_features(x, preparation, true)),
        Margins::Hidden => {
            let (first, second) = x.split_at(HIDDEN * (preparation.dimension() + 1));
            (Some(Layer::of_features(first, preparation, true)), Layer::of_units(second))
        }
    }
}

fn outcome(model: &Model) -> Outcome<'_> {
    let (info, classes) = (model.objective.info(), &model.classes[..]);
    match info.labels {
        Labels::Real => Outcome::Value,
        Labels::Binary => Outcome::Sign {
            classes,
            has_probabilities: match info.probabilities {
                Probabilities::None => false,
                Probabilities::Sigmoid | Probabilities::Softmax => true,
            },
        },
        Labels::Classes => Outcome::Largest { classes },
    }
}
