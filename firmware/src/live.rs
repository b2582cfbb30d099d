//! Classes of live windows: the same code on a board and on a host.

use crate::data::Data;
use crate::objective::{Classes, Classification, Evaluator, ObjectiveInfo};
use smidgen_protocol::message::Refusal;
use smidgen_protocol::recipe::ROW_LEN_MAX;
use smidgen_protocol::recorded::RecordedRows;
use smidgen_protocol::shard::{Parts, Shard};
use smidgen_protocol::vector::Exponent;

/// A model for the rows of a recipe, whose scales and classes are in [`RecordedRows`].
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Its objective.
    pub objective: &'static ObjectiveInfo,
    /// Mantissas of x.
    pub x: &'a [i32],
    /// Exponent of x.
    pub x_exponent: Exponent,
}

impl Model<'_> {
    /// Checks that the objective accepts rows of the recipe at this dimension, and has classes.
    pub fn check(
        &self,
        recorded: &RecordedRows<'_>,
        objectives: &mut impl Evaluator,
        scratch: &mut [i64],
    ) -> Result<(), Refusal> {
        let values = &[0; ROW_LEN_MAX];
        let row = values.get(..recorded.recipe.row_len()).unwrap_or_default();
        let shard = shard_of(recorded, row).ok_or(Refusal::Data)?;
        if !(self.objective.check)(Data::Recorded(&shard), self.x.len()) {
            return Err(Refusal::Data);
        }
        self.classify_rows(&shard, objectives, scratch).map(|_| ()).ok_or(Refusal::Objective)
    }

    /// Classifies a row of a model that was checked; `scratch` has [`ObjectiveInfo::scratch_len`] words.
    ///
    /// Class and score are a function of the arguments, the same on every machine.
    pub fn classify(
        &self,
        recorded: &RecordedRows<'_>,
        row: &[i16],
        objectives: &mut impl Evaluator,
        scratch: &mut [i64],
    ) -> Option<Classes> {
        self.classify_rows(&shard_of(recorded, row)?, objectives, scratch)
    }

    /// Classifies the rows of a shard, at least one, of a model that was checked.
    pub(crate) fn classify_rows(
        &self,
        shard: &Shard<'_>,
        objectives: &mut impl Evaluator,
        scratch: &mut [i64],
    ) -> Option<Classes> {
        objectives.classify_named(Classification {
            objective: self.objective.name,
            shard,
            x: self.x,
            x_exponent: self.x_exponent,
            scratch,
        })
    }
}

/// A row as the only one of a shard.
fn shard_of<'a>(recorded: &RecordedRows<'a>, row: &'a [i16]) -> Option<Shard<'a>> {
    let parts = Parts {
        dimension: recorded.dimension(),
        classes: recorded.classes,
        values: row,
        stride: row.len(),
        // Not compared with anything.
        labels: &[0],
        scale_mantissas: recorded.scale_mantissas,
        scale_exponents: recorded.scale_exponents,
    };
    Shard::from_parts(&parts).ok()
}
