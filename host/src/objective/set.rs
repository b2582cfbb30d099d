//! The objectives of a program.

use super::twin::{Objective, Twin};
use smidgen_firmware::objective::{
    Classes, Classification, Evaluation, Evaluator, ObjectiveSet, ObjectiveTable,
};
use smidgen_firmware::objectives;
use std::sync::OnceLock;

/// The objectives of a program: those of its workers, and their twins.
#[derive(Clone, Copy, Debug)]
pub struct Objectives {
    workers: Workers,
    twins: &'static [Objective],
    images: Option<&'static str>,
}

/// The objectives of simulated workers, without their type.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    table: ObjectiveTable,
    evaluate: fn(Evaluation<'_>) -> i64,
    classify: fn(Classification<'_>) -> Option<Classes>,
}

impl Workers {
    /// The objectives of the set `S`, whose values have no state.
    pub const fn of<S: ObjectiveSet + Default>() -> Self {
        Self {
            table: ObjectiveTable::of::<S>(),
            evaluate: |request| ObjectiveSet::evaluate_named(&mut S::default(), request),
            classify: |request| ObjectiveSet::classify_named(&mut S::default(), request),
        }
    }
}

impl Evaluator for Workers {
    fn table(&self) -> ObjectiveTable {
        self.table
    }

    fn evaluate_named(&mut self, request: Evaluation<'_>) -> i64 {
        (self.evaluate)(request)
    }

    fn classify_named(&mut self, request: Classification<'_>) -> Option<Classes> {
        (self.classify)(request)
    }
}

impl Objectives {
    /// Those of smidgen.
    pub const BUILT_IN: Self = Self {
        workers: Workers::of::<objectives::Objectives>(),
        twins: Objective::BUILT_IN,
        images: None,
    };

    /// The set `S` of workers with the twins of its objectives, in the same order.
    ///
    /// # Panics
    /// If a name of `S` is not that of its twin, or if there are no objectives.
    pub fn new<S: ObjectiveSet + Default>(twins: &[&'static dyn Twin]) -> Self {
        let names: Vec<_> = twins.iter().map(|twin| twin.name()).collect();
        assert_eq!(names.join(" "), S::NAMES, "each objective of the workers has a twin, in order");
        assert!(!twins.is_empty(), "a program has at least one objective");
        // A program has one set, for as long as it runs.
        let twins = twins.iter().map(|&twin| Objective::of(twin)).collect::<Vec<_>>().leak();
        Self { workers: Workers::of::<S>(), twins, images: None }
    }

    /// Names a folder with the images of these objectives: a cargo package for each board, in a folder with the name of
    /// the board's package.
    #[must_use]
    pub const fn with_images(self, folder: &'static str) -> Self {
        Self { images: Some(folder), ..self }
    }

    /// Returns the folder with its images, if they are not those of smidgen.
    pub const fn images(self) -> Option<&'static str> {
        self.images
    }

    /// Returns those of its workers.
    pub const fn workers(self) -> Workers {
        self.workers
    }

    /// Returns all of them, in the order of `--help`.
    pub const fn all(self) -> &'static [Objective] {
        self.twins
    }
}

/// The objectives of this process, written at most once.
///
/// It is global because names of objectives become values where nothing can be passed: when serde reads a record, and
/// when an error lists what is known. A process has one command line, and so one set.
static KNOWN: OnceLock<Objectives> = OnceLock::new();

/// Returns the objectives of this program: those of smidgen, unless it has brought others.
pub fn known() -> Objectives {
    *KNOWN.get().unwrap_or(&Objectives::BUILT_IN)
}

/// Sets the objectives of this program. Call it before anything else; later calls have no effect.
pub fn set_known(objectives: Objectives) {
    // A second set would change the meaning of values that exist already.
    let _ = KNOWN.set(objectives);
}
