//! Rounds: a round closes, the step is taken, the next round opens.

use crate::event::{Closed, Event};
use crate::final_model::Point;
use crate::machine::{Machine, Phase};
use crate::model::value;
use crate::ratio::ratio;
use crate::setup::address;
use crate::stage::Stage;
use crate::traffic::Carried;
use smidgen_protocol::digest;
use smidgen_protocol::frame::Context;
use smidgen_protocol::message::{Exponents, Loss};
use std::time::Duration;

/// Stands in a transcript for a worker that a round was closed without.
const EXCLUDED: u64 = u64::MAX;

impl Machine {
    /// Closes the open round, or the run, if every worker is done or excluded.
    pub(crate) fn close_if_complete(&mut self, now: Duration) {
        if self.closing_at().is_none_or(|at| at > now) {
            return;
        }
        for worker in 0..self.peers.len() {
            if !self.is_done(worker) {
                self.exclude(worker);
            }
        }
        match self.phase {
            Phase::Open(round) => self.close(now, round),
            Phase::Finishing => self.conclude(now),
            Phase::Measuring | Phase::Probing(_) | Phase::Closed(_) | Phase::Finished => {}
        }
    }

    /// When the open round, or the run, closes if nothing comes any more: once every worker is done or excluded, and
    /// one at least is done.
    pub(crate) fn closing_at(&self) -> Option<Duration> {
        let is_awaited = |worker| !self.is_done(worker) && self.excluded_at(worker).is_none();
        if self.first_awaited(is_awaited).is_some() {
            return None;
        }
        let workers = 0..self.peers.len();
        let is_any_done = workers.clone().any(|worker| self.is_done(worker));
        let waits = workers.filter(|&worker| !self.is_done(worker));
        let last = waits.filter_map(|worker| self.excluded_at(worker)).max().unwrap_or_default();
        is_any_done.then_some(last)
    }

    /// A worker has done its part of the open round, or of the end of the run.
    fn is_done(&self, worker: usize) -> bool {
        let peer = &self.peers[worker];
        match self.phase {
            Phase::Open(round) => self.is_in(worker, round),
            Phase::Finishing => peer.exchange.stage() == Stage::Idle && !peer.missed,
            Phase::Measuring | Phase::Probing(_) | Phase::Closed(_) | Phase::Finished => false,
        }
    }

    /// A worker's update of a round was taken.
    pub(crate) fn is_in(&self, worker: usize, round: u32) -> bool {
        self.peers[worker].at_round == Some(round)
    }

    /// Closes a round whose awaited updates have all been taken.
    fn close(&mut self, now: Duration, round: u32) {
        // No float, address, time or order of arrival may enter the transcript.
        self.transcript.absorb(u64::from(round));
        self.transcript.absorb(digest::vector(self.model.w()));
        if self.setup.method.downlink.has_worker_model() {
            self.transcript.absorb(digest::vector(self.model.x()));
        }
        let (mut excluded, mut information_bits) = (0, 0.0);
        for (peer, mirror) in self.peers.iter_mut().zip(&self.mirrors) {
            peer.missed = peer.at_round != Some(round);
            if peer.missed {
                excluded += 1;
                self.transcript.absorb(EXCLUDED);
            } else {
                information_bits += self.information.bits(peer.incoming.entries);
            }
            self.transcript.absorb(mirror.digest());
            // The same entries may have other bodies, on another downlink or after a restoration.
            self.transcript.absorb(peer.incoming.applied);
            peer.incoming.close();
        }
        let loss = self.mean_loss();
        self.note_objective(round, loss, excluded);
        let closed = Closed {
            round,
            loss,
            estimator_norm_squared: self.model.estimator_norm_squared(),
            transcript: self.transcript.value(),
            excluded,
            information_bits,
            carried: self.close_traffic(now),
        };
        self.events.push_back(Event::Closed(closed));
        self.phase = Phase::Closed(round);
    }

    /// The mean of the workers' latest losses.
    fn mean_loss(&self) -> f64 {
        let workers = self.peers.iter().zip(&self.setup.shares);
        let loss = workers
            .map(|(peer, share)| f64::from(peer.loss.mantissa()) * share.worker.loss_weight)
            .sum();
        value(loss, self.model.exponents().loss)
    }

    /// Adds a closed round to the course of the run.
    fn note_objective(&mut self, round: u32, loss: f64, excluded: u32) {
        // A loss that was cut may be any larger one.
        let is_cut = self.peers.iter().any(|peer| peer.loss.mantissa().abs() == Loss::MAX);
        let objective = loss + self.model.l1_norm() * self.setup.method.l1;
        let point = Point {
            round,
            transcript: self.transcript.value(),
            loss,
            objective: if is_cut { f64::INFINITY } else { objective },
            is_known: excluded == 0 && self.setup.evaluates_all(round),
        };
        self.course.add(point, &self.model);
    }

    /// The traffic and time since the last close.
    pub(crate) fn close_traffic(&mut self, now: Duration) -> Carried {
        // Time between rounds, in which the caller looks at the state, is not part of either.
        let elapsed = now.saturating_sub(self.since.take().unwrap_or(now));
        let mut carried = Carried { elapsed, ..Carried::default() };
        for peer in &mut self.peers {
            let bytes = peer.uplink.wire_bytes + peer.downlink.wire_bytes;
            carried.busiest_link_bytes = carried.busiest_link_bytes.max(bytes);
            carried.uplink += peer.uplink;
            carried.downlink += peer.downlink;
            peer.close_traffic();
            peer.elapsed = peer.stopwatch.close(bytes);
        }
        carried
    }

    /// Takes the step after a closed round and opens the next one.
    pub(crate) fn proceed(&mut self) {
        let Phase::Closed(round) = self.phase else {
            panic!("only a closed round can be left");
        };
        // An old loss of a missing worker says nothing about the range of the next ones.
        let heard = self.peers.iter().filter(|peer| !peer.missed);
        let loss_max = heard.map(|peer| peer.loss.mantissa().unsigned_abs()).max().unwrap_or(0);
        let loss_exponent = self.model.exponents().loss;
        self.tune(round);
        let rescaled = self.model.rescale(
            &mut self.mirrors,
            u64::from(loss_max),
            self.setup.gradient_growth(),
        );
        // Workers do the same to the loss that the next one is coded relative to.
        let rescaled_to = self.model.exponents().loss;
        for peer in &mut self.peers {
            peer.loss = peer.loss.rescaled(loss_exponent, rescaled_to);
        }
        self.step();
        self.phase = Phase::Open(round + 1);
        let stage = if rescaled { Stage::Announce } else { self.part(0) };
        for worker in 0..self.peers.len() {
            if self.peers[worker].at_round == Some(round) {
                self.enter(worker, stage);
            } else {
                self.bring_back(worker, rescaled);
            }
        }
    }

    /// Finds the step size after a round.
    fn tune(&mut self, round: u32) {
        let Some(tuner) = &mut self.tuner else { return };
        let n = self.peers.len() as f64;
        let losses = self.peers.iter().zip(&self.setup.shares).enumerate();
        let losses = losses.map(|(worker, (peer, share))| {
            let present = !peer.missed && self.setup.includes(worker, round);
            present.then(|| (peer.loss.mantissa(), ratio(share.worker.loss_weight * n)))
        });
        let exponents = self.model.exponents();
        tuner.report(losses, exponents.loss);
        let pace = tuner.judge(self.model.sum(), exponents.gradient);
        self.model.set_pace(pace);
    }

    /// Takes the step, and notes the decrease that it promises.
    fn step(&mut self) {
        // A copy of the model is needed only where its move is judged.
        let before = self.tuner.is_some().then(|| self.model.w().to_vec());
        self.downlink = self.model.step();
        let (Some(tuner), Some(before)) = (&mut self.tuner, before) else { return };
        let Exponents { x, gradient, .. } = self.model.exponents();
        for (worker, mirror) in self.mirrors.iter().enumerate() {
            let estimator = (mirror.mantissas(), gradient, self.model.weight(worker));
            tuner.promise(worker, estimator, (&before, self.model.w(), x));
        }
    }

    /// The round that takes updates.
    pub(crate) fn open_round(&self) -> Option<u32> {
        if let Phase::Open(round) = self.phase { Some(round) } else { None }
    }

    /// The context of a worker's messages outside rounds.
    pub(crate) fn context(&self, worker: usize) -> Context {
        Context { worker: address(worker), ..Context::downlink(self.setup.session) }
    }
}
