//! A model as layers: the form that all exports share.

use crate::problem::dataset::{FrozenLayer, Labels, Preparation, Scaling, Windows};
use crate::problem::objective::{HIDDEN, Margins, Probabilities};
use crate::record::Model;
use smidgen_aggregator::value;
use smidgen_protocol::vector::Exponent;

/// Affine layers, with tanh between them.
pub(super) struct Network<'m> {
    /// Number of columns of a row.
    pub columns: usize,
    /// Their names; empty if they have none.
    pub column_names: &'m [String],
    /// Their scaling; empty if values stay as they are.
    pub scaling: &'m [Scaling],
    /// How windows of samples become columns, if they do.
    pub windows: Option<&'m Windows>,
    /// The layers of hidden units in order: frozen ones, then that of the objective, if it has one.
    pub hidden: Vec<Layer>,
    /// The layer of scores.
    pub scores: Layer,
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
    /// Value of a unit of the mantissas.
    pub unit: f64,
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
        let preparation = model.input.preparation();
        let (hidden, scores) = layers(model, preparation);
        Self {
            columns: preparation.column_count,
            column_names: &preparation.names,
            scaling: &preparation.scaling,
            windows: preparation.windows.as_ref(),
            hidden,
            scores,
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

    /// Reads pieces of a weight for each of `inputs`, then those of `ones` inputs that are 1: the intercept and a bias.
    fn of(x: &[i32], exponent: Exponent, inputs: usize, ones: usize) -> Self {
        let pieces = || x.chunks_exact(inputs + ones);
        let bias = |piece: &[i32]| piece[inputs..].iter().copied().map(i64::from).sum();
        Self {
            inputs,
            weights: pieces().flat_map(|piece| &piece[..inputs]).copied().collect(),
            biases: pieces().map(bias).collect(),
            unit: value(1.0, exponent),
        }
    }
}

/// Returns the layers of hidden units, and that of scores.
fn layers(model: &Model, preparation: &Preparation) -> (Vec<Layer>, Layer) {
    let frozen = |(layer, inputs): (&FrozenLayer, usize)| {
        Layer::of(&layer.mantissas, layer.exponent, inputs, 1)
    };
    let mut hidden: Vec<_> =
        preparation.layers.iter().zip(preparation.widths()).map(frozen).collect();
    let ones = usize::from(preparation.intercept);
    let (features, exponent) = (preparation.dimension(), model.exponent);
    let of = |x, inputs, ones| Layer::of(x, exponent, inputs, ones);
    let scores = match model.objective.info().margins {
        Margins::One => of(&model.mantissas, features - ones, ones),
        Margins::PerClass => of(&model.mantissas, features - ones, ones + 1),
        Margins::Hidden => {
            let (first, second) = model.mantissas.split_at(HIDDEN * (features + 1));
            hidden.push(of(first, features - ones, ones + 1));
            of(second, HIDDEN, 1)
        }
    };
    (hidden, scores)
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
