//! A safetensors file.

use super::about::description;
use super::tensors::{Tensor, tensors};
use crate::model::network::Network;
use crate::record::Model;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use std::collections::HashMap;

/// Returns the bytes of a file: the tensors, and the description of the model as JSON in its metadata.
pub(super) fn file(model: &Model, network: &Network<'_>) -> Vec<u8> {
    let tensors: Vec<_> = tensors(network)
        .map(|Tensor { name, shape, values }| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F64, shape.clone(), bytes);
        (name, view.expect("the shape is that of the values"))
    });
    // One entry, since the order of several would change from file to file.
    let metadata = HashMap::from([("smidgen".to_owned(), description(model))]);
    serialize(views, Some(metadata)).expect("every tensor has its own name and bytes")
}
