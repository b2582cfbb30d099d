//! The worlds of an experiment: simulated workers, or links to boards.

use super::experiment::Experiment;
use crate::objective::{self, Workers};
use crate::options::Options;
use crate::problem::dataset::recordings::WorkerRecordings;
use crate::world::driver::Driver;
use crate::world::simulation::{Board, Line, Simulation, memory_len_of};
use crate::world::transport::{Address, TransportError};
use smidgen_aggregator::Setup;
use smidgen_firmware::objective::Evaluator;

impl Experiment {
    /// Returns the line of the options.
    pub fn line(&self) -> Line {
        let Options { baud, faults, seed, .. } = *self.options();
        Line { baud, faults, seed: seed.into() }
    }

    /// Returns simulated boards for a setup on the same data. They have recorded their rows, if boards do.
    pub fn boards(&self, setup: &Setup, line: Line) -> Vec<Board<Workers>> {
        let (workers, memory_len) = (objective::known().workers(), self.memory_len(setup));
        let board = |index| Board::new(setup, index, memory_len, workers, line);
        let mut boards: Vec<_> = (0..setup.shares.len()).map(board).collect();
        if let Some(recordings) = self.recordings() {
            let recipe = recordings.windows.recipe();
            for (board, worker) in boards.iter_mut().zip(&self.workers) {
                board.record(&recipe, &recordings.workers[worker.share]);
            }
        }
        boards
    }

    /// Returns the memory in bytes that the largest worker of a setup on the same data needs.
    pub fn memory_len(&self, setup: &Setup) -> usize {
        // A label per recorded row.
        let labels = self.recordings().map_or(0, |recordings| {
            let recipe = recordings.windows.recipe();
            let count = |worker: &WorkerRecordings| worker.row_count(&recipe);
            recordings.workers.iter().map(count).max().unwrap_or(0).next_multiple_of(8)
        });
        memory_len_of(objective::known().workers().table(), setup) + labels
    }

    /// Returns a simulation of its workers.
    pub fn simulation(&self) -> Simulation<Board<Workers>> {
        let boards = self.boards(&self.setup, self.line());
        let simulation = Simulation::with_boards(self.setup.clone(), boards);
        match self.objective().filter(|_| !self.setup.hears_all()) {
            Some(objective) => simulation.with_objective(objective),
            None => simulation,
        }
    }

    /// Opens links to its workers; `places` are the display names of the links.
    ///
    /// # Errors
    /// If a link cannot be opened.
    pub fn driver(
        &self,
        addresses: &[Address],
        places: Vec<String>,
    ) -> Result<Driver, TransportError> {
        let driver = Driver::open(self.setup.clone(), addresses, places, self.line())?;
        let deadline = self.options().absent.deadline();
        let driver = driver.with_deadline(deadline);
        Ok(match self.objective() {
            Some(objective) => driver.with_objective(objective),
            None => driver,
        })
    }
}
