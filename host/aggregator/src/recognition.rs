//! Recognises boards, whichever link they answer on.
//!
//! A board is known by its identity, not by the link on which it answers. There are as many links as workers, and each
//! leads to one: at first to the worker of the same number, which takes over the identity of the board that answers
//! there. A board that answers on the link of another worker has been moved, so the two links swap their workers; swaps
//! make every permutation.
//!
//! ```text
//! Ready on the link of w, from     then
//!  the board of w                  nothing to do
//!  the board of v                  swap, if v was not greeted, does not answer on its own link, or has a visitor there
//!                                  refuse, if it answers on its own link as well: two boards have one identity
//!  an unknown board                it becomes the worker without a board, if there is one, w first
//!                                  it replaces the board of w, if that was not greeted and every link has answered
//!                                  refuse, otherwise: it is a stranger
//! ```

use crate::board::Identity;
use crate::event::Event;
use crate::failure::Reason;
use crate::machine::Machine;
use smidgen_protocol::message::Ready;
use std::iter::once;
use std::time::Duration;

impl Machine {
    /// Returns whether the worker's own board answers; if not, finds out whose board it is, and acts on it.
    pub(crate) fn recognise(&mut self, now: Duration, worker: usize, ready: &Ready) -> bool {
        let identity = Identity {
            board: ready.board.to_owned(),
            identity: ready.identity,
            memory: ready.memory,
        };
        let link = self.routes.link(worker);
        self.routes.heard[link] = Some(identity.clone());
        match self.owner(worker, identity.identity) {
            Some(owner) if owner == worker => {
                self.confirm(worker, identity);
                return true;
            }
            Some(owner) => self.meet(worker, owner),
            // Links are only tried there, so a board of another run is none of this run's business.
            None if self.routes.tentative[link] => {}
            None if self.peers[worker].board.is_greeted() => {
                self.fail(worker, Reason::Stranger(identity));
            }
            // It is asked again until the others have identified themselves.
            None => self.peers[worker].exchange.heard(now),
        }
        false
    }

    /// The worker whose board answers on the link of `worker`, as far as is known.
    fn owner(&self, worker: usize, identity: u64) -> Option<usize> {
        let places = || once(worker).chain(0..self.peers.len());
        let stands_in = || self.may_stand_in(worker).then_some(worker);
        // A worker without a board takes the unknown one, first of all the worker of this link.
        self.known(identity)
            .or_else(|| places().find(|&place| self.peers[place].board.identity().is_none()))
            .or_else(stands_in)
    }

    /// The worker whose board has this identity.
    fn known(&self, identity: u64) -> Option<usize> {
        self.owners.get(&identity).copied()
    }

    /// An unknown board on the link of `worker` may replace its board, in a resumed run. That board cannot be on
    /// another link: every worker that was not greeted has an unknown board on its link.
    fn may_stand_in(&self, worker: usize) -> bool {
        let is_accounted_for = |other: usize| {
            let peer = &self.peers[other];
            peer.board.is_greeted()
                || peer.standing.is_excluded()
                || self.is_strange(self.routes.link(other))
        };
        let is_tried = self.routes.tentative[self.routes.link(worker)];
        !is_tried
            && !self.peers[worker].board.is_greeted()
            && (0..self.peers.len()).all(is_accounted_for)
    }

    /// The board that identified itself on a link is not of this run.
    pub(crate) fn is_strange(&self, link: usize) -> bool {
        self.routes.heard(link).is_some_and(|heard| self.known(heard.identity).is_none())
    }

    /// Notes that a worker's own board answered on its link.
    fn confirm(&mut self, worker: usize, identity: Identity) {
        let link = self.routes.link(worker);
        self.routes.tentative[link] = false;
        let peer = &mut self.peers[worker];
        // Its own board is there, so no visitor is.
        peer.visitor.clear();
        // It may replace another board.
        if let Some(before) = peer.board.identity() {
            self.owners.remove(&before.identity);
        }
        self.owners.insert(identity.identity, worker);
        if peer.board.greeted(identity, link) {
            self.events.push_back(Event::Moved(worker));
        }
        if peer.board_visits {
            match self.peers.iter().position(|peer| peer.visitor.owner == Some(worker)) {
                Some(twin) => self.refute(twin, worker),
                None => self.peers[worker].board_visits = false,
            }
        }
    }

    /// Notes that a visitor on the link of `worker` has answered on its own link: it was put back, or there are two
    /// boards.
    fn refute(&mut self, worker: usize, owner: usize) {
        if self.peers[worker].visitor.refute() {
            self.fail(worker, Reason::SameIdentity(owner));
        } else {
            self.ask_who(worker);
        }
    }

    /// Notes that the board of `owner` answers on the link of another worker. It is first asked on its own link: two
    /// boards with one identity would both answer, and a board with a false identity must not harm the true one.
    fn meet(&mut self, worker: usize, owner: usize) {
        let theirs = &self.peers[owner];
        let is_elsewhere = !theirs.board.is_greeted() || theirs.visitor.owner.is_some();
        // There is nothing to ask where no board, or another one, is known to be on its own link.
        if is_elsewhere || theirs.exchange.is_in_vain() {
            return self.swap(worker, owner);
        }
        self.peers[owner].board_visits = true;
        if self.peers[worker].visitor.meet(owner) {
            self.peers[owner].exchange.challenge();
        }
        self.enqueue(owner);
    }

    /// Swaps the links of two workers, and asks both boards to identify themselves.
    fn swap(&mut self, one: usize, other: usize) {
        self.routes.swap(one, other);
        let [one_peer, other_peer] =
            self.peers.get_disjoint_mut([one, other]).expect("two workers are not one");
        one_peer.exchange.swap_links(&mut other_peer.exchange);
        one_peer.stopwatch.swap_links(&mut other_peer.stopwatch);
        one_peer.visitor.forget();
        other_peer.visitor.forget();
        self.ask_who(one);
        self.ask_who(other);
    }

    /// Has a worker identify itself at once.
    pub(crate) fn ask_who(&mut self, worker: usize) {
        self.peers[worker].exchange.challenge();
        self.enqueue(worker);
    }
}
