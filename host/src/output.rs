//! Output for people: progress on a terminal, and the report. Reads records, never a world.

pub mod progress;
pub mod report;
