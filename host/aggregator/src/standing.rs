//! A worker's standing decides if rounds wait for it.
//!
//! ```text
//!  standing       its successor after
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
//! ([`Setup::round_timeout`](crate::Setup::round_timeout)), rounds close without those that are excluded or
//! quarantined, as if they took no part: their estimators stay, and the transcript names them. Such a worker may hold
//! anything, so it is restored like a restarted one. A quarantined one is asked to identify itself again after 10 s,
//! then after pauses that double, up to 640 s. Only here does time affect a transcript.

use crate::failure::Reason;
use std::time::Duration;

/// Restarts without an update in between after which a board is quarantined.
pub(crate) const RESTARTS_MAX: u32 = 8;

/// Pause before a worker or a link is tried again that has failed `times` times before: 10 s, doubled up to 640 s.
pub fn retry_delay(times: u32) -> Duration {
    const DOUBLINGS_MAX: u32 = 6;
    Duration::from_secs(10) * 2u32.pow(times.min(DOUBLINGS_MAX))
}

/// The setbacks of a worker since its last update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setbacks {
    /// Restarts, at least 1.
    restarts: u32,
    /// Number of quarantines.
    quarantines: u32,
}

/// The standing of a worker in the rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Rounds wait for it, and nothing has happened to it since its last update.
    #[default]
    InStep,
    /// Rounds wait for it while it is restored.
    Recovering(Setbacks),
    /// Rounds close without it: it was silent beyond the round time-out.
    Excluded(Setbacks),
    /// Rounds close without it: no run was possible with it, for this reason.
    Quarantined(Setbacks, Reason),
}

/// Form in which an exclusion is reported to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Rounds begin to close without the worker.
    Begins,
    /// They did before, now for another reason.
    Changes,
    /// Nothing is new.
    Stays,
}

impl Standing {
    /// Rounds close without the worker.
    pub(crate) fn is_excluded(&self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) => false,
            Self::Excluded(_) | Self::Quarantined(..) => true,
        }
    }

    /// It is asked again after pauses only.
    pub(crate) fn is_quarantined(&self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) | Self::Excluded(_) => false,
            Self::Quarantined(..) => true,
        }
    }

    /// Frames to the worker count as retransmissions.
    pub(crate) fn is_sent_again(&self) -> bool {
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
    pub(crate) fn resumed() -> Self {
        Self::Recovering(Setbacks { restarts: 1, quarantines: 0 })
    }

    /// Its update was taken.
    pub(crate) fn updated(&mut self) {
        *self = Self::InStep;
    }

    /// It was found restarted; returns how often that has happened since its last update.
    pub(crate) fn restarted(&mut self) -> u32 {
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
    pub(crate) fn exclude(&mut self) -> Notice {
        match *self {
            Self::InStep => *self = Self::Excluded(Setbacks { restarts: 1, quarantines: 0 }),
            Self::Recovering(setbacks) => *self = Self::Excluded(setbacks),
            Self::Excluded(_) | Self::Quarantined(..) => return Notice::Stays,
        }
        Notice::Begins
    }

    /// No run is possible with it: returns how long to leave it alone as well. One restart after that is too many.
    pub(crate) fn quarantine(&mut self, reason: &Reason) -> (Duration, Notice) {
        let notice = match self {
            Self::InStep | Self::Recovering(_) => Notice::Begins,
            Self::Quarantined(_, present) if present == reason => Notice::Stays,
            Self::Excluded(_) | Self::Quarantined(..) => Notice::Changes,
        };
        let quarantines = self.setbacks().quarantines;
        // The next restart exceeds the limit, so a board that still restarts is not restored eight times in vain.
        let setbacks = Setbacks { restarts: RESTARTS_MAX, quarantines: quarantines + 1 };
        *self = Self::Quarantined(setbacks, reason.clone());
        (retry_delay(quarantines), notice)
    }

    /// Notes that its link was reopened. Returns whether that ends a quarantine, since another board may be there.
    #[must_use]
    pub(crate) fn pardon(&mut self) -> bool {
        match self {
            Self::InStep | Self::Recovering(_) | Self::Excluded(_) => false,
            Self::Quarantined(setbacks, _) => {
                setbacks.restarts = 1;
                true
            }
        }
    }

    /// Notes that it answers and needs the state of the round. Returns whether the round did not wait for it before.
    pub(crate) fn readmit(&mut self) -> bool {
        match *self {
            Self::InStep | Self::Recovering(_) => false,
            Self::Excluded(setbacks) | Self::Quarantined(setbacks, _) => {
                *self = Self::Recovering(setbacks);
                true
            }
        }
    }
}

/// The reported exclusions of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclusions {
    /// Number of times that rounds began to close without it.
    pub count: u32,
    /// Reason of the last one; `None` if it was silent.
    pub reason: Option<Reason>,
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
