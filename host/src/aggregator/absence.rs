//! Rounds that do not wait for everybody: who is silent for too long is left out, and finds its way back.
//!
//! Without a patience ([`Setup::patience`](super::Setup::patience)) the open round waits for ever. With one it closes without
//! the workers that have been silent for so long, as if they did not take part in it: their estimators stay, and the
//! transcript says who was left out. A worker that answers again is waited for again. What it holds may be anything by then,
//! so that it is restored as after a reboot.

use super::question::Stage;
use super::{Event, Failure, Machine, Phase, Reason};
use std::time::Duration;

impl Machine {
    /// Closes the open round, or the run, if nobody is waited for any more.
    pub fn close_if_complete(&mut self, now: Duration) {
        match self.phase {
            Phase::Open(round)
                if self.is_over(now, |machine, worker| machine.is_in(worker, round)) =>
            {
                self.leave_out(|machine, worker| !machine.is_in(worker, round));
                self.close(round);
            }
            Phase::Finishing if self.is_over(now, Self::is_idle) => {
                self.leave_out(|machine, worker| !machine.is_idle(worker));
                self.conclude();
            }
            _ => {}
        }
    }

    /// Whether every worker is done or not waited for, and one at least is done.
    fn is_over(&self, now: Duration, is_done: impl Fn(&Self, usize) -> bool) -> bool {
        let mut workers = 0..self.peers.len();
        let over = |worker| is_done(self, worker) || self.is_given_up(worker, now);
        workers.clone().all(over) && workers.any(|worker| is_done(self, worker))
    }

    /// Whether a worker's update of the open round was taken.
    fn is_in(&self, worker: usize, round: u32) -> bool {
        self.peers[worker].at_round == Some(round)
    }

    fn is_idle(&self, worker: usize) -> bool {
        let peer = &self.peers[worker];
        peer.question.stage() == Stage::Idle && !peer.missed
    }

    /// Whether a worker is not waited for.
    fn is_given_up(&self, worker: usize, now: Duration) -> bool {
        let (peer, Some(patience)) = (&self.peers[worker], self.setup.patience) else {
            return false;
        };
        let silent = |since: Duration| now.saturating_sub(since) >= patience;
        self.has_started()
            && (peer.absent
                || (self.phase == Phase::Finishing && peer.missed)
                || peer.question.silent_since().is_some_and(silent))
    }

    /// Whether a worker is not waited for, and another one is there to go on.
    pub fn goes_on_without(&self, now: Duration, worker: usize) -> bool {
        let mut others = (0..self.peers.len()).filter(|&other| other != worker);
        self.is_given_up(worker, now) && others.any(|other| !self.is_given_up(other, now))
    }

    /// Whether there is a run that can go on without somebody: set-up and round 0 need everybody.
    fn has_started(&self) -> bool {
        match self.phase {
            Phase::Open(round) => round > 0,
            Phase::Closed(_) | Phase::Finishing => true,
            _ => false,
        }
    }

    fn leave_out(&mut self, is_missing: impl Fn(&Self, usize) -> bool) {
        for worker in 0..self.peers.len() {
            if is_missing(self, worker) {
                let peer = &mut self.peers[worker];
                peer.at_round = None;
                peer.incoming.forget();
                // What it is sent from now on it has been sent before.
                peer.restarts = peer.restarts.max(1);
                self.be_absent(worker, None);
            }
        }
    }

    /// Notes, and says once, that a worker is not waited for, with the reason if it is known.
    fn be_absent(&mut self, worker: usize, failure: Option<Failure>) {
        if !std::mem::replace(&mut self.peers[worker].absent, true) {
            self.events.push_back(Event::LeftOut { worker, failure });
        }
    }

    /// A worker with whom there can be no run: without patience it ends here, else this worker is left out, until its link
    /// is opened anew.
    pub fn fail(&mut self, worker: usize, reason: Reason) {
        let identity = self.peers[worker].identity.clone();
        let failure = Failure { worker, identity, reason };
        // A state that is not the host's is a fault of the program, whoever else there is.
        let fatal = failure.reason == Reason::Diverged;
        if self.setup.patience.is_none() || !self.has_started() || fatal {
            return self.events.push_back(Event::Failed(failure));
        }
        let peer = &mut self.peers[worker];
        peer.at_round = None;
        peer.incoming.forget();
        peer.question.enter(Stage::Idle);
        if (0..self.peers.len()).all(|other| other == worker || self.is_given_up_for_good(other)) {
            return self.events.push_back(Event::Failed(failure));
        }
        self.be_absent(worker, Some(failure));
    }

    /// Whether a worker is not asked any more.
    fn is_given_up_for_good(&self, worker: usize) -> bool {
        let peer = &self.peers[worker];
        peer.absent && peer.question.stage() == Stage::Idle
    }

    /// Notes that a worker answers: the next round waits for it.
    pub fn hear(&mut self, worker: usize) {
        if std::mem::take(&mut self.peers[worker].absent) {
            self.events.push_back(Event::Back(worker));
        }
    }

    /// What a worker that was not in the round just closed is asked now: nothing new while it is on its way back to where
    /// the restoration begins, else to begin that again, since the model has moved on.
    pub fn bring_back(&mut self, worker: usize, rescaled: bool) {
        match self.peers[worker].question.stage() {
            Stage::Greet | Stage::Configure | Stage::Load { .. } | Stage::Idle => {}
            Stage::Announce if !rescaled => {}
            _ => self.enter(worker, Stage::Announce),
        }
    }

    /// Ends the run: all that are there have confirmed their state.
    fn conclude(&mut self) {
        let carried = self.close_traffic();
        self.events.push_back(Event::Finished(carried));
    }
}
