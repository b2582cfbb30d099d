//! Recordings as samples of a sensor.

use crate::problem::dataset::windows::Windows;
use std::collections::BTreeSet;

/// Recordings of all workers, as samples of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Recordings {
    /// Name of the directory or file.
    pub name: String,
    /// How samples become rows, and values of the files samples.
    pub windows: Windows,
    /// Name of the column of the classes, if the user gave it.
    pub label: Option<String>,
    /// The recordings of each worker.
    pub workers: Vec<WorkerRecordings>,
    /// What a user should know about the files.
    pub notes: Vec<String>,
}

/// Recordings of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerRecordings {
    /// Name of the worker.
    pub worker: String,
    /// Its recordings, in order.
    pub recordings: Vec<Recording>,
}

/// Samples of one class without a gap, at least as many as a window has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Name of the class.
    pub class: String,
    /// Its rows are held out.
    pub is_test: bool,
    /// Values of all samples, one per channel each.
    pub samples: Vec<i16>,
}

impl Recordings {
    /// Returns the names of all classes, sorted.
    pub fn classes(&self) -> Vec<String> {
        let all = self.workers.iter().flat_map(|worker| &worker.recordings);
        let classes: BTreeSet<_> = all.map(|recording| recording.class.clone()).collect();
        classes.into_iter().collect()
    }
}
