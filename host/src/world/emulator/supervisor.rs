//! Supervision of emulated boards: restarts those that end.

use super::failure::{EmulatorError, Failure};
use super::process::Emulator;
use super::recording::{RecordingError, Rows};
use crate::units::interrupt;
use crate::world::driver::{Seen, Watch};
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Shortest time with an open socket after which a restarted emulator is worth another restart.
const UPTIME_MIN: Duration = Duration::from_secs(10);

/// A supervised emulated board.
struct Supervised {
    emulator: Emulator,
    /// What it records again once it has lost its rows.
    rows: Option<Rows>,
    /// The thread that has it record again, while its socket is hidden.
    recording: Option<JoinHandle<Result<(), RecordingError>>>,
    was_restarted: bool,
    is_lost: bool,
}

impl Supervised {
    fn new(emulator: Emulator, rows: Option<Rows>) -> Self {
        // A board that keeps memory has them after a restart.
        let rows = rows.filter(|_| !emulator.board().keeps_memory());
        Self { emulator, rows, recording: None, was_restarted: false, is_lost: false }
    }

    fn poll(&mut self, link: usize) -> Option<Seen> {
        if self.is_lost {
            return None;
        }
        let Some(failure) = self.emulator.failure() else { return self.poll_recording(link) };
        let reason = match failure {
            Failure::NoSocket => failure.to_string(),
            Failure::Ended { uptime, .. }
                if self.recording.is_some() || !self.is_worth_restarting(uptime) =>
            {
                format!("{failure}, again")
            }
            // Does not wait for the socket: the link reconnects while other boards go on.
            Failure::Ended { .. } => match self.start_again() {
                Err(error) => format!("{failure}, and {error}"),
                Ok(()) => {
                    self.was_restarted = true;
                    let name = self.emulator.board().name;
                    let note = format!("emulated {name} {} was started again: {failure}", link + 1);
                    return Some(Seen::Note(note));
                }
            },
        };
        Some(self.lose(link, reason))
    }

    fn lose(&mut self, link: usize, reason: String) -> Seen {
        self.is_lost = true;
        self.emulator.kill();
        Seen::Lost { link, reason }
    }

    /// Starts the board again, and the recording of rows that it has lost. Until they are recorded, the link of the run
    /// does not find it.
    fn start_again(&mut self) -> Result<(), EmulatorError> {
        let Some(rows) = self.rows.clone() else { return self.emulator.start_again() };
        self.emulator.hide()?;
        self.emulator.start_again()?;
        let lines = self.emulator.lines();
        self.recording = Some(thread::Builder::new().spawn(move || rows.record(&lines))?);
        Ok(())
    }

    /// Shows the board to the link of the run once it has recorded its rows again.
    fn poll_recording(&mut self, link: usize) -> Option<Seen> {
        let recording = self.recording.take_if(|recording| recording.is_finished())?;
        let recorded = recording.join().unwrap_or_else(|panic| resume_unwind(panic));
        let shown = recorded
            .map_err(|error| error.to_string())
            .and_then(|()| self.emulator.show().map_err(|error| error.to_string()));
        match shown {
            Ok(()) => {
                let name = self.emulator.board().name;
                let note = format!("emulated {name} {} has recorded its rows again", link + 1);
                Some(Seen::Note(note))
            }
            // A request to stop ends the recording; the run is stopped in order.
            Err(_) if interrupt::is_requested() => None,
            Err(reason) => Some(self.lose(link, reason)),
        }
    }

    /// Returns whether an emulator with this time of an open socket should be restarted.
    fn is_worth_restarting(&self, uptime: Option<Duration>) -> bool {
        // A restarted emulator that never opened its socket would fail again, however long it ran.
        !self.was_restarted || uptime.is_some_and(|uptime| uptime >= UPTIME_MIN)
    }
}

/// Returns a watch that restarts emulators that end, each with what it has recorded if that is given.
pub fn supervise(emulators: Vec<(Emulator, Option<Rows>)>) -> Watch {
    let supervised = |(emulator, rows)| Supervised::new(emulator, rows);
    let mut fleet: Vec<_> = emulators.into_iter().map(supervised).collect();
    Box::new(move || {
        fleet.iter_mut().enumerate().find_map(|(link, supervised)| supervised.poll(link))
    })
}

#[cfg(test)]
mod tests {
    use super::super::command::tests::watched_process;
    use super::super::failure::START_TIMEOUT;
    use super::super::process::Stage;
    use super::super::process::tests::{ago, starting};
    use super::*;

    impl Supervised {
        /// Replaces the process by one that has ended in this stage.
        fn end_at(&mut self, stage: Stage) {
            self.emulator.kill();
            self.emulator.process = watched_process();
            self.emulator.kill();
            let _ = std::fs::remove_file(&self.emulator.socket);
            self.emulator.stage = stage;
        }

        fn assert_restarts(&mut self) {
            let Some(Seen::Note(note)) = self.poll(3) else { panic!("it is not restarted") };
            assert!(note.starts_with("emulated mps2-m3 4 was started again: it ended"), "{note}");
        }

        fn assert_is_lost(&mut self, end: &str) {
            let Some(Seen::Lost { link: 3, reason }) = self.poll(3) else {
                panic!("it is not lost")
            };
            assert!(reason.ends_with(end), "{reason}");
            assert!(self.poll(3).is_none(), "it is reported once");
            assert!(self.emulator.process.try_wait().unwrap().is_some(), "the process has ended");
        }
    }

    #[test]
    fn emulator_that_never_opens_its_socket_is_lost() {
        let mut silent = Supervised::new(starting(), None);
        assert!(silent.poll(3).is_none());
        silent.emulator.stage = Stage::Starting(ago(2 * START_TIMEOUT));
        silent.assert_is_lost("the machine may be overloaded");
    }

    #[test]
    fn emulator_that_ends_without_a_socket_is_restarted_once() {
        for delay in [0, 15, 30].map(Duration::from_secs) {
            let mut failing = Supervised::new(starting(), None);
            failing.end_at(Stage::Open(ago(delay)));
            failing.assert_restarts();
            failing.end_at(Stage::Starting(ago(delay)));
            failing.assert_is_lost(", again");
        }
    }

    #[test]
    fn emulator_with_long_uptimes_is_always_restarted() {
        let mut supervised = Supervised::new(starting(), None);
        for _ in 0..3 {
            supervised.end_at(Stage::Open(ago(2 * UPTIME_MIN)));
            supervised.assert_restarts();
        }
        supervised.end_at(Stage::Open(ago(UPTIME_MIN / 2)));
        supervised.assert_is_lost(", again");
    }
}
