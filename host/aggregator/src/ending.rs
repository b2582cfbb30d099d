//! The end of a run: workers confirm their states, and boards with rows of their own score and keep its model.

use crate::chunk::{Chunk, chunk};
use crate::event::Event;
use crate::failure::Reason;
use crate::machine::{Machine, Phase};
use crate::stage::{Handover, Stage};
use smidgen_protocol::digest;
use smidgen_protocol::message::{Down, Exponents, Part, Ready, Ticket};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

impl Machine {
    /// Asks every worker that was in the last round to confirm its state.
    pub(crate) fn finish(&mut self) {
        assert!(matches!(self.phase, Phase::Closed(_)), "only a closed round can be the last");
        self.phase = Phase::Finishing;
        self.keeps &= self.course.has_improved();
        for worker in 0..self.peers.len() {
            let stage = if self.peers[worker].missed { Stage::Idle } else { Stage::Verify };
            self.enter(worker, stage);
        }
    }

    /// Compares a worker's state with the host's. A worker that restarted since its last update has none.
    pub(crate) fn verify(&mut self, now: Duration, worker: usize, ready: &Ready, in_session: bool) {
        let digests = (digest::vector(self.model.w()), self.mirrors[worker].digest());
        // It is not given its state back only to compare it.
        if in_session && (ready.model_digest, ready.estimator_digest) != digests {
            return self.fail(worker, Reason::Diverged);
        }
        if in_session && self.setup.is_on_board(worker) {
            self.peers[worker].exchange.served();
            let stage = self.after_verification();
            return self.enter(worker, stage);
        }
        self.end(now, worker);
    }

    /// The stage of a board that uses the model of the run, and holds that of the last round.
    fn after_verification(&self) -> Stage {
        match self.course.earlier() {
            None => Stage::Score,
            Some(best) => Stage::Handover(match best.exponent.cmp(&self.model.exponents().x) {
                Ordering::Less => Handover::Announce,
                Ordering::Equal => Handover::BEGIN,
                Ordering::Greater => Handover::BEGIN_CUT,
            }),
        }
    }

    /// The request of a step of the handover, and its body.
    pub(crate) fn handover_request(
        &self,
        ticket: Ticket,
        step: Handover,
    ) -> (Down<'_>, Cow<'_, [u8]>) {
        let best = self.course.earlier().expect("the model of an earlier round is handed over");
        let (from, chunk) = match step {
            Handover::Cut { from, .. } => {
                let finer = u32::from(best.exponent.abs_diff(self.model.exponents().x));
                (from, chunk(&cut(&best.mantissas, finer), from))
            }
            Handover::Announce => {
                let exponents = Exponents { x: best.exponent, ..self.model.exponents() };
                let gamma_n = self.model.gamma_n();
                return (Down::Announce { ticket, exponents, gamma_n }, Cow::default());
            }
            Handover::Model { from, .. } => (from, chunk(&best.mantissas, from)),
        };
        let Chunk { until, body, .. } = chunk;
        (Down::Part { ticket, part: Part::Model, from, until }, body.into())
    }

    /// The stage after a step of the handover was acknowledged with a value.
    pub(crate) fn handed_over(&self, step: Handover, value: u32) -> Stage {
        let is_whole = value >= self.setup.dimension;
        Stage::Handover(match step {
            Handover::Cut { .. } if is_whole => Handover::Announce,
            Handover::Cut { furthest, .. } => {
                Handover::Cut { from: value, furthest: furthest.max(value) }
            }
            Handover::Announce => Handover::BEGIN,
            Handover::Model { .. } if is_whole => return Stage::Score,
            Handover::Model { furthest, .. } => {
                Handover::Model { from: value, furthest: furthest.max(value) }
            }
        })
    }

    /// Notes that there is nothing left to ask a worker in this run.
    pub(crate) fn end(&mut self, now: Duration, worker: usize) {
        self.peers[worker].exchange.enter(Stage::Idle);
        self.close_if_complete(now);
    }

    /// Ends the run: the workers have confirmed their states.
    pub(crate) fn conclude(&mut self, now: Duration) {
        self.phase = Phase::Finished;
        let carried = self.close_traffic(now);
        self.events.push_back(Event::Finished(carried));
    }
}

/// Mantissas on a grid that is coarser by this many powers of two. They are rounded towards 0, so back on the finer grid
/// none is larger than before.
fn cut(mantissas: &[i32], powers: u32) -> Vec<i32> {
    let cut = |&m: &i32| m.unsigned_abs().checked_shr(powers).unwrap_or(0) as i32 * m.signum();
    mantissas.iter().map(cut).collect()
}
