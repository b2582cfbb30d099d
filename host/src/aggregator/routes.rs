//! Which link leads to which worker.
//!
//! A board is known by its identity, not by the link on which it answers. There are as many links as workers, and each leads to
//! one: at first to the worker of the same number, which takes over the identity of the board that answers there. Whoever answers
//! on a link of another worker has been moved: the two links exchange their workers. Exchanges of two make every order out of every other.
//!
//! ```text
//! Ready on the link of w:  by w itself          all is well
//!                          by a board of v      where is v?  not heard yet, silent, or another board answers there: exchange
//!                                                            it answers on its own link as well: one identity too many
//!                          by an unknown board  the place of a worker that was not heard yet, or a stranger
//! ```

use super::peer::{Identity, Peer};
use super::{Event, Machine, Reason};
use smidgen_protocol::message::Ready;
use std::iter::once;

/// A board that turns up here, there, and here again so many times is two.
const REFUTED_MAX: u32 = 3;

/// Links and workers, each the only one of the other.
#[derive(Debug)]
pub struct Routes {
    /// The worker of each link.
    workers: Vec<usize>,
    /// The link of each worker.
    links: Vec<usize>,
    /// Whether a board of the run has said who it is on a link, since that was opened.
    answered: Vec<bool>,
}

impl Routes {
    /// As many links as workers, in the same order.
    pub fn new(count: usize) -> Self {
        let (workers, links) = ((0..count).collect(), (0..count).collect());
        Self { workers, links, answered: vec![false; count] }
    }

    /// The worker that a link leads to.
    pub fn worker(&self, link: usize) -> usize {
        self.workers[link]
    }

    /// The link that leads to a worker.
    pub fn link(&self, worker: usize) -> usize {
        self.links[worker]
    }

    /// Whether a board of the run has said who it is on a link, since that was opened.
    pub fn is_answered(&self, link: usize) -> bool {
        self.answered[link]
    }

    /// The link of a worker was opened anew.
    pub fn forget(&mut self, worker: usize) {
        self.answered[self.links[worker]] = false;
    }

    /// Gives each of two workers the link of the other.
    fn exchange(&mut self, one: usize, other: usize) {
        self.links.swap(one, other);
        for worker in [one, other] {
            self.workers[self.links[worker]] = worker;
        }
    }
}

impl Machine {
    /// Whether it is the worker's own board that answers. If not, it is found out whose it is, and what to do.
    pub fn recognise(&mut self, worker: usize, ready: &Ready) -> bool {
        let identity = Identity {
            board: ready.board.to_owned(),
            identity: ready.identity,
            memory: ready.memory,
        };
        let owner = self.owner(worker, identity.identity);
        let link = self.routes.link(worker);
        self.routes.answered[link] = owner.is_some();
        match owner {
            Some(owner) if owner == worker => self.confirm(worker, identity),
            Some(owner) => {
                self.meet(worker, owner);
                return false;
            }
            None => {
                self.fail(worker, Reason::Stranger(identity));
                return false;
            }
        }
        true
    }

    /// Whose board answers on the link of `worker`. One of which nobody has heard takes the place of a worker that was not heard yet,
    /// that of its link first: in a run that goes on it stands in for a board that was given up.
    fn owner(&self, worker: usize, identity: u64) -> Option<usize> {
        let is_known = |peer: &Peer| peer.identity.as_ref().is_some_and(|i| i.identity == identity);
        self.peers.iter().position(is_known).or_else(|| {
            once(worker).chain(0..self.peers.len()).find(|&free| !self.peers[free].is_greeted())
        })
    }

    /// A worker's own board has answered on its link.
    fn confirm(&mut self, worker: usize, identity: Identity) {
        let link = self.routes.link(worker);
        let peer = &mut self.peers[worker];
        peer.identity = Some(identity);
        (peer.met, peer.refuted) = (None, 0);
        let before = peer.heard_on.replace(link);
        if before.is_some_and(|before| before != link) {
            self.events.push_back(Event::Moved(worker));
        }
        if let Some(twin) = self.peers.iter().position(|peer| peer.met == Some(worker)) {
            self.refute(twin, worker);
        }
    }

    /// A board that was met on the link of `worker` has answered on its own link as well: it was put back meanwhile, or there are two of them.
    fn refute(&mut self, worker: usize, owner: usize) {
        let peer = &mut self.peers[worker];
        peer.met = None;
        peer.refuted += 1;
        if peer.refuted < REFUTED_MAX {
            return self.ask_who(worker);
        }
        peer.refuted = 0;
        self.fail(worker, Reason::SameIdentity(owner));
    }

    /// The board of `owner` answers on the link of another worker. Before anything is changed it is asked on its own link: two boards
    /// with one identity would both answer, and one that only says that it is another's shall not harm that.
    fn meet(&mut self, worker: usize, owner: usize) {
        let theirs = &self.peers[owner];
        if !theirs.is_greeted() || theirs.met.is_some() || theirs.question.is_in_vain() {
            return self.exchange(worker, owner);
        }
        if self.peers[worker].met.replace(owner) != Some(owner) {
            self.peers[owner].question.challenge();
        }
        self.enqueue(owner);
    }

    /// Two workers are each where the other was looked for, as far as is known.
    fn exchange(&mut self, one: usize, other: usize) {
        self.routes.exchange(one, other);
        let [one_peer, other_peer] =
            self.peers.get_disjoint_mut([one, other]).expect("two workers are not one");
        one_peer.question.trade_links(&mut other_peer.question);
        (one_peer.met, other_peer.met) = (None, None);
        self.ask_who(one);
        self.ask_who(other);
    }

    /// Asks who is there, now.
    pub fn ask_who(&mut self, worker: usize) {
        self.peers[worker].question.challenge();
        self.enqueue(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_workers_stay_each_the_only_one_of_the_other() {
        let mut routes = Routes::new(4);
        for (one, other) in [(0, 1), (1, 2), (3, 1), (0, 3), (2, 0)] {
            let before = [one, other].map(|worker| routes.link(worker));
            routes.exchange(one, other);
            assert_eq!([other, one].map(|worker| routes.link(worker)), before);
            assert!((0..4).all(|worker| routes.worker(routes.link(worker)) == worker));
        }
    }
}
