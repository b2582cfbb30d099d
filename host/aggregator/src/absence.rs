//! Rounds that do not wait for everybody: who is silent for too long is left out, and finds its way back.
//!
//! Without a round time-out ([`Setup::round_timeout`](super::Setup::round_timeout)) the open round waits for ever. With one it closes without
//! the workers that have been silent for so long, as if they did not take part in it: their estimators stay, and the
//! transcript says who was left out. A worker that answers again is waited for again. What it holds may be anything by then,
//! so that it is restored as after a reboot. A worker with whom there can be no run is asked again later, at growing intervals.

use super::exchange::Stage;
use super::{Event, Failure, Machine, Phase, Reason};
use std::time::Duration;

impl Machine {
    /// Closes the open round, or the run, if nobody is waited for any more.
    pub fn close_if_complete(&mut self, now: Duration) {
        if self.closing_at().is_none_or(|at| at > now) {
            return;
        }
        if let Phase::Open(round) = self.phase {
            self.exclude_missing(|machine, worker| !machine.is_in(worker, round));
            self.close(now, round);
        } else {
            self.exclude_missing(|machine, worker| !machine.is_idle(worker));
            self.conclude(now);
        }
    }

    /// When the open round, or the run, closes if nothing comes any more: once every worker is done or not waited for, and one at
    /// least is done.
    pub fn closing_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open(round) => self.over_at(|machine, worker| machine.is_in(worker, round)),
            Phase::Finishing => self.over_at(Self::is_idle),
            _ => None,
        }
    }

    fn over_at(&self, is_done: impl Fn(&Self, usize) -> bool) -> Option<Duration> {
        let mut workers = 0..self.peers.len();
        let over_at = |worker| match is_done(self, worker) {
            true => Some(Duration::ZERO),
            false => self.excluded_at(worker),
        };
        let last = workers
            .clone()
            .try_fold(Duration::ZERO, |last, worker| over_at(worker).map(|at| last.max(at)))?;
        workers.any(|worker| is_done(self, worker)).then_some(last)
    }

    /// Whether a worker's update of the open round was taken.
    fn is_in(&self, worker: usize, round: u32) -> bool {
        self.peers[worker].at_round == Some(round)
    }

    fn is_idle(&self, worker: usize) -> bool {
        let peer = &self.peers[worker];
        peer.exchange.stage() == Stage::Idle && !peer.missed
    }

    /// From when on a worker is not waited for.
    fn excluded_at(&self, worker: usize) -> Option<Duration> {
        let (peer, timeout) = (&self.peers[worker], self.setup.round_timeout?);
        if !self.has_started() {
            return None;
        }
        if peer.excluded || (self.phase == Phase::Finishing && peer.missed) {
            return Some(Duration::ZERO);
        }
        peer.exchange.overdue_since().map(|since| since + timeout)
    }

    fn is_excluded(&self, worker: usize, now: Duration) -> bool {
        self.excluded_at(worker).is_some_and(|at| at <= now)
    }

    /// Whether a worker is not waited for, and another one is there to go on.
    pub fn proceeds_without(&self, now: Duration, worker: usize) -> bool {
        let mut others = (0..self.peers.len()).filter(|&other| other != worker);
        self.is_excluded(worker, now) && others.any(|other| !self.is_excluded(other, now))
    }

    /// Whether there is a run that can go on without somebody: set-up and round 0 need everybody.
    fn has_started(&self) -> bool {
        match self.phase {
            Phase::Open(round) => round > 0,
            Phase::Closed(_) | Phase::Finishing | Phase::Finished => true,
            _ => false,
        }
    }

    fn exclude_missing(&mut self, is_missing: impl Fn(&Self, usize) -> bool) {
        for worker in 0..self.peers.len() {
            if is_missing(self, worker) {
                let peer = &mut self.peers[worker];
                peer.at_round = None;
                peer.incoming.forget();
                // What it is sent from now on it has been sent before.
                peer.restarts = peer.restarts.max(1);
                self.exclude(worker, None);
            }
        }
    }

    /// Notes, and says once, that a worker is not waited for, with the reason if it is known.
    fn exclude(&mut self, worker: usize, failure: Option<Failure>) {
        let peer = &mut self.peers[worker];
        let present = !std::mem::replace(&mut peer.excluded, true);
        peer.exclusions += u32::from(present);
        let reason = failure.as_ref().map(|failure| failure.reason.clone());
        let another = reason.is_some() && reason != peer.reason;
        if present || another {
            peer.reason = reason;
            self.events.push_back(Event::Excluded { worker, failure });
        }
    }

    /// A worker with whom there can be no run: without a round time-out it ends here, else this worker is left out, and asked again later.
    pub fn fail(&mut self, worker: usize, reason: Reason) {
        let identity = self.peers[worker].identity.clone();
        let failure = Failure { worker, identity, reason };
        // A state that is not the host's is a fault of the program, whoever else there is.
        let fatal = failure.reason == Reason::Diverged;
        if self.setup.round_timeout.is_none() || !self.has_started() || fatal {
            return self.events.push_back(Event::Failed(failure));
        }
        let is_in = self.open_round().is_some_and(|round| self.is_in(worker, round));
        let peer = &mut self.peers[worker];
        if peer.barred && peer.exchange.is_resting() {
            return;
        }
        // Its mirror holds its update of this round, which must not be taken twice: whatever is wrong is found again in the next.
        if is_in {
            return peer.wait();
        }
        peer.at_round = None;
        peer.incoming.forget();
        peer.bar();
        self.enqueue(worker);
        if (0..self.peers.len()).all(|other| other == worker || self.peers[other].barred) {
            return self.events.push_back(Event::Failed(failure));
        }
        self.exclude(worker, Some(failure));
    }

    /// Notes that a worker answers: the round waits for it. That it is there, and loads its data, is not enough: until its restoration
    /// begins it needs nothing from the others.
    pub fn hear(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        if matches!(peer.exchange.stage(), Stage::Greet | Stage::Configure | Stage::Load { .. }) {
            return;
        }
        peer.barred = false;
        if std::mem::take(&mut peer.excluded) {
            self.events.push_back(Event::Readmitted(worker));
        }
    }

    /// What a worker that was not in the round just closed is asked now: nothing new while it is on its way back to where
    /// the restoration begins, else to begin that again, since the model has moved on.
    pub fn bring_back(&mut self, worker: usize, rescaled: bool) {
        match self.peers[worker].exchange.stage() {
            Stage::Greet | Stage::Configure | Stage::Load { .. } | Stage::Idle => {}
            Stage::Announce if !rescaled => {}
            _ => self.enter(worker, Stage::Announce),
        }
    }

    /// Ends the run: all that are there have confirmed their state.
    fn conclude(&mut self, now: Duration) {
        self.phase = Phase::Finished;
        let carried = self.close_traffic(now);
        self.events.push_back(Event::Finished(carried));
    }
}
