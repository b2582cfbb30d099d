//! The state of a run between two rounds.
//!
//! It has the model, the mirrors, the tuner, the transcript and the identities of boards, so a resumed run may find its
//! boards on any link. The run opens a new session and restores every board as if it had restarted. `Configure` is
//! answered with the CRC-32 of the data that a board still holds, so a fleet that kept running is not loaded again.

use crate::aggregator::Aggregator;
use crate::board::{Board, Identity};
use crate::final_model::{Course, FinalModel};
use crate::machine::{Machine, Phase};
use crate::mirror::Mirror;
use crate::model::Model;
use crate::peer::Peer;
use crate::setup::Setup;
use crate::traffic::Traffic;
use crate::tuner::Tuner;
use serde::{Deserialize, Serialize};
use smidgen_protocol::digest::Transcript;
use smidgen_protocol::message::Loss;
use smidgen_protocol::vector::Ratio;
use thiserror::Error;

/// The state of the host after a closed round. The state of the workers follows from it, unless their method has
/// private vectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    round: u32,
    transcript: Transcript,
    course: Course,
    model: Model,
    estimators: Vec<Vec<i32>>,
    tuner: Option<Tuner>,
    workers: Vec<Worker>,
}

/// The saved state of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Worker {
    identity: Option<Identity>,
    loss: Loss,
    shift: u8,
    l_i: Option<Ratio>,
    missed: bool,
    uplink: Traffic,
    downlink: Traffic,
    reboots: u32,
    exclusions: u32,
}

/// A snapshot that does not fit the setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the state is that of another problem: it has other numbers of workers or coordinates, or another method; give the \
     options and the data that it was made with"
)]
pub struct ForeignSnapshot;

impl Snapshot {
    /// The round t that was closed last.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// The transcript of all rounds up to it.
    pub fn transcript(&self) -> u64 {
        self.transcript.value()
    }

    /// The model of the run, if it ends with this round.
    #[must_use]
    pub fn final_model(&self) -> FinalModel {
        self.course.final_model(&self.model)
    }

    fn fits(&self, machine: &Machine) -> bool {
        let (d, n) = (machine.setup.dimension as usize, machine.peers.len());
        self.model.is_like(&machine.model)
            && self.course.fits(d)
            && (self.estimators.len(), self.workers.len()) == (n, n)
            && self.estimators.iter().all(|g_i| g_i.len() == d)
            && self.tuner.as_ref().map(Tuner::worker_count)
                == machine.tuner.as_ref().map(Tuner::worker_count)
    }
}

impl Aggregator {
    /// The state that the rest of the run depends on; `None` while a round is open.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let Machine {
            phase: Phase::Closed(round),
            ref model,
            ref tuner,
            ref course,
            transcript,
            ..
        } = self.machine
        else {
            return None;
        };
        let estimators = self.machine.mirrors.iter().map(|mirror| mirror.mantissas().to_vec());
        let workers = self.machine.peers.iter().map(|peer| {
            let (uplink, downlink) = peer.traffic();
            let &Peer { loss, shift, missed, l_i, reboots, .. } = peer;
            let (identity, exclusions) = (peer.board.identity().cloned(), peer.exclusions.count);
            Worker { identity, loss, shift, missed, l_i, uplink, downlink, reboots, exclusions }
        });
        Some(Snapshot {
            round,
            transcript,
            course: course.clone(),
            model: model.clone(),
            estimators: estimators.collect(),
            tuner: tuner.clone(),
            workers: workers.collect(),
        })
    }

    /// Resumes a run with the round after that of the snapshot. Workers are restored as after a reboot; each board
    /// becomes the worker that it was, in any order of the links.
    ///
    /// # Errors
    /// If the snapshot is not of a run with this setup.
    ///
    /// # Panics
    /// As [`Aggregator::new`].
    pub fn resume(setup: Setup, snapshot: Snapshot) -> Result<Self, ForeignSnapshot> {
        let mut aggregator = Self::new(setup);
        let machine = &mut aggregator.machine;
        if !snapshot.fits(machine) {
            return Err(ForeignSnapshot);
        }
        // The boards may have changed links, or be others: all of them are greeted and restored.
        machine.phase = Phase::Closed(snapshot.round);
        machine.transcript = snapshot.transcript;
        machine.course = snapshot.course;
        machine.model = snapshot.model;
        machine.mirrors = snapshot.estimators.into_iter().map(Mirror::of).collect();
        machine.tuner = snapshot.tuner;
        for (index, (peer, worker)) in machine.peers.iter_mut().zip(snapshot.workers).enumerate() {
            peer.resume(
                (worker.loss, worker.missed),
                (worker.uplink, worker.downlink),
                worker.reboots,
            );
            if let Some(identity) = &worker.identity {
                machine.owners.entry(identity.identity).or_insert(index);
            }
            peer.board = worker.identity.map_or(Board::Unknown, Board::Remembered);
            (peer.l_i, peer.exclusions.count) = (worker.l_i, worker.exclusions);
            peer.shift = worker.shift;
        }
        machine.proceed();
        Ok(aggregator)
    }
}
