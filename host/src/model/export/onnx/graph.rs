//! A graph under construction.

use super::message::{
    self, Attribute, Dimension, DimensionValue, GraphProto, Node, Shape, TensorProto, TensorType,
    TypeProto, ValueInfo,
};
use crate::model::export::tensors::Tensor;

/// A graph under construction.
#[derive(Default)]
pub(super) struct Graph(pub(super) GraphProto);

impl Graph {
    /// Adds a node and returns the name of its output.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<Attribute>,
    ) -> String {
        self.0.node.push(Node {
            input: inputs.iter().map(|input| (*input).into()).collect(),
            output: vec![output.into()],
            name: format!("{operator}_{output}"),
            op_type: operator.into(),
            attribute: attributes,
        });
        output.into()
    }

    /// Adds constant real numbers.
    pub(super) fn reals(&mut self, Tensor { name, shape, values }: &Tensor) {
        self.0.initializer.push(TensorProto {
            dims: shape.iter().map(|len| *len as i64).collect(),
            data_type: message::DOUBLE,
            name: name.clone(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
    }

    /// Adds a constant real number; returns its name.
    pub(super) fn real(&mut self, name: &str, value: f64) -> String {
        self.real_list(name, vec![value]);
        name.into()
    }

    /// Adds a list of constant real numbers.
    pub(super) fn real_list(&mut self, name: &str, values: Vec<f64>) {
        self.reals(&Tensor { name: name.into(), shape: vec![values.len()], values });
    }

    /// Adds a list of constant integers.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        self.0.initializer.push(TensorProto {
            dims: vec![values.len() as i64],
            data_type: message::INT64,
            name: name.into(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
    }

    /// Adds the names of the classes.
    pub(super) fn classes(&mut self, classes: &[String]) {
        self.0.initializer.push(TensorProto {
            dims: vec![classes.len() as i64],
            data_type: message::STRING,
            name: "classes".into(),
            string_data: classes.iter().map(|class| class.clone().into_bytes()).collect(),
            ..TensorProto::default()
        });
    }

    /// Adds an output with a row for each input row.
    pub(super) fn output(&mut self, name: &str, kind: i32, columns: Option<usize>) {
        self.0.output.push(value(name, kind, columns.as_slice()));
    }
}

/// Returns the description of an input or output with an array of this shape for each row.
pub(super) fn value(name: &str, elem_type: i32, shape: &[usize]) -> ValueInfo {
    let rows = DimensionValue::Param("rows".into());
    let lengths = shape.iter().map(|len| DimensionValue::Len(*len as i64));
    let dim = std::iter::once(rows).chain(lengths);
    let dim = dim.map(|value| Dimension { value: Some(value) }).collect();
    let tensor_type = Some(TensorType { elem_type, shape: Some(Shape { dim }) });
    ValueInfo { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}
