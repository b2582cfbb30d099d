//! Recordings: labelled time series of each worker, from which its board makes its rows.
//!
//! ```text
//!  files      a directory or file -> files of workers
//!  table, ts  a file -> Series
//!  full_scale Series of all files -> units of a sensor
//!  read       Series of all files, checked against each other -> samples of a sensor, per worker
//!  unseen     Series of files for a model -> rows of their windows
//!  rows       samples -> rows, by the recorder of the firmware -> Dataset, and what boards are sent in place of rows
//! ```

mod error;
mod example;
mod files;
mod full_scale;
mod read;
mod rows;
mod samples;
mod series;
mod table;
mod ts;
mod unseen;

pub use error::{Flaw, RecordingsError};
pub use read::EXAMPLE;
pub use rows::{RowsOnBoards, board_data, common_bits, rows_held};
pub use samples::{Recording, Recordings, WorkerRecordings};
pub use unseen::{UnseenRecordings, WindowRow};
