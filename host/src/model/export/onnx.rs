//! An ONNX model: a graph of operators of the domain `ai.onnx`, from rows to labels.
//!
//! ```text
//!  rows ─ Sub centre ─ Div scale ─ Gemm ─┬───────────── scores
//!                        (Tanh ─ Gemm) … │
//!                                        ├─ Sigmoid ─ Concat 1 − p, p │ Softmax ── probabilities
//!                                        └─ Greater 0 ─ Cast │ ArgMax ─ Gather ─── label
//! ```
//!
//! Numbers are f64: with f32, labels of rows near a border would differ from those of `predict`.

mod graph;
mod message;
mod windows;

use super::about::{description, origin};
use super::error::ExportError;
use super::tensors::{layers, scaling};
use crate::model::network::{Network, Outcome};
use crate::problem::dataset::Windows;
use crate::record::Model;
use graph::{Graph, value};
use message::{Attribute, Entry, GraphProto, ModelProto, OperatorSet};
use prost::Message;
use windows::WINDOW_MAX;

/// Version of the intermediate representation that came with the operators.
const IR_VERSION: i64 = 8;
/// Version of the operators, of the year 2021.
const OPERATORS: i64 = 13;

/// Returns the bytes of a model.
///
/// # Errors
/// If its windows are too long.
pub(super) fn graph(model: &Model, network: &Network<'_>) -> Result<Vec<u8>, ExportError> {
    if let Some(&Windows { window, .. }) = network.windows.filter(|it| it.window > WINDOW_MAX) {
        return Err(ExportError::Window { window, max: WINDOW_MAX });
    }
    let mut graph = Graph::default();
    let scores = graph.scores(network);
    graph.outcome(network, scores);
    let description = description(model);
    let entry = |key: &str, value: String| Entry { key: key.into(), value };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "smidgen".into(),
        producer_version: model.smidgen.clone(),
        doc_string: origin(model),
        graph: Some(GraphProto { name: "smidgen".into(), ..graph.0 }),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPERATORS }],
        metadata_props: vec![
            entry("smidgen", description),
            entry("objective", crate::options::Choice::name(model.objective).into()),
            entry("classes", serde_json::Value::from(model.classes.clone()).to_string()),
            entry("columns", serde_json::Value::from(network.column_names.to_vec()).to_string()),
        ],
    };
    Ok(model.encode_to_vec())
}

impl Graph {
    /// Adds everything up to the scores.
    fn scores(&mut self, network: &Network<'_>) -> String {
        match network.windows {
            Some(windows) => self.rows_of_windows(windows),
            None => self.0.input.push(value("rows", message::DOUBLE, &[network.columns])),
        }
        layers(network).for_each(|tensor| self.reals(&tensor));
        let mut input = "rows".to_owned();
        if !network.scaling.is_empty() {
            scaling(network).iter().for_each(|tensor| self.reals(tensor));
            let centred = self.node("Sub", &[&input, "centre"], "centred", vec![]);
            input = self.node("Div", &[&centred, "scale"], "scaled", vec![]);
        }
        let count = network.layers().count();
        for number in 1..=count {
            let (weight, bias) = (format!("weight{number}"), format!("bias{number}"));
            let output = if number == count { "scores".into() } else { format!("layer{number}") };
            let transposed = vec![Attribute::integer("transB", 1)];
            input = self.node("Gemm", &[&input, &weight, &bias], &output, transposed);
            if number < count {
                input = self.node("Tanh", &[&input], &format!("units{number}"), vec![]);
            }
        }
        self.output("scores", message::DOUBLE, Some(network.scores.units()));
        input
    }

    /// Adds what the scores say.
    fn outcome(&mut self, network: &Network<'_>, scores: String) {
        match network.outcome {
            Outcome::Value => {
                self.squeeze(&scores, "prediction");
                self.output("prediction", message::DOUBLE, None);
            }
            Outcome::Sign { classes, has_probabilities } => {
                if has_probabilities {
                    self.real("one", 1.0);
                    let second = self.node("Sigmoid", &[&scores], "second", vec![]);
                    let first = self.node("Sub", &["one", &second], "first", vec![]);
                    let axis = vec![Attribute::integer("axis", 1)];
                    self.node("Concat", &[&first, &second], "probabilities", axis);
                    self.output("probabilities", message::DOUBLE, Some(classes.len()));
                }
                self.real("zero", 0.0);
                let positive = self.node("Greater", &[&scores, "zero"], "positive", vec![]);
                let to = vec![Attribute::integer("to", message::INT64.into())];
                let number = self.node("Cast", &[&positive], "number", to);
                let class = self.squeeze(&number, "class");
                self.label(classes, &class);
            }
            Outcome::Largest { classes } => {
                let axis = || Attribute::integer("axis", 1);
                self.node("Softmax", &[&scores], "probabilities", vec![axis()]);
                self.output("probabilities", message::DOUBLE, Some(classes.len()));
                let attributes = vec![axis(), Attribute::integer("keepdims", 0)];
                let class = self.node("ArgMax", &[&scores], "class", attributes);
                self.label(classes, &class);
            }
        }
    }

    /// Adds the removal of the only column.
    fn squeeze(&mut self, input: &str, output: &str) -> String {
        self.integers("column", &[1]);
        self.node("Squeeze", &[input, "column"], output, vec![])
    }

    /// Adds the names of the predicted classes.
    fn label(&mut self, classes: &[String], class: &str) {
        self.classes(classes);
        self.node("Gather", &["classes", class], "label", vec![Attribute::integer("axis", 0)]);
        self.output("label", message::STRING, None);
    }
}
