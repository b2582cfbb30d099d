//! Records of a run: the files that it writes to its directory, and how they are read back.
//!
//! ```text
//! DIR/rounds.jsonl     one RoundRecord per line, written in one piece as soon as the round is closed
//! DIR/baseline.jsonl   one BaselineRecord per line: dense gradient descent on the same problem
//! DIR/summary.json     one Summary: before the first round what is known by then, at the end everything
//! DIR/model.json       the model, with each checkpoint and at the end, see `model`
//! DIR/report.html      the report, see `output::report`
//! DIR/.lock            locked by the process that writes the other files
//! ```
//!
//! JSON cannot represent numbers that are not finite. They are written as `null` and read back as NaN, or as `None`
//! where the field is optional.

pub mod checkpoint;
mod cost;
mod directory;
mod error;
mod lock;
pub mod model;
mod names;
mod nan;
mod round;
mod summary;
pub mod theory;
mod times;

pub use cost::{Cost, running_totals};
pub use directory::{Claim, Records, Run, RunDirectory};
pub use error::{RecordError, check_output};
pub(crate) use error::{replace_file, write_error};
pub use lock::Locks;
pub use model::Model;
pub use names::{MODEL, REPORT};
pub use round::{BaselineRecord, Norm, RoundRecord};
pub use smidgen_aggregator::Traffic;
pub use summary::{
    HeldOutRecord, InformationLimit, ModelRecord, ScoreRecord, StepTheory, Summary, TestRecord,
    WorkerRecord,
};
pub use times::{BoardTimes, Times, WorkerTimes};

#[cfg(test)]
mod tests;
