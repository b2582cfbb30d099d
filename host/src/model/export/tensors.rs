//! A model as named arrays of f64, for NumPy and safetensors.

use crate::model::network::Network;
use crate::problem::dataset::Scaling;

/// A named array in row-major order.
pub(super) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// Returns all arrays of a model.
///
/// ```text
/// a = (row − centre) / scale;  a = tanh(weight1 · a + bias1);  …;  scores = weightN · a + biasN
/// ```
pub(super) fn tensors(network: &Network<'_>) -> impl Iterator<Item = Tensor> {
    scaling(network).into_iter().chain(layers(network))
}

/// Returns centre and scale of the columns. Values that stay as they are have (v − 0) / 1, so that every model is used
/// in the same way.
pub(super) fn scaling(network: &Network<'_>) -> [Tensor; 2] {
    let (shape, scaling) = ([network.columns], network.scaling);
    let of = |name, plain: f64, value: fn(&Scaling) -> f64| match scaling {
        [] => tensor(name, &shape, vec![plain; network.columns]),
        scaling => tensor(name, &shape, scaling.iter().map(value).collect()),
    };
    [of("centre", 0.0, |scaling| scaling.centre), of("scale", 1.0, |scaling| scaling.scale)]
}

/// Returns weight and bias of each layer.
pub(super) fn layers(network: &Network<'_>) -> impl Iterator<Item = Tensor> {
    (1..).zip(network.layers()).flat_map(|(number, layer)| {
        let weights = layer.weights.iter().map(|&weight| f64::from(weight) * layer.unit);
        let biases = layer.biases.iter().map(|&bias| bias as f64 * layer.unit);
        let shape = [layer.units(), layer.inputs];
        [
            tensor(&format!("weight{number}"), &shape, weights.collect()),
            tensor(&format!("bias{number}"), &shape[..1], biases.collect()),
        ]
    })
}

fn tensor(name: &str, shape: &[usize], values: Vec<f64>) -> Tensor {
    Tensor { name: name.into(), shape: shape.into(), values }
}
