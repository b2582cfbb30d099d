//! Classes of rows by a model: that of the largest score, the first of equals.
//!
//! ```
//! // Of three equal scores the first, and 9 as the largest.
//! assert_eq!(smidgen_firmware::classes::largest(&[4, 4, 4]), (0, 4));
//! assert_eq!(smidgen_firmware::classes::largest(&[4, 9, 4]), (1, 9));
//! ```

use crate::columns;
use crate::objective::{Classes, Classification};
use crate::rows::{self, Precision, RowLoss};
use smidgen_protocol::batch::Selection;
use smidgen_protocol::shard::Shard;

/// Classifies rows by a linear model without biases: 1 where aᵀx > 0, else 0.
pub fn linear(request: Classification<'_>) -> Classes {
    let Classification { shard, x, x_exponent, scratch, .. } = request;
    let mantissas = mantissas(scratch, x.len());
    let scale = |k| shard.scale(k);
    let dropped = Precision::new(&shard.header, shard.header.rows).dropped;
    let exponent = columns::scale(x, x_exponent, scale, i32::MAX, mantissas) - dropped;
    let mut signs = Signs { shard, classes: Classes::none(exponent) };
    // Without residuals the sums stay as they are, so none are needed.
    rows::pass(shard, Selection::ALL, mantissas, &mut [], &mut signs);
    signs.classes
}

/// Classifies rows by a model with a unit per class, whose margins are scores.
pub fn units(request: Classification<'_>) -> Classes {
    let Classification { shard, x, x_exponent, scratch, .. } = request;
    let precision = Precision::new(&shard.header, shard.header.rows);
    let mantissas = mantissas(scratch, x.len());
    let scale = |k| precision.scale(shard, k);
    let exponent = columns::scale(x, x_exponent, scale, i32::MAX, mantissas) - precision.dropped;
    let scores = |scores: &mut [i64]| largest(scores);
    let mut largest = Largest { shard, scores, classes: Classes::none(exponent) };
    rows::pass_units(shard, Selection::ALL, mantissas, &mut [], &mut largest);
    largest.classes
}

/// The index of the largest score, and the score.
pub fn largest(scores: &[i64]) -> (u8, i64) {
    let first = (0, scores.first().copied().unwrap_or(0));
    let larger = |best: (u8, i64), next: (u8, i64)| if next.1 > best.1 { next } else { best };
    (0..).zip(scores.iter().copied()).fold(first, larger)
}

/// Scratch as the place for a scaled model, which takes half of it.
fn mantissas(scratch: &mut [i64], len: usize) -> &mut [i32] {
    bytemuck::cast_slice_mut(scratch).get_mut(..len).unwrap_or_default()
}

struct Signs<'a> {
    shard: &'a Shard<'a>,
    classes: Classes,
}

impl RowLoss for Signs<'_> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        for (row, margin) in (first..).zip(margins) {
            self.classes.add(self.shard.label(row), u8::from(*margin > 0), *margin);
            *margin = 0;
        }
    }
}

/// Takes the class and the score that `scores` makes of the margins of a row.
pub struct Largest<'a, S> {
    /// The rows.
    pub shard: &'a Shard<'a>,
    /// Returns class and score.
    pub scores: S,
    /// What has been found.
    pub classes: Classes,
}

impl<S: FnMut(&mut [i64]) -> (u8, i64)> RowLoss for Largest<'_, S> {
    fn residuals(&mut self, row: usize, margins: &mut [i64]) {
        let (class, score) = (self.scores)(margins);
        self.classes.add(self.shard.label(row), class, score);
        margins.fill(0);
    }
}
