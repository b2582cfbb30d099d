//! The state of a run.

use crate::chunk::Chunk;
use crate::event::Event;
use crate::final_model::Course;
use crate::information::Information;
use crate::mirror::Mirror;
use crate::model::Model;
use crate::peer::Peer;
use crate::ratio::ratio;
use crate::routes::Routes;
use crate::sealing::Sealing;
use crate::setup::Setup;
use crate::stage::Stage;
use crate::tuner::Tuner;
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::message::Exponents;
use smidgen_protocol::seal::HostSeal;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

/// Phase of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Workers report their smoothness constants.
    Measuring,
    /// Workers are probed with these exponents.
    Probing(Exponents),
    /// Updates of round t are coming in.
    Open(u32),
    /// Round t is closed.
    Closed(u32),
    /// Digests are being compared.
    Finishing,
    /// The digests of all workers are those of the host.
    Finished,
}

/// The state of a run and of all its workers.
#[derive(Debug)]
pub(crate) struct Machine {
    pub setup: Setup,
    pub phase: Phase,
    pub model: Model,
    pub mirrors: Vec<Mirror>,
    pub peers: Vec<Peer>,
    pub routes: Routes,
    /// The worker of each board that has ever identified itself.
    pub owners: BTreeMap<u64, usize>,
    /// The host's end of each sealed link; empty without a key.
    pub seals: Vec<HostSeal>,
    /// The chunks of the open round.
    pub downlink: Vec<Chunk>,
    pub transcript: Transcript,
    /// The objectives so far.
    pub course: Course,
    /// At the end, boards with rows are to keep the model.
    pub keeps: bool,
    pub information: Information,
    /// Finds the next step size, where it is tuned.
    pub tuner: Option<Tuner>,
    /// Workers to which there is something to send.
    pub queue: VecDeque<usize>,
    /// When requests are to be repeated; those that were answered meanwhile are skipped.
    pub deadlines: BinaryHeap<Reverse<(Duration, usize)>>,
    pub events: VecDeque<Event>,
    /// When the first frame since the last close was sent.
    pub since: Option<Duration>,
    /// See [`Machine::first_awaited`].
    awaited: Cell<usize>,
}

impl Machine {
    /// The state before the first request.
    pub(crate) fn new(setup: Setup) -> Self {
        let (d, n) = (setup.dimension as usize, setup.shares.len());
        let rule = setup.rule();
        let weights = setup.shares.iter().map(|share| ratio(share.worker.weight)).collect();
        let (downlink, budget) = (setup.method.downlink, setup.method.downlink_budget);
        let mut model = Model::new(d, weights, setup.method.gamma, rule, downlink, budget);
        model.begin(&setup.initial_model);
        let mut machine = Self {
            // Constants are asked for only where γ depends on them.
            phase: match setup.method.theory {
                Some(_) => Phase::Measuring,
                None => Phase::Probing(model.exponents()),
            },
            model,
            mirrors: vec![Mirror::new(d); n],
            peers: (0..n).map(|_| Peer::default()).collect(),
            routes: Routes::new(n),
            owners: BTreeMap::new(),
            seals: seals(&setup),
            downlink: Vec::new(),
            transcript: Transcript::default(),
            course: Course::default(),
            keeps: true,
            information: Information::new(setup.dimension, setup.method.value_bits),
            tuner: Tuner::of(setup.method.step_rule, n),
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
            since: None,
            awaited: Cell::new(0),
            setup,
        };
        (0..n).for_each(|worker| machine.enqueue(worker));
        machine
    }

    /// Queues the request to a worker, if there is one.
    pub(crate) fn enqueue(&mut self, worker: usize) {
        if self.peers[worker].exchange.enqueue() {
            self.queue.push_back(worker);
        }
    }

    /// Starts the exchange of a stage.
    pub(crate) fn enter(&mut self, worker: usize, stage: Stage) {
        self.peers[worker].exchange.enter(stage);
        self.enqueue(worker);
    }

    /// Makes the worker identify itself on a reopened link.
    pub(crate) fn reconnect(&mut self, worker: usize) {
        let over = match self.phase {
            Phase::Finishing | Phase::Finished => true,
            Phase::Measuring | Phase::Probing(_) | Phase::Open(_) | Phase::Closed(_) => false,
        };
        let Peer { standing, exchange, visitor, .. } = &mut self.peers[worker];
        visitor.forget();
        // At the end of a run there is nothing that a quarantined worker could still be needed for.
        if !over && standing.pardon() {
            return self.enter(worker, Stage::Greet);
        }
        exchange.interrupted();
        self.enqueue(worker);
    }

    /// What every worker has, or `None` if one lacks it.
    pub(crate) fn of_all<T>(&self, of: impl Fn(&Peer) -> Option<T>) -> Option<Vec<T>> {
        match self.first_awaited(|worker| of(&self.peers[worker]).is_none()) {
            Some(_) => None,
            None => self.peers.iter().map(of).collect(),
        }
    }

    /// Returns a worker that is awaited, if there is one.
    ///
    /// The one that was awaited when this was last asked is probably awaited still, so it comes first: then this takes
    /// one step, however large the fleet is.
    pub(crate) fn first_awaited(&self, is_awaited: impl Fn(usize) -> bool) -> Option<usize> {
        let (first, count) = (self.awaited.get(), self.peers.len());
        let found = (first..count).chain(0..first).find(|&worker| is_awaited(worker))?;
        self.awaited.set(found);
        Some(found)
    }

    /// Repeats the requests whose deadlines have passed, and closes the round if it has waited long enough.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        while let Some(&Reverse((deadline, worker))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            if self.peers[worker].exchange.expired(deadline) {
                self.enqueue(worker);
            }
        }
        self.close_if_complete(now);
    }
}

/// The ends of links that have never been used.
fn seals(setup: &Setup) -> Vec<HostSeal> {
    let end = |Sealing { key, .. }: &Sealing| HostSeal::new(key.clone());
    setup.shares.iter().filter_map(|_| setup.seal.as_ref().map(end)).collect()
}
