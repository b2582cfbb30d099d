//! The worlds of an experiment: simulated workers, or links to boards.

use super::experiment::Experiment;
use crate::options::Options;
use crate::world::driver::Driver;
use crate::world::simulation::{Board, Line, Simulation};
use crate::world::transport::{Address, TransportError};
use smidgen_firmware::objectives::Objectives;

impl Experiment {
    /// Returns the line of the options.
    pub fn line(&self) -> Line {
        let Options { baud, faults, seed, .. } = *self.options();
        Line { baud, faults, seed: seed.into() }
    }

    /// Returns a simulation of its workers.
    pub fn simulation(&self) -> Simulation<Board<Objectives>> {
        let simulation = Simulation::new(self.setup.clone(), Objectives, self.line());
        if self.setup.hears_all() {
            simulation
        } else {
            simulation.with_objective(self.objective())
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
        Ok(driver.with_deadline(deadline).with_objective(self.objective()))
    }
}
