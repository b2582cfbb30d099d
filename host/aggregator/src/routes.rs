//! Which link leads to which worker.

use crate::board::Identity;

/// A bijection between links and workers.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The worker of each link.
    workers: Vec<usize>,
    /// The link of each worker.
    links: Vec<usize>,
    /// The board that identified itself last on each link, since that was opened.
    pub heard: Vec<Option<Identity>>,
    /// Links to places that are only guesses: a board of another run may be there.
    pub tentative: Vec<bool>,
}

impl Routes {
    /// Leads every link to the worker of the same number.
    pub(crate) fn new(count: usize) -> Self {
        let (workers, links) = ((0..count).collect(), (0..count).collect());
        Self { workers, links, heard: vec![None; count], tentative: vec![false; count] }
    }

    /// The worker that a link leads to.
    pub(crate) fn worker(&self, link: usize) -> usize {
        self.workers[link]
    }

    /// The link that leads to a worker.
    pub(crate) fn link(&self, worker: usize) -> usize {
        self.links[worker]
    }

    /// The board that identified itself last on a link, since that was opened.
    pub(crate) fn heard(&self, link: usize) -> Option<&Identity> {
        self.heard[link].as_ref()
    }

    /// Notes that a link was reopened, tentatively if its place is only a guess.
    pub(crate) fn reopen(&mut self, link: usize, tentative: bool) {
        (self.heard[link], self.tentative[link]) = (None, tentative);
    }

    /// Swaps the links of two workers.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        self.links.swap(one, other);
        for worker in [one, other] {
            self.workers[self.links[worker]] = worker;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_workers_stay_a_bijection() {
        let mut routes = Routes::new(4);
        for (one, other) in [(0, 1), (1, 2), (3, 1), (0, 3), (2, 0)] {
            let before = [one, other].map(|worker| routes.link(worker));
            routes.swap(one, other);
            assert_eq!([other, one].map(|worker| routes.link(worker)), before);
            assert!((0..4).all(|worker| routes.worker(routes.link(worker)) == worker));
        }
    }
}
