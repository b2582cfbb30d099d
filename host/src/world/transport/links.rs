//! All links of a run, which end together.

use super::link::{END_TIMEOUT, Link};
use std::ops::{Index, IndexMut};
use std::time::Instant;

/// The links of a run. When they are dropped, their threads end at the same time.
pub struct Links(Vec<Link>);

impl Links {
    /// Returns the number of links.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no links.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Link> for Links {
    fn from_iter<I: IntoIterator<Item = Link>>(links: I) -> Self {
        Self(links.into_iter().collect())
    }
}

impl From<Vec<Link>> for Links {
    fn from(links: Vec<Link>) -> Self {
        Self(links)
    }
}

impl Index<usize> for Links {
    type Output = Link;

    fn index(&self, link: usize) -> &Link {
        &self.0[link]
    }
}

impl IndexMut<usize> for Links {
    fn index_mut(&mut self, link: usize) -> &mut Link {
        &mut self.0[link]
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // A thread notices the stop within a read's time-out. Stopping many one after the other would take seconds.
        self.0.iter_mut().for_each(Link::stop);
        let deadline = Instant::now() + END_TIMEOUT;
        self.0.iter_mut().for_each(|link| link.join(deadline));
    }
}
