//! Gradients.

use super::{Count, Numbers, report};
use core::hint::black_box;
use core::ops::Range;
use smidgen_firmware::data::Data;
use smidgen_firmware::logistic::Logistic;
use smidgen_firmware::objective::{Evaluation, Objective, ObjectiveSet};
use smidgen_firmware::objectives::Objectives;
use smidgen_firmware::perceptron::Perceptron;
use smidgen_firmware::softmax::Softmax;
use smidgen_protocol::batch::Selection;
use smidgen_protocol::message::Regulariser;
use smidgen_protocol::shard::{Header, Width};
use smidgen_protocol::vector::Ratio;
use static_cell::ConstStaticCell;

/// Rows of the smaller shard of a case; the larger has twice as many.
const ROWS: usize = 64;
/// Evaluations of a shard to count.
const REPEATS: usize = 16;
/// Columns of sparse rows.
const SPARSE_COLUMNS: usize = 112;
/// The longest model: that of the perceptron on 128 columns.
const D_MAX: usize = UNITS * 129 + CLASSES * (UNITS + 1);
/// Hidden units of the perceptron.
const UNITS: usize = 16;
/// Classes of softmax regression and of the perceptron.
const CLASSES: usize = 10;

/// Bytes of a shard, aligned for it.
#[repr(align(8))]
struct Bytes([u8; 32 << 10]);

/// Memory of all evaluations.
struct Memory {
    shard: Bytes,
    x: [i32; D_MAX],
    gradient: [i32; D_MAX],
    scratch: [i64; D_MAX],
}

/// Kinds of rows.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A byte per column.
    Dense,
    /// Listed columns, all 1.
    Ones,
    /// Listed columns, a byte each.
    Listed,
}

/// Rows to evaluate.
#[derive(Clone, Copy)]
struct Rows {
    kind: Kind,
    classes: u8,
    rows: usize,
    /// Entries of a row; the columns of a dense one.
    entries: usize,
}

impl Rows {
    fn columns(&self) -> usize {
        match self.kind {
            Kind::Dense => self.entries,
            Kind::Ones | Kind::Listed => SPARSE_COLUMNS,
        }
    }

    fn header(&self) -> Header {
        Header {
            rows: self.rows as u32,
            dimension: self.columns() as u32,
            sparse: self.kind != Kind::Dense,
            width: if self.kind == Kind::Ones { Width::Unit } else { Width::I8 },
            nonzeros: (self.rows * self.entries) as u32,
            label_width: Width::I8,
            classes: self.classes,
        }
    }

    /// Column of an entry of a row.
    fn column(&self, row: usize, entry: usize) -> usize {
        let gap = self.columns() / self.entries;
        entry * gap + row % gap
    }

    /// Writes the shard; returns its length.
    fn write(&self, bytes: &mut [u8]) -> Option<usize> {
        let (header, mut numbers) = (self.header(), Numbers(4));
        let sections = header.sections()?;
        bytes.get_mut(..Header::LEN)?.copy_from_slice(&header.emit());
        fill(bytes, sections.scale_mantissas, |_| (1i32 << 30).to_le_bytes())?;
        fill(bytes, sections.scale_exponents, |_| 37i16.to_le_bytes())?;
        fill(bytes, sections.labels, |_| [numbers.below(self.classes.into()) as u8])?;
        fill(bytes, sections.counts, |_| (self.entries as u16).to_le_bytes())?;
        let column = |place| self.column(place / self.entries, place % self.entries) as u8;
        fill(bytes, sections.indices, |place| [column(place)])?;
        fill(bytes, sections.values, |_| [numbers.signed(7) as u8 | 1])?;
        Some(sections.len)
    }
}

/// Writes the items of a section.
fn fill<const N: usize>(
    bytes: &mut [u8],
    section: Range<usize>,
    mut item: impl FnMut(usize) -> [u8; N],
) -> Option<()> {
    let places = bytes.get_mut(section)?.chunks_exact_mut(N).enumerate();
    places.for_each(|(place, bytes)| bytes.copy_from_slice(&item(place)));
    Some(())
}

/// An objective on rows.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    objective: &'static str,
    /// Units of the model, each with a weight per column.
    units: usize,
    rows: Rows,
}

impl Case {
    /// Length of the model.
    fn dimension(&self) -> usize {
        let columns = self.rows.columns();
        match self.units {
            1 => columns,
            CLASSES => CLASSES * (columns + 1),
            units => units * (columns + 1) + CLASSES * (units + 1),
        }
    }

    /// Instructions of [`REPEATS`] evaluations.
    fn count(&self, rows: Rows, memory: &mut Memory) -> Option<i64> {
        let case = Self { rows, ..*self };
        let len = rows.write(&mut memory.shard.0)?;
        let (data, d) = (Data::Sent(memory.shard.0.get(..len)?), case.dimension());
        (Objectives::find(case.objective)?.check)(data, d).then_some(())?;
        let (mut numbers, mut saturated, mut count) = (Numbers(5), 0, Count::default());
        memory.x.iter_mut().for_each(|x| *x = numbers.signed(26));
        let (x, gradient) = (memory.x.get(..d)?, memory.gradient.get_mut(..d)?);
        let mut request = Evaluation {
            objective: case.objective,
            x,
            x_exponent: 26,
            gradient,
            gradient_exponent: 24,
            loss_exponent: 16,
            regulariser: Regulariser::L2,
            lambda: Ratio { mantissa: 1 << 30, exponent: 40 },
            data,
            rows: Selection::ALL,
            scratch: memory.scratch.get_mut(..d)?,
            saturated: &mut saturated,
        };
        let losses = [(); REPEATS].map(|()| count.add(|| evaluate(black_box(request.reborrow()))));
        let is_sound = losses[0] > 0 && losses == [losses[0]; REPEATS];
        (is_sound && request.gradient.iter().any(|&g| g != 0)).then(|| count.instructions())
    }

    /// Reports what values, rows and columns cost. The four evaluations differ in the number of rows and of their
    /// entries, so that the parts of their costs can be told apart.
    fn report(&self, memory: &mut Memory) -> Option<()> {
        let Rows { rows, entries, .. } = self.rows;
        let mut count = |rows_by: usize, entries_by: usize| {
            let rows = Rows { rows: rows * rows_by, entries: entries * entries_by, ..self.rows };
            self.count(rows, memory)
        };
        let (one, two) = (count(1, 1)?, count(2, 1)?);
        let (short, long) = (two - one, count(2, 2)? - count(1, 2)?);
        let show = |unit, instructions, units| {
            report(format_args!("{}", self.name), unit, instructions, units * REPEATS)
        };
        let value = if self.units == 1 { "value" } else { "value and unit" };
        show(value, long - short, rows * entries * self.units);
        show("row, besides", 2 * short - long, rows);
        show("coordinate, besides", 2 * one - two, self.dimension());
        Some(())
    }
}

/// An evaluation as a worker requests it.
#[inline(never)]
fn evaluate(request: Evaluation<'_>) -> i64 {
    Objectives.evaluate_named(request)
}

/// Reports all cases; `None` if a shard is invalid or a gradient is zero.
pub fn report_all() -> Option<()> {
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
        shard: Bytes([0; _]),
        x: [0; _],
        gradient: [0; _],
        scratch: [0; _],
    });
    let memory = MEMORY.try_take()?;
    let logistic = <Logistic as Objective>::NAME;
    for (name, objective, units, kind, entries, classes) in [
        ("logistic, dense bytes", logistic, 1, Kind::Dense, 64, 2),
        ("logistic, one-hot rows", logistic, 1, Kind::Ones, 21, 2),
        ("logistic, listed bytes", logistic, 1, Kind::Listed, 21, 2),
        ("softmax, dense bytes", Softmax::NAME, CLASSES, Kind::Dense, 64, CLASSES as u8),
        ("perceptron, dense bytes", Perceptron::NAME, UNITS, Kind::Dense, 64, CLASSES as u8),
    ] {
        let rows = Rows { kind, classes, rows: ROWS, entries };
        Case { name, objective, units, rows }.report(memory)?;
    }
    Some(())
}
