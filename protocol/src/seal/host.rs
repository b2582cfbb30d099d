//! The host's end: it asks for a link, and takes the one that the first `Ready` makes.

use super::key::{Key, Salt};
use super::link::{Direction, Link, Sealed, WINDOW};
use crate::counters::Reject;
use crate::frame::{Draft, Frame};

/// The host's end of the line to one worker.
#[derive(Debug)]
pub struct HostSeal {
    key: Key,
    /// A `Hello` to which no `Ready` has come: repetitions of it have the same salt.
    asked: Option<(Salt, Link)>,
    /// The salt of the `Ready` that made it.
    link: Option<(Salt, Link)>,
}

impl HostSeal {
    /// An end that has never spoken.
    pub fn new(key: Key) -> Self {
        Self { key, asked: None, link: None }
    }

    /// Seals a frame; returns its length, or none if there is no link that could carry it: ask with a `Hello` then.
    ///
    /// `salt` returns random bytes that nobody can foretell, never the same ones again. It is called once for each handshake.
    pub fn close(&mut self, draft: Draft, salt: impl FnOnce() -> Salt) -> Option<usize> {
        if !draft.greets() {
            let (_, link) = self.link.as_mut()?;
            return link.seal(Direction::Down, draft);
        }
        // No two frames under a salt have a number whose travelling bits are the same.
        let asked = self.asked.take().filter(|(_, link)| link.sent() < WINDOW);
        let (salt, link) = self.asked.insert(asked.unwrap_or_else(|| {
            let salt = salt();
            (salt, Link::new(self.key.hello(&salt)))
        }));
        link.seal_greeting(Direction::Down, salt, draft)
    }

    /// Opens a frame of the worker.
    ///
    /// # Errors
    /// [`Reject::Seal`] if it was not sealed with the key, for this link and this moment.
    pub fn open<'d>(&mut self, frame: Frame<'d>) -> Result<Frame<'d>, Reject> {
        let mut sealed = Sealed::new(frame)?;
        let known = self.link.as_mut();
        let known = known.filter(|(salt, _)| sealed.salt().is_none_or(|other| other == *salt));
        let opened = match (known, sealed.salt()) {
            (Some((_, link)), _) => link.open(Direction::Up, &mut sealed),
            (None, Some(salt)) => self.meet(salt, &mut sealed),
            (None, None) => false,
        };
        if opened { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
    }

    /// Takes the link of a `Ready` that answers the `Hello` which was asked.
    fn meet(&mut self, salt: Salt, sealed: &mut Sealed) -> bool {
        let Some((asked, _)) = &self.asked else { return false };
        let mut link = Link::new(self.key.link(asked, &salt));
        let opened = link.open(Direction::Up, sealed);
        if opened {
            (self.asked, self.link) = (None, Some((salt, link)));
        }
        opened
    }
}
