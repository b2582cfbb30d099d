//! A worker's standing: whether the rounds wait for it.
//!
//! ```text
//!  standing       what happens to the worker, and its standing then
//!                 update    restart, resume   silence    failure       answer
//!  InStep         InStep    Recovering        Excluded   Quarantined   -
//!  Recovering     InStep    Recovering        Excluded   Quarantined   -
//!  Excluded       -         Excluded          -          Quarantined   Recovering
//!  Quarantined    -         Quarantined       -          Quarantined   Recovering
//!
//!  silence   beyond the round time-out, when a round closes
//!  failure   no run is possible with it, for the reason given
//!  answer    to a request from the restoration on: it needs what the others may change
//! ```
//!
//! Set-up and round 0 need every worker. After that, and only with a round time-out
//! ([`Setup::round_timeout`](super::Setup::round_timeout)), rounds close without those that are excluded or quarantined, as
//! if they took no part: their estimators stay, and the transcript names them. Such a worker may hold anything, so it is
//! restored like a restarted one. A quarantined one is asked to identify itself again after pauses that double.

use super::stage::Stage;
use super::{Event, Failure, Machine, Phase, Reason};
use std::time::Duration;

/// Restarts without an update in between after which a board is quarantined.
pub const RESTARTS_MAX: u32 = 8;

/// The first pause of a quarantine, and how often it is doubled at most.
const PAUSE_MIN: Duration = Duration::from_secs(10);
const DOUBLINGS_MAX: u32 = 6;

/// What has happened to a worker since its last update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setbacks {
    /// Restarts; one at least, so that what the worker is sent counts as sent before.
    restarts: u32,
    /// How often it was quarantined.
    quarantines: u32,
}

/// Whether the rounds wait for a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They do, and nothing has happened to it since its last update.
    #[default]
    InStep,
    /// They do, while it is restored.
    Recovering(Setbacks),
    /// They do not: it was silent beyond the round time-out.
    Excluded(Setbacks),
    /// They do not: no run was possible with it, for this reason.
    Quarantined(Setbacks, Reason),
}

/// How an exclusion appears to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    /// Rounds begin to close without the worker.
    Begins,
    /// They did before, now for another reason.
    Changes,
    /// Nothing is new.
    Stays,
}

impl Standing {
    /// Rounds close without the worker.
    pub fn is_excluded(&self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) => false,
            Self::Excluded(_) | Self::Quarantined(..) => true,
        }
    }

    /// It is asked again after pauses only.
    pub fn is_quarantined(&self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) | Self::Excluded(_) => false,
            Self::Quarantined(..) => true,
        }
    }

    /// What the worker is sent it has been sent before.
    pub fn is_sent_again(&self) -> bool {
        match self {
            Self::InStep => false,
            Self::Recovering(_) | Self::Excluded(_) | Self::Quarantined(..) => true,
        }
    }

    fn setbacks(&self) -> Setbacks {
        match *self {
            Self::InStep => Setbacks::default(),
            Self::Recovering(setbacks)
            | Self::Excluded(setbacks)
            | Self::Quarantined(setbacks, _) => setbacks,
        }
    }

    /// The standing of every worker of a run that is resumed: it must be restored.
    pub fn resumed() -> Self {
        Self::Recovering(Setbacks { restarts: 1, quarantines: 0 })
    }

    /// Its update was taken.
    pub fn updated(&mut self) {
        *self = Self::InStep;
    }

    /// It was found restarted; returns how often that has happened since its last update.
    pub fn restarted(&mut self) -> u32 {
        let Setbacks { restarts, quarantines } = self.setbacks();
        let setbacks = Setbacks { restarts: restarts + 1, quarantines };
        match self {
            Self::InStep => *self = Self::Recovering(setbacks),
            Self::Recovering(present) | Self::Excluded(present) | Self::Quarantined(present, _) => {
                *present = setbacks
            }
        }
        setbacks.restarts
    }

    /// A round was closed without it.
    fn exclude(&mut self) -> Notice {
        match *self {
            Self::InStep => *self = Self::Excluded(Setbacks { restarts: 1, quarantines: 0 }),
            Self::Recovering(setbacks) => *self = Self::Excluded(setbacks),
            Self::Excluded(_) | Self::Quarantined(..) => return Notice::Stays,
        }
        Notice::Begins
    }

    /// No run is possible with it: returns how long to leave it alone as well. One restart after that is too many.
    fn quarantine(&mut self, reason: &Reason) -> (Duration, Notice) {
        let notice = match self {
            Self::InStep | Self::Recovering(_) => Notice::Begins,
            Self::Quarantined(_, present) if present == reason => Notice::Stays,
            Self::Excluded(_) | Self::Quarantined(..) => Notice::Changes,
        };
        let quarantines = self.setbacks().quarantines;
        let setbacks = Setbacks { restarts: RESTARTS_MAX, quarantines: quarantines + 1 };
        *self = Self::Quarantined(setbacks, reason.clone());
        (PAUSE_MIN * 2u32.pow(quarantines.min(DOUBLINGS_MAX)), notice)
    }

    /// Its link was opened anew; returns whether a quarantine is cut short, since another board may be there.
    #[must_use]
    pub fn pardon(&mut self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) | Self::Excluded(_) => false,
            Self::Quarantined(setbacks, _) => {
                setbacks.restarts = 1;
                true
            }
        }
    }

    /// It answers, and needs what the round has; returns whether the round did not wait for it before.
    fn readmit(&mut self) -> bool {
        match *self {
            Self::InStep | Self::Recovering(_) => false,
            Self::Excluded(setbacks) | Self::Quarantined(setbacks, _) => {
                *self = Self::Recovering(setbacks);
                true
            }
        }
    }
}

/// The exclusions of a worker that its user has heard of.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    /// How often rounds began to close without it.
    pub count: u32,
    /// Why they did so last; none if it was silent.
    pub reason: Option<Reason>,
}

impl Machine {
    /// When a round stops to wait for a worker, or has stopped.
    pub fn excluded_at(&self, worker: usize) -> Option<Duration> {
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
    pub fn proceeds_without(&self, now: Duration, worker: usize) -> bool {
        let is_out = |worker| self.excluded_at(worker).is_some_and(|at| at <= now);
        let mut others = (0..self.peers.len()).filter(|&other| other != worker);
        is_out(worker) && others.any(|other| !is_out(other))
    }

    /// The run has come so far that it needs not every worker.
    fn has_started(&self) -> bool {
        match self.phase {
            Phase::Measuring | Phase::Probing(_) => false,
            Phase::Open(round) => round > 0,
            Phase::Closed(_) | Phase::Finishing | Phase::Finished => true,
        }
    }

    /// Closes a round without a worker.
    pub fn exclude(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        peer.forget_round();
        let notice = peer.standing.exclude();
        self.announce(worker, notice, None);
    }

    /// Excludes a worker with which no run is possible, or ends the run if that cannot be.
    pub fn fail(&mut self, worker: usize, reason: Reason) {
        let failure =
            Failure { worker, identity: self.peers[worker].board.identity().cloned(), reason };
        if self.is_fatal(&failure) {
            return self.events.push_back(Event::Failed(failure));
        }
        let is_in = self.open_round().is_some_and(|round| self.is_in(worker, round));
        let peer = &mut self.peers[worker];
        if peer.standing.is_quarantined() && peer.exchange.is_unasked() {
            return;
        }
        peer.visitor.clear();
        if is_in {
            // Its mirror holds its update of this round, which must not be taken twice: what is wrong is found again in
            // the next one.
            return peer.wait();
        }
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

    /// Says what is new of a worker's exclusion.
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
    pub fn hear(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        if !peer.exchange.stage().precedes_restoration() && peer.standing.readmit() {
            self.events.push_back(Event::Readmitted(worker));
        }
    }

    /// Asks a worker that was not in the round just closed what follows for it. On its way to its restoration nothing
    /// changes; a restoration begins again, since the model has moved on.
    pub fn bring_back(&mut self, worker: usize, rescaled: bool) {
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
            | Stage::Verify => self.enter(worker, Stage::Announce),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Setbacks = Setbacks { restarts: 1, quarantines: 0 };

    /// One of each standing.
    fn all() -> [Standing; 4] {
        [
            Standing::InStep,
            Standing::Recovering(ONCE),
            Standing::Excluded(ONCE),
            Standing::Quarantined(
                Setbacks { restarts: RESTARTS_MAX, quarantines: 1 },
                Reason::Stuck,
            ),
        ]
    }

    /// The name of the standing after a transition, from each of them.
    fn after<T>(mut transition: impl FnMut(&mut Standing) -> T) -> [(&'static str, T); 4] {
        all().map(|mut standing| {
            let outcome = transition(&mut standing);
            let name = match standing {
                Standing::InStep => "in step",
                Standing::Recovering(_) => "recovering",
                Standing::Excluded(_) => "excluded",
                Standing::Quarantined(..) => "quarantined",
            };
            (name, outcome)
        })
    }

    #[test]
    fn every_transition_is_that_of_the_table() {
        use Notice::{Begins, Changes, Stays};
        assert_eq!(
            after(Standing::restarted),
            [("recovering", 1), ("recovering", 2), ("excluded", 2), ("quarantined", 9)]
        );
        assert_eq!(
            after(Standing::exclude),
            [
                ("excluded", Begins),
                ("excluded", Begins),
                ("excluded", Stays),
                ("quarantined", Stays)
            ]
        );
        assert_eq!(
            after(|standing| standing.quarantine(&Reason::Stuck).1),
            [Begins, Begins, Changes, Stays].map(|notice| ("quarantined", notice))
        );
        assert_eq!(after(|standing| standing.quarantine(&Reason::Flood).1)[3].1, Changes);
        assert_eq!(
            after(Standing::readmit),
            [("in step", false), ("recovering", false), ("recovering", true), ("recovering", true)]
        );
        assert_eq!(after(Standing::pardon).map(|(_, cut)| cut), [false, false, false, true]);
        assert!(after(Standing::updated).iter().all(|(name, ())| *name == "in step"));
    }

    #[test]
    fn pauses_double_up_to_a_limit_until_an_update_is_taken() {
        let mut standing = Standing::InStep;
        let pause = |standing: &mut Standing| {
            let pause = standing.quarantine(&Reason::Stuck).0.as_secs();
            standing.readmit();
            pause
        };
        let pauses: Vec<_> = (0..9).map(|_| pause(&mut standing)).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 640, 640]);
        standing.updated();
        assert_eq!(pause(&mut standing), 10);
    }

    #[test]
    fn one_restart_is_too_many_after_a_quarantine_but_not_after_a_pardon() {
        let mut standing = Standing::InStep;
        standing.quarantine(&Reason::Stuck);
        assert!(standing.clone().restarted() > RESTARTS_MAX);
        assert!(standing.pardon());
        assert_eq!(standing.restarted(), 2);
    }
}
