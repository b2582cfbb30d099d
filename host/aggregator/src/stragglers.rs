//! Rounds that do not wait for every worker, and the way back of those that they were closed without.

use crate::event::Event;
use crate::failure::{Failure, Reason};
use crate::machine::{Machine, Phase};
use crate::stage::Stage;
use crate::standing::Notice;
use std::time::Duration;

impl Machine {
    /// When a round stops to wait for a worker, or has stopped.
    pub(crate) fn excluded_at(&self, worker: usize) -> Option<Duration> {
        let (peer, timeout) = (&self.peers[worker], self.setup.round_timeout?);
        if !self.has_started() {
            return None;
        }
        if peer.standing.is_excluded() || (self.phase == Phase::Finishing && peer.missed) {
            return Some(Duration::ZERO);
        }
        peer.exchange.overdue_since().map(|since| since + timeout)
    }

    /// Rounds do not wait for a worker, and there is another one for which they do.
    pub(crate) fn proceeds_without(&self, now: Duration, worker: usize) -> bool {
        let is_out = |worker| self.excluded_at(worker).is_some_and(|at| at <= now);
        let mut others = (0..self.peers.len()).filter(|&other| other != worker);
        is_out(worker) && others.any(|other| !is_out(other))
    }

    /// The run does not need every worker from now on.
    fn has_started(&self) -> bool {
        match self.phase {
            Phase::Measuring | Phase::Probing(_) => false,
            Phase::Open(round) => round > 0,
            Phase::Closed(_) | Phase::Finishing | Phase::Finished => true,
        }
    }

    /// Closes a round without a worker.
    pub(crate) fn exclude(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        peer.forget_round();
        let notice = peer.standing.exclude();
        self.announce(worker, notice, None);
    }

    /// Excludes a worker with which no run is possible, or ends the run if that cannot be.
    pub(crate) fn fail(&mut self, worker: usize, reason: Reason) {
        let failure =
            Failure { worker, identity: self.peers[worker].board.identity().cloned(), reason };
        if self.is_fatal(&failure) {
            return self.events.push_back(Event::Failed(failure));
        }
        let is_in = self.open_round().is_some_and(|round| self.is_in(worker, round));
        let peer = &mut self.peers[worker];
        // Late frames of a board that is left alone must not lengthen its pause.
        if peer.standing.is_quarantined() && peer.exchange.is_unasked() {
            return;
        }
        peer.visitor.clear();
        if is_in {
            // Its mirror holds its update of this round, which must not be taken twice: what is wrong is found again in
            // the next one.
            return peer.wait();
        }
        // Rounds need one worker at least.
        if self.is_last(worker) {
            return self.events.push_back(Event::Failed(failure));
        }
        let peer = &mut self.peers[worker];
        peer.forget_round();
        let (pause, notice) = peer.standing.quarantine(&failure.reason);
        peer.exchange.pause(pause);
        self.enqueue(worker);
        self.announce(worker, notice, Some(failure));
    }

    /// No run is possible at all.
    fn is_fatal(&self, failure: &Failure) -> bool {
        // A state that differs from the host's is a fault of the program, whichever worker has it.
        let is_bug = failure.reason == Reason::Diverged;
        is_bug || self.setup.round_timeout.is_none() || !self.has_started()
    }

    /// All other workers are quarantined.
    fn is_last(&self, worker: usize) -> bool {
        let mut others = self.peers.iter().enumerate().filter(|&(other, _)| other != worker);
        others.all(|(_, peer)| peer.standing.is_quarantined())
    }

    /// Announces a change of a worker's exclusion.
    fn announce(&mut self, worker: usize, notice: Notice, failure: Option<Failure>) {
        let exclusions = &mut self.peers[worker].exclusions;
        match notice {
            Notice::Begins => exclusions.count += 1,
            Notice::Changes => {}
            Notice::Stays => return,
        }
        exclusions.reason = failure.as_ref().map(|failure| failure.reason.clone());
        self.events.push_back(Event::Excluded { worker, failure });
    }

    /// Notes that a worker answered: the round waits for it as soon as it needs something that the others may change.
    pub(crate) fn hear(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        if !peer.exchange.stage().precedes_restoration() && peer.standing.readmit() {
            self.events.push_back(Event::Readmitted(worker));
        }
    }

    /// Starts the restoration of a worker that was not in the round just closed again, since the model has moved on. A
    /// worker on its way to its restoration needs no change.
    pub(crate) fn bring_back(&mut self, worker: usize, rescaled: bool) {
        match self.peers[worker].exchange.stage() {
            Stage::Greet | Stage::Configure | Stage::Load { .. } | Stage::Idle => {}
            Stage::Announce if !rescaled => {}
            Stage::Curvature
            | Stage::Probe
            | Stage::Announce
            | Stage::Restore { .. }
            | Stage::Begin
            | Stage::Part(_)
            | Stage::Round
            | Stage::More
            | Stage::Verify
            | Stage::Handover(_)
            | Stage::Score
            | Stage::Keep => self.enter(worker, Stage::Announce),
        }
    }
}
