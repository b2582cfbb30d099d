//! Classes of rows by a model: that of the largest score, the first of equals.

use crate::columns;
use crate::objective::Classification;
use crate::rows::{self, Precision, RowLoss};
use smidgen_protocol::batch::Selection;

/// Passes on the class of each row by a linear model without biases: 1 where aᵀx > 0, else 0.
pub(crate) fn linear(request: Classification<'_>) {
    let Classification { shard, x, x_exponent, scratch, visit } = request;
    let mantissas = mantissas(scratch, x.len());
    columns::scale(x, x_exponent, |k| shard.scale(k), i32::MAX, mantissas);
    // Without residuals the sums stay as they are, so none are needed.
    rows::pass(shard, Selection::ALL, mantissas, &mut [], &mut Signs { visit });
}

/// Passes on the class of each row by a model with a unit per class, whose margins are scores.
pub(crate) fn units(request: Classification<'_>) {
    let Classification { shard, x, x_exponent, scratch, visit } = request;
    let precision = Precision::new(&shard.header, shard.header.rows);
    let mantissas = mantissas(scratch, x.len());
    columns::scale(x, x_exponent, |k| precision.scale(shard, k), i32::MAX, mantissas);
    let mut classes = Largest { scores: |scores: &mut [i64]| largest(scores), visit };
    rows::pass_units(shard, Selection::ALL, mantissas, &mut [], &mut classes);
}

/// The index of the largest score.
pub(crate) fn largest(scores: &[i64]) -> u8 {
    let first = (0, scores.first().copied().unwrap_or(0));
    let larger = |best: (u8, i64), next: (u8, i64)| if next.1 > best.1 { next } else { best };
    (0..).zip(scores.iter().copied()).fold(first, larger).0
}

/// Scratch as the place for a scaled model, which takes half of it.
fn mantissas(scratch: &mut [i64], len: usize) -> &mut [i32] {
    bytemuck::cast_slice_mut(scratch).get_mut(..len).unwrap_or_default()
}

struct Signs<'v> {
    visit: &'v mut dyn FnMut(usize, u8),
}

impl RowLoss for Signs<'_> {
    fn residuals(&mut self, first: usize, margins: &mut [i64]) {
        for (row, margin) in (first..).zip(margins) {
            (self.visit)(row, u8::from(*margin > 0));
            *margin = 0;
        }
    }
}

/// Passes on the class that `scores` makes of the margins of a row.
pub(crate) struct Largest<'v, S> {
    pub scores: S,
    pub visit: &'v mut dyn FnMut(usize, u8),
}

impl<S: FnMut(&mut [i64]) -> u8> RowLoss for Largest<'_, S> {
    fn residuals(&mut self, row: usize, margins: &mut [i64]) {
        (self.visit)(row, (self.scores)(margins));
        margins.fill(0);
    }
}
