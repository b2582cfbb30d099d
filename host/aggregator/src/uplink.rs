//! Frames from workers: answers, and the exchanges that follow them.

use crate::event::Event;
use crate::failure::Reason;
use crate::machine::{Machine, Phase};
use crate::method_spec::MethodSpec;
use crate::peer::{Peer, Score, WorkerStatistics};
use crate::ratio::real;
use crate::scaling;
use crate::stage::Stage;
use crate::standing::RESTARTS_MAX;
use smidgen_protocol::counters::Reject;
use smidgen_protocol::frame::{Context, Frame, Kind};
use smidgen_protocol::message::{Loss, Part, Ready, Refusal, Ticket, Up, greeting};
use smidgen_protocol::round::{LossChange, Update};
use smidgen_protocol::sparse::Decoder;
use smidgen_protocol::vector::Ratio;
use std::time::Duration;

impl Machine {
    /// Counts bytes of a worker.
    pub(crate) fn note_bytes(&mut self, now: Duration, worker: usize, len: usize) {
        let peer = &mut self.peers[worker];
        peer.uplink.wire_bytes += len as u64;
        peer.stopwatch.arriving(now, len);
    }

    /// Opens a frame where links are sealed, and handles it.
    pub(crate) fn handle_sealed(
        &mut self,
        now: Duration,
        link: usize,
        worker: usize,
        frame: Frame,
    ) -> Result<(), Reject> {
        let wire_len = frame.wire_len;
        self.peers[worker].uplink.frames += 1;
        let opened = match self.seals.get_mut(link) {
            Some(seal) => seal.open(frame),
            None => Ok(frame),
        };
        let outcome = opened.and_then(|frame| self.handle(now, worker, &frame));
        if outcome == Err(Reject::Repeated) {
            let Peer { exchange, uplink, .. } = &mut self.peers[worker];
            exchange.repeated();
            uplink.retransmitted_frames += 1;
            uplink.retransmitted_bytes += wire_len as u64;
        }
        outcome
    }

    /// Handles one frame of a worker.
    fn handle(&mut self, now: Duration, worker: usize, frame: &Frame) -> Result<(), Reject> {
        let (payload, context) = self.check(worker, frame)?;
        if context.kind != Kind::Message {
            return self.handle_update(now, worker, payload, &context);
        }
        let message = match Up::parse(payload) {
            Ok((message, _)) => message,
            Err(reject) => {
                // The head of a Ready is the same in all versions, so that firmware of another one is recognised.
                if let Some((version, schema)) = greeting(payload) {
                    self.compare_versions(worker, version, schema);
                }
                return Err(reject);
            }
        };
        match message {
            Up::Ready(ready) => self.handle_ready(now, worker, &ready),
            Up::Ack { ticket, .. }
            | Up::Curvature { ticket, .. }
            | Up::Score { ticket, .. }
            | Up::Range { ticket, .. }
            | Up::Refused { ticket, .. } => {
                self.admit(now, worker, ticket, &message)?;
                self.handle_answer(now, worker, &message);
                Ok(())
            }
            // Of a recording before the run.
            Up::Records(_) | Up::Live(_) => Err(Reject::Unexpected),
        }
    }

    /// Checks a frame in the contexts that it can have.
    fn check<'f>(&self, worker: usize, frame: &'f Frame) -> Result<(&'f [u8], Context), Reject> {
        let peer = &self.peers[worker];
        let session = self.context(worker);
        let from = peer.incoming.next_from;
        let expected = self.open_round().filter(|_| peer.exchange.stage().awaits_update());
        let expected = expected.map(|round| Context { round, from, ..session });
        // A frame that was accepted before counts as repeated, not as damaged.
        let updates = expected.into_iter().flat_map(Update::contexts).chain(peer.incoming.taken());
        // The context is part of the checksum, so the kind of the message must be known before it can be trusted.
        let messages = match Up::parse(frame.unchecked()) {
            Ok((message, _)) if message.is_setup() => [Some(Context::SETUP), None],
            Ok(_) => [Some(session), None],
            Err(_) => [Some(session), Some(Context::SETUP)],
        };
        frame.check_any(updates.chain(messages.into_iter().flatten()))
    }

    /// Accepts the answer to the open request, once.
    fn admit(
        &mut self,
        now: Duration,
        worker: usize,
        ticket: Ticket,
        message: &Up,
    ) -> Result<(), Reject> {
        let exchange = &self.peers[worker].exchange;
        // Late copies carry earlier tickets.
        if ticket != exchange.ticket() {
            return Err(Reject::Repeated);
        }
        if !exchange.stage().is_answered_by(message) {
            return Err(Reject::Unexpected);
        }
        self.answered(now, worker);
        Ok(())
    }

    /// Notes that a worker answered its request.
    fn answered(&mut self, now: Duration, worker: usize) {
        self.peers[worker].answered(now, self.setup.byte_time);
        self.hear(worker);
    }

    fn handle_answer(&mut self, now: Duration, worker: usize, message: &Up) {
        match *message {
            Up::Ack { value, .. } if self.peers[worker].exchange.stage() == Stage::Keep => {
                self.peers[worker].keeps_model = Some(value != 0);
                self.end(now, worker);
            }
            Up::Ack { value, .. } => self.handle_ack(worker, value),
            Up::Curvature { l_i, .. } => self.handle_curvature(worker, l_i),
            Up::Range { gradient_max, loss, .. } => {
                self.handle_range(now, worker, gradient_max, loss.mantissa());
            }
            // The objective has no classes.
            Up::Refused { .. } if self.peers[worker].exchange.stage() == Stage::Score => {
                self.end(now, worker);
            }
            Up::Refused { refusal, .. } => self.handle_refusal(worker, refusal),
            Up::Score { rows, right, .. } => {
                self.peers[worker].score = Some(Score { rows, right: right.min(rows) });
                self.peers[worker].exchange.served();
                match self.keeps {
                    true => self.enter(worker, Stage::Keep),
                    false => self.end(now, worker),
                }
            }
            Up::Ready(_) | Up::Records(_) | Up::Live(_) => unreachable!("it carries no ticket"),
        }
    }

    fn compare_versions(&mut self, worker: usize, version: u16, schema: [u8; 8]) -> bool {
        let reason = Reason::of_versions(version, schema);
        let is_ours = reason.is_none();
        reason.into_iter().for_each(|reason| self.fail(worker, reason));
        is_ours
    }

    /// Takes an identification, if it is the awaited one, and continues with the worker whose board it is.
    fn handle_ready(&mut self, now: Duration, worker: usize, ready: &Ready) -> Result<(), Reject> {
        // A late answer on a link that was swapped or reopened would name a board that is no longer there.
        if self.peers[worker].exchange.echo_awaited() != Some(ready.echo) {
            return Err(Reject::Repeated);
        }
        if !self.compare_versions(worker, ready.version, ready.schema)
            || !self.recognise(now, worker, ready)
        {
            return Ok(());
        }
        let peer = &mut self.peers[worker];
        peer.answered(now, self.setup.byte_time);
        peer.exchange.recognised();
        peer.statistics = WorkerStatistics {
            rejected: ready.rejected,
            overruns: ready.overruns,
            saturated: ready.saturated,
        };
        let (theirs, wanted) = (ready.objectives, self.setup.objective);
        if theirs.split(' ').all(|theirs| theirs != wanted) {
            self.fail(worker, Reason::Objective { theirs: theirs.to_owned(), wanted });
        } else {
            self.proceed_with(now, worker, ready);
        }
        Ok(())
    }

    /// Continues with a worker that identified itself.
    fn proceed_with(&mut self, now: Duration, worker: usize, ready: &Ready) {
        let peer = &mut self.peers[worker];
        // A late Configure opens an empty session with the right number after a reboot; its ticket gives it away.
        let in_session = ready.session == self.setup.session && ready.opened == peer.opened;
        match peer.exchange.stage() {
            Stage::Greet => {
                peer.exchange.served();
                self.events.push_back(Event::Greeted(worker));
                self.enter(worker, Stage::Configure);
            }
            Stage::Verify => self.verify(now, worker, ready, in_session),
            // It is not given its state back only for a score, or to keep the model.
            Stage::Handover(_) | Stage::Score | Stage::Keep if !in_session => self.end(now, worker),
            // A worker that is being configured need not be in the session yet. An idle one shows by the answer to its
            // next request whether it still is.
            Stage::Configure | Stage::Idle => self.resume(worker),
            Stage::Load { .. }
            | Stage::Curvature
            | Stage::Probe
            | Stage::Announce
            | Stage::Restore { .. }
            | Stage::Begin
            | Stage::Part(_)
            | Stage::Round
            | Stage::More
            | Stage::Handover(_)
            | Stage::Score
            | Stage::Keep => {
                if in_session {
                    self.resume(worker);
                } else {
                    self.restart(worker);
                }
            }
        }
    }

    /// Repeats the request of a worker that is there but has not answered it.
    fn resume(&mut self, worker: usize) {
        self.peers[worker].exchange.evaded();
        if self.peers[worker].exchange.resume() {
            self.enqueue(worker);
        } else {
            self.fail(worker, Reason::Stuck);
        }
    }

    /// Brings a worker that has lost its state back to where the round began.
    fn restart(&mut self, worker: usize) {
        let peer = &mut self.peers[worker];
        // A restart is an answer that leads to another request: the board is there.
        peer.exchange.served();
        let restarts = peer.restarted();
        self.events.push_back(Event::Rebooted(worker));
        if restarts > RESTARTS_MAX {
            self.fail(worker, Reason::Restarts(restarts));
        } else {
            self.enter(worker, Stage::Configure);
        }
    }

    fn handle_refusal(&mut self, worker: usize, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Memory { need, room } => Reason::Memory { need, room },
            Refusal::Data if self.setup.is_on_board(worker) => Reason::Rows,
            Refusal::Data => Reason::Data,
            Refusal::Objective | Refusal::Configuration => Reason::Configuration,
        };
        // Its answer is final: repeating the request would only repeat the refusal.
        self.peers[worker].exchange.enter(Stage::Idle);
        self.fail(worker, reason);
    }

    fn handle_ack(&mut self, worker: usize, value: u32) {
        let peer = &mut self.peers[worker];
        let stage = peer.exchange.stage();
        match stage.furthest() {
            // Otherwise a worker that asks for the same again and again would hold up the round for ever.
            Some(furthest) if value <= furthest => peer.exchange.evaded(),
            Some(_) | None => peer.exchange.served(),
        }
        let next = self.after_ack(worker, stage, value);
        if next == Stage::Begin {
            // It computes the update again, so the received part is dropped.
            self.peers[worker].incoming.forget();
        }
        self.enter(worker, next);
    }

    /// The stage after an Ack with a value.
    fn after_ack(&mut self, worker: usize, stage: Stage, value: u32) -> Stage {
        match stage {
            Stage::Configure => {
                let peer = &mut self.peers[worker];
                (peer.at_round, peer.has_initial_model) = (None, false);
                peer.opened = peer.exchange.ticket();
                self.loaded(worker, value, value)
            }
            Stage::Load { furthest, .. } => self.loaded(worker, value, furthest.max(value)),
            Stage::Announce => self.announced(worker),
            Stage::Restore { part, furthest, .. } if value < self.setup.dimension => {
                Stage::Restore { part, from: value, furthest: furthest.max(value) }
            }
            Stage::Restore { part, .. } => self.restored(worker, part),
            Stage::Part(index) => self.part(index + 1),
            Stage::Handover(step) => self.handed_over(step, value),
            Stage::Greet
            | Stage::Curvature
            | Stage::Probe
            | Stage::Begin
            | Stage::Round
            | Stage::More
            | Stage::Verify
            | Stage::Score
            | Stage::Keep
            | Stage::Idle => unreachable!("{stage:?} is not answered by an Ack"),
        }
    }

    /// The stage after a worker confirmed `held` bytes of its data, and `furthest` at most so far.
    fn loaded(&mut self, worker: usize, held: u32, furthest: u32) -> Stage {
        let len = self.setup.shares[worker].data.len() as u32;
        self.events.push_back(Event::Loaded { worker, held, len });
        if held < len {
            return Stage::Load { held, furthest };
        }
        match self.phase {
            Phase::Measuring => Stage::Curvature,
            Phase::Probing(_) => self.before_probe(),
            Phase::Open(_) | Phase::Closed(_) | Phase::Finishing | Phase::Finished => {
                Stage::Announce
            }
        }
    }

    /// The stage in which a configured worker is asked for its first probe, or on the way to it: a given model is
    /// probed, and before it is sent its exponent is announced, so that later ones rescale it.
    fn before_probe(&self) -> Stage {
        if self.setup.initial_model.is_given() { Stage::Announce } else { Stage::Probe }
    }

    /// The stage after a worker confirmed the exponents.
    fn announced(&self, worker: usize) -> Stage {
        let peer = &self.peers[worker];
        if peer.at_round.is_some() {
            self.part(0)
        } else if self.phase == Phase::Open(0)
            && (peer.has_initial_model || !self.setup.initial_model.is_given())
        {
            // Nothing has happened yet that the worker could lack.
            Stage::Begin
        } else {
            Stage::restore(Part::Model)
        }
    }

    /// The stage after a worker confirmed a restored vector.
    fn restored(&mut self, worker: usize, part: Part) -> Stage {
        let is_initial = match self.phase {
            Phase::Measuring | Phase::Probing(_) | Phase::Open(0) => true,
            Phase::Open(_) | Phase::Closed(_) | Phase::Finishing | Phase::Finished => false,
        };
        if is_initial {
            // All other vectors of a configured worker are 0, as they should be.
            self.peers[worker].has_initial_model = true;
            return if self.phase == Phase::Open(0) { Stage::Begin } else { Stage::Probe };
        }
        let MethodSpec { downlink, momentum, .. } = self.setup.method;
        match part {
            Part::Model => Stage::restore(Part::Estimator),
            Part::Estimator if downlink.workers_step() => Stage::restore(Part::Sum),
            Part::Sum if momentum != 0.0 => Stage::restore(Part::Velocity),
            Part::Estimator | Part::Sum | Part::Velocity | Part::ModelChange | Part::SumChange => {
                Stage::Begin
            }
        }
    }

    /// Takes the constant of a worker; the last one determines the step size.
    fn handle_curvature(&mut self, worker: usize, l_i: Ratio) {
        self.peers[worker].l_i = Some(l_i);
        self.peers[worker].exchange.enter(Stage::Idle);
        let reported = self.of_all(|peer| peer.l_i);
        let (Phase::Measuring, Some(theory), Some(reported)) =
            (self.phase, &self.setup.method.theory, reported)
        else {
            return;
        };
        let gamma = theory.gamma(&reported.into_iter().map(real).collect::<Vec<_>>());
        // Constants near the ends of f64 may overflow in the formula.
        if !(gamma.is_finite() && gamma > 0.0) {
            return self.fail(worker, Reason::Curvature);
        }
        self.setup.method.gamma = gamma;
        self.model.set_gamma(gamma, self.setup.rule());
        self.phase = Phase::Probing(self.model.exponents());
        self.ask_idle(self.before_probe());
    }

    /// Enters a stage with every idle worker. One that was restarted meanwhile is still loading and gets there by
    /// itself.
    fn ask_idle(&mut self, stage: Stage) {
        for worker in 0..self.peers.len() {
            if self.peers[worker].exchange.stage() == Stage::Idle {
                self.enter(worker, stage);
            }
        }
    }

    /// Takes the result of a probe; the last one determines the exponents, or the next probe.
    fn handle_range(&mut self, now: Duration, worker: usize, gradient_max: u32, loss: i32) {
        self.peers[worker].range = Some((gradient_max, loss));
        self.peers[worker].exchange.enter(Stage::Idle);
        let Phase::Probing(probed) = self.phase else {
            return;
        };
        let Some(ranges) = self.of_all(|peer| peer.range) else {
            return;
        };
        let gradient_max = ranges.iter().map(|range| range.0).max().unwrap_or(0);
        let loss_max = ranges.iter().map(|range| range.1.unsigned_abs()).max().unwrap_or(0);
        // A probe evaluates all rows; the gradients of minibatches may be larger.
        let expected = gradient_max.saturating_mul(self.setup.gradient_growth());
        let better = scaling::after_probe(probed, expected, loss_max);
        let stage = if better == probed {
            self.model.start(probed, gradient_max);
            // The first losses are coded relative to those of the probe.
            for peer in &mut self.peers {
                peer.loss = Loss::new(peer.range.map_or(0, |(_, loss)| loss.into()));
            }
            self.phase = Phase::Open(0);
            let carried = self.close_traffic(now);
            self.events.push_back(Event::Prepared(carried));
            Stage::Announce
        } else {
            self.phase = Phase::Probing(better);
            // Results of a coarser probe must not count for this one.
            self.peers.iter_mut().for_each(|peer| peer.range = None);
            Stage::Probe
        };
        self.ask_idle(stage);
    }

    /// Takes a frame of an update; the last one completes it.
    fn handle_update(
        &mut self,
        now: Duration,
        worker: usize,
        payload: &[u8],
        context: &Context,
    ) -> Result<(), Reject> {
        // It answers a request that was repeated too early, and must not be applied twice.
        if self.peers[worker].incoming.taken().any(|taken| taken == *context) {
            return Err(Reject::Repeated);
        }
        let (update, body) = Update::parse(context.kind, payload)?;
        let (entries, next_from) = self.check_body(worker, body, context)?;
        self.answered(now, worker);
        let peer = &mut self.peers[worker];
        peer.exchange.served();
        peer.uplink.payload_bytes += body.len() as u64;
        peer.incoming.push(context, body, entries);
        match update {
            Update::Last(change) => self.complete_update(now, worker, context.round, change, false),
            Update::Anew(change) => self.complete_update(now, worker, context.round, change, true),
            Update::Part => {
                peer.incoming.next_from = next_from;
                self.enter(worker, Stage::More);
            }
        }
        Ok(())
    }

    /// Takes the loss and the whole update of a worker, and closes the round if it was the last one.
    fn complete_update(
        &mut self,
        now: Duration,
        worker: usize,
        round: u32,
        change: LossChange,
        anew: bool,
    ) {
        // A worker that does not participate has no loss of this round, so its last one is kept.
        if self.setup.includes(worker, round) {
            let loss = &mut self.peers[worker].loss;
            *loss = Loss::new(change.after(loss.mantissa()).into());
        }
        self.take_update(now, worker, round, anew);
        self.close_if_complete(now);
    }

    /// Checks the body of an update; returns the number of its entries, and the first coordinate of the next body.
    fn check_body(
        &self,
        worker: usize,
        body: &[u8],
        context: &Context,
    ) -> Result<(u32, u32), Reject> {
        let (peer, budget) = (&self.peers[worker], self.setup.budget(worker, context.round));
        let (dimension, held) = (self.setup.dimension, self.model.held_sum());
        let terms = budget.terms(dimension, context.from, held, peer.shift);
        let decoder = Decoder::new(body, &terms).map_err(|_| Reject::Body)?;
        let entries = decoder.check(held, dimension).map_err(|_| Reject::Body)?;
        // The bodies of an update share its budget, or a worker could fill the host's memory.
        if peer.incoming.entries + entries > budget.k {
            return Err(Reject::Body);
        }
        let last = decoder.entries(held).last();
        Ok((entries, last.map_or(context.from, |(index, _)| index + 1)))
    }

    /// Applies the whole update of a worker, exactly once.
    fn take_update(&mut self, now: Duration, worker: usize, round: u32, anew: bool) {
        let budget = self.setup.budget(worker, round);
        let peer = &mut self.peers[worker];
        let bodies = peer.incoming.bodies.iter().map(|(from, body)| (*from, body.as_slice()));
        let (mirror, shift) = (&mut self.mirrors[worker], &mut peer.shift);
        let applied = self.model.apply_update(worker, mirror, anew, (budget, shift), bodies);
        peer.incoming.applied = applied;
        peer.updated(now, round);
    }
}
