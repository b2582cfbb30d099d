//! Which link leads to which worker.

use crate::board::Identity;

/// Links and workers, each the only one of the other.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The worker of each link.
    workers: Vec<usize>,
    /// The link of each worker.
    links: Vec<usize>,
    /// Who said last on a link who it is, since that was opened.
    pub heard: Vec<Option<Identity>>,
    /// Links that have only been tried: boards of other people may be there.
    pub tentative: Vec<bool>,
}

impl Routes {
    /// As many links as workers, in the same order.
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

    /// Who said last on a link who it is, since that was opened.
    pub(crate) fn heard(&self, link: usize) -> Option<&Identity> {
        self.heard[link].as_ref()
    }

    /// A link was opened anew, where it is tentative at a place that may be another.
    pub(crate) fn reopen(&mut self, link: usize, tentative: bool) {
        (self.heard[link], self.tentative[link]) = (None, tentative);
    }

    /// Gives each of two workers the link of the other.
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
    fn links_and_workers_stay_each_the_only_one_of_the_other() {
        let mut routes = Routes::new(4);
        for (one, other) in [(0, 1), (1, 2), (3, 1), (0, 3), (2, 0)] {
            let before = [one, other].map(|worker| routes.link(worker));
            routes.swap(one, other);
            assert_eq!([other, one].map(|worker| routes.link(worker)), before);
            assert!((0..4).all(|worker| routes.worker(routes.link(worker)) == worker));
        }
    }
}
