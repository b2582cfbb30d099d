//! The worlds that an experiment can run in: simulated workers, or links to boards.

use super::experiment::Experiment;
use crate::options::Options;
use crate::world::driver::Driver;
use crate::world::simulation::{Board, Line, Simulation};
use crate::world::transport::{Address, TransportError};
use smidgen_firmware::objectives::Objectives;

impl Experiment {
    /// The line that the options ask for.
    pub fn line(&self) -> Line {
        let Options { baud, faults, seed, .. } = *self.options();
        Line { baud, faults, seed: seed.into() }
    }

    /// Its workers in simulation.
    pub fn simulation(&self) -> Simulation<Board<Objectives>> {
        let simulation = Simulation::new(self.setup.clone(), Objectives, self.line());
        if self.setup.hears_all() {
            simulation
        } else {
            simulation.with_objective(self.objective())
        }
    }

    /// Its workers on links that are opened now; `places` names their ends for people.
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
