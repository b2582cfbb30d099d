//! The state of a run, and what every part of the machine does with it.

use crate::chunk::Chunk;
use crate::event::Event;
use crate::information::Information;
use crate::mirror::Mirror;
use crate::model::Model;
use crate::peer::Peer;
use crate::ratio::ratio;
use crate::routes::Routes;
use crate::sealing::Sealing;
use crate::setup::{Setup, StepRule};
use crate::stage::Stage;
use crate::tuner::Tuner;
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::message::Exponents;
use smidgen_protocol::seal::HostSeal;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// Where the run as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Workers are asked how smooth their functions are.
    Measuring,
    /// The exponents are being found.
    Probing(Exponents),
    /// Updates of round t are coming in.
    Open(u32),
    /// Round t is complete.
    Closed(u32),
    /// Digests are being compared.
    Finishing,
    /// They were those of the host.
    Finished,
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) setup: Setup,
    pub(crate) phase: Phase,
    pub(crate) model: Model,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) routes: Routes,
    /// The host's end of each link where there is a key, and nothing passes without it; none without one.
    pub(crate) seals: Vec<HostSeal>,
    /// What the workers must hear in this round.
    pub(crate) downlink: Vec<Chunk>,
    pub(crate) transcript: Transcript,
    pub(crate) information: Information,
    /// Who finds the next step size, where it is tuned.
    pub(crate) tuner: Option<Tuner>,
    pub(crate) queue: VecDeque<usize>,
    pub(crate) deadlines: BinaryHeap<Reverse<(Duration, usize)>>,
    pub(crate) events: VecDeque<Event>,
    /// When the first frame since the last close was sent.
    pub(crate) since: Option<Duration>,
}

impl Machine {
    pub(crate) fn new(setup: Setup) -> Self {
        let (d, n) = (setup.dimension as usize, setup.shares.len());
        let rule = setup.rule();
        let weights = setup.shares.iter().map(|share| ratio(share.weight)).collect();
        let (downlink, budget) = (setup.downlink, setup.downlink_budget);
        let mut model = Model::new(d, weights, setup.gamma, rule, downlink, budget);
        model.seed(setup.start_seed);
        let mut machine = Self {
            phase: match setup.theory {
                Some(_) => Phase::Measuring,
                None => Phase::Probing(model.exponents()),
            },
            model,
            mirrors: vec![Mirror::new(d); n],
            peers: (0..n).map(|_| Peer::default()).collect(),
            routes: Routes::new(n),
            seals: seals(&setup),
            downlink: Vec::new(),
            transcript: Transcript::default(),
            information: Information::new(setup.dimension, setup.value_bits),
            tuner: (setup.step_rule == StepRule::Tuned).then(|| Tuner::new(n)),
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            events: VecDeque::new(),
            since: None,
            setup,
        };
        (0..n).for_each(|worker| machine.enqueue(worker));
        machine
    }

    pub(crate) fn enqueue(&mut self, worker: usize) {
        if self.peers[worker].exchange.enqueue() {
            self.queue.push_back(worker);
        }
    }

    pub(crate) fn enter(&mut self, worker: usize, stage: Stage) {
        self.peers[worker].exchange.enter(stage);
        self.enqueue(worker);
    }

    /// Asks who is there; a worker that was given up for a reason gets another chance.
    pub(crate) fn reconnect(&mut self, worker: usize) {
        let over = matches!(self.phase, Phase::Finishing | Phase::Finished);
        let Peer { standing, exchange, visitor, .. } = &mut self.peers[worker];
        visitor.forget();
        if !over && standing.pardon() {
            return self.enter(worker, Stage::Greet);
        }
        exchange.interrupted();
        self.enqueue(worker);
    }

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
