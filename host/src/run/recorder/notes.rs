//! What a user is told during a run.

use crate::output::progress::Progress;
use crate::world::simulation;
use smidgen_aggregator::{Aggregator, Event};

/// Number of boards whose identity is printed; the others are only counted.
const GREETING_COUNT_MAX: usize = 8;

/// Shows what happens to workers.
pub(super) struct Notes<'r> {
    pub progress: &'r mut Progress,
    /// Place of each link.
    pub places: Vec<String>,
    /// Name of the method, if its workers have state that the host does not know.
    pub local_state_of: Option<&'static str>,
    /// Number of workers that have identified themselves.
    pub greeted: usize,
}

impl Notes<'_> {
    /// Shows a line that stays.
    pub(super) fn note(&mut self, note: &str) {
        self.progress.note(note);
    }

    /// Shows an event.
    pub(super) fn tell(&mut self, event: &Event, aggregator: &Aggregator) {
        match *event {
            Event::Greeted(worker) => self.greet(worker, aggregator),
            Event::Loaded { worker, held, len } => {
                let place = self.place(worker, aggregator);
                self.progress.transfer(&place, held.into(), len.into());
            }
            Event::Rebooted(worker) => {
                let place = self.place(worker, aggregator);
                self.note(&format!("{place} has rebooted and is being restored"));
                if let Some(method) = self.local_state_of {
                    self.note(&format!(
                        "its local state for {method} is restored only from its own flash; without that it \
                         starts from zero, and the run changes"
                    ));
                }
            }
            Event::Moved(worker) => {
                let place = self.place(worker, aggregator);
                let board = aggregator.identity(worker).map(ToString::to_string);
                let board = board.unwrap_or_default();
                self.note(&format!("worker {} ({board}) now answers on {place}", worker + 1));
            }
            Event::Excluded { worker, ref failure } => {
                let place = self.place(worker, aggregator);
                self.note(&match failure {
                    Some(failure) => {
                        format!("{place} is excluded and will be tried again: {}", failure.reason)
                    }
                    None => format!("{place} is silent; rounds continue without it"),
                });
            }
            Event::Readmitted(worker) => {
                let place = self.place(worker, aggregator);
                self.note(&format!("{place} answers again and is being restored"));
            }
            Event::Prepared(_) | Event::Closed(_) | Event::Finished(_) | Event::Failed(_) => {}
        }
    }

    /// Returns the display name of a worker's place.
    pub(super) fn place(&self, worker: usize, aggregator: &Aggregator) -> String {
        self.places[aggregator.link(worker)].clone()
    }

    /// Prints the identity of a board; not in simulation.
    fn greet(&mut self, worker: usize, aggregator: &Aggregator) {
        let Some(identity) = aggregator.identity(worker) else { return };
        if identity.board == simulation::BOARD {
            return;
        }
        self.greeted += 1;
        let more = self.places.len().saturating_sub(GREETING_COUNT_MAX);
        if self.greeted <= GREETING_COUNT_MAX {
            self.note(&format!("{} is {identity}", self.place(worker, aggregator)));
        } else if self.greeted == self.places.len() {
            self.note(&format!("and {more} more boards"));
        }
    }
}
