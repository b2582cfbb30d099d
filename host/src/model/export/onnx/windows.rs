//! Nodes that turn windows of samples into rows.
//!
//! ```text
//!  windows ─ Div full scale ─ round ─ Clip ─┬─ sums ──── mean, std, rms ─┬─ Concat ─ Flatten ── rows
//!                                          ├─ differences ─────── mad  ─┤
//!                                          └─ ReduceMin, ReduceMax ─────┘
//! ```
//!
//! All sums are integers below 2^52, which f64 holds exactly, so features are those of a board.

use super::graph::{Graph, value};
use super::message::{self, Attribute};
use crate::model::export::windows::full_scales;
use crate::problem::dataset::Windows;
use smidgen_protocol::recipe::Feature;

/// Number of samples in the largest window whose sums are exact: the root of 4 n² 2^30, of at most 52 bits, too.
pub(super) const WINDOW_MAX: u16 = 1024;

impl Graph {
    /// Adds the input `windows` and everything up to `rows`.
    pub(super) fn rows_of_windows(&mut self, windows: &Windows) {
        let shape = [usize::from(windows.window), windows.channels.len()];
        self.0.input.push(value("windows", message::DOUBLE, &shape));
        let count = f64::from(windows.window);
        self.integers("axis1", &[1]);
        self.integers("axis2", &[2]);
        self.real("count", count);
        self.real("half", 0.5);
        self.real("least", f64::from(i16::MIN));
        self.real("most", f64::from(i16::MAX));
        let samples = self.samples(windows);
        let squared = self.node("Mul", &[&samples, &samples], "squared", vec![]);
        let sum = self.sum(&samples, "sum");
        let squares = self.sum(&squared, "squares");
        let energy = self.node("Mul", &["count", &squares], "energy", vec![]);
        let mut features = vec![];
        for feature in windows.features.iter() {
            let name = feature.name();
            let column = match feature {
                Feature::Mean => self.mean(&sum, count),
                Feature::Deviation => {
                    let square = self.node("Mul", &[&sum, &sum], "sum_squared", vec![]);
                    let variance = self.node("Sub", &[&energy, &square], "variance", vec![]);
                    self.rooted(&variance, count, name)
                }
                Feature::Difference => self.difference(&samples, count),
                Feature::Min => self.extreme("ReduceMin", &samples, name),
                Feature::Max => self.extreme("ReduceMax", &samples, name),
                Feature::Rms => self.rooted(&energy, count, name),
            };
            let output = format!("{name}_column");
            features.push(self.node("Unsqueeze", &[&column, "axis2"], &output, vec![]));
        }
        let features: Vec<_> = features.iter().map(String::as_str).collect();
        let axis = |axis| vec![Attribute::integer("axis", axis)];
        let by_channel = self.node("Concat", &features, "by_channel", axis(2));
        self.node("Flatten", &[&by_channel], "rows", axis(1));
    }

    /// Adds the samples in the integers of a sensor: rounded to nearest, halves away from zero, and limited.
    fn samples(&mut self, windows: &Windows) -> String {
        let Some(full_scales) = full_scales(windows) else { return "windows".into() };
        let units = full_scales.iter().map(|scale| scale / f64::from(1u16 << 15)).collect();
        self.real_list("unit", units);
        let scaled = self.node("Div", &["windows", "unit"], "in_units", vec![]);
        let size = self.node("Abs", &[&scaled], "size", vec![]);
        let whole = self.node("Floor", &[&size], "whole", vec![]);
        let rest = self.node("Sub", &[&size, &whole], "rest", vec![]);
        let is_up = self.node("GreaterOrEqual", &[&rest, "half"], "is_up", vec![]);
        let to = vec![Attribute::integer("to", message::DOUBLE.into())];
        let up = self.node("Cast", &[&is_up], "up", to);
        let rounded = self.node("Add", &[&whole, &up], "rounded", vec![]);
        let sign = self.node("Sign", &[&scaled], "sample_sign", vec![]);
        let signed = self.node("Mul", &[&rounded, &sign], "signed", vec![]);
        self.node("Clip", &[&signed, "least", "most"], "samples", vec![])
    }

    /// Adds the sum over the samples of a window.
    fn sum(&mut self, input: &str, output: &str) -> String {
        let drop = vec![Attribute::integer("keepdims", 0)];
        self.node("ReduceSum", &[input, "axis1"], output, drop)
    }

    fn extreme(&mut self, operator: &str, samples: &str, name: &str) -> String {
        let attributes = vec![Attribute::integers("axes", &[1]), Attribute::integer("keepdims", 0)];
        self.node(operator, &[samples], name, attributes)
    }

    fn mean(&mut self, sum: &str, count: f64) -> String {
        let size = self.node("Abs", &[sum], "sum_size", vec![]);
        let mean = self.quotient(&size, count, "mean_size");
        let sign = self.node("Sign", &[sum], "sum_sign", vec![]);
        self.node("Mul", &[&mean, &sign], "mean", vec![])
    }

    fn difference(&mut self, samples: &str, count: f64) -> String {
        self.integers("first", &[0]);
        self.integers("second", &[1]);
        self.integers("last", &[-1]);
        self.integers("end", &[i64::from(u16::MAX) + 1]);
        let later = self.node("Slice", &[samples, "second", "end", "axis1"], "later", vec![]);
        let earlier = self.node("Slice", &[samples, "first", "last", "axis1"], "earlier", vec![]);
        let differences = self.node("Sub", &[&later, &earlier], "differences", vec![]);
        let sizes = self.node("Abs", &[&differences], "difference_sizes", vec![]);
        let sum = self.sum(&sizes, "difference_sum");
        let mad = self.quotient(&sum, (count - 1.0).max(1.0), "mad_wide");
        self.node("Min", &[&mad, "most"], "mad", vec![])
    }

    /// Adds the root of `square`, divided by the number of samples.
    fn rooted(&mut self, square: &str, count: f64, name: &str) -> String {
        let four = self.real(&format!("{name}_four"), 4.0);
        let product = self.node("Mul", &[square, &four], &format!("{name}_4"), vec![]);
        let root = self.node("Sqrt", &[&product], &format!("{name}_root"), vec![]);
        let whole = self.node("Floor", &[&root], &format!("{name}_floor"), vec![]);
        let feature = self.quotient(&whole, 2.0 * count, &format!("{name}_wide"));
        self.node("Min", &[&feature, "most"], name, vec![])
    }

    /// Adds a quotient that is rounded to nearest, halves up.
    fn quotient(&mut self, dividend: &str, divisor: f64, output: &str) -> String {
        let divisor = self.real(&format!("{output}_divisor"), divisor);
        let quotient =
            self.node("Div", &[dividend, &divisor], &format!("{output}_quotient"), vec![]);
        let raised = self.node("Add", &[&quotient, "half"], &format!("{output}_raised"), vec![]);
        self.node("Floor", &[&raised], output, vec![])
    }
}
