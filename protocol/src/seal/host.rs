//! The host's end: it asks for a link, and takes the one that the first `Ready` makes.

use super::channel::{Channel, Direction, Sealed, WINDOW};
use super::key::{Key, Salt};
use crate::counters::Reject;
use crate::frame::{Draft, Frame};

/// The host's end of the line to one worker.
#[derive(Debug)]
pub struct HostSeal {
    key: Key,
    /// A `Hello` to which no `Ready` has come: repetitions of it have the same salt.
    asked: Option<(Salt, Channel)>,
    /// The salt of the `Ready` that made it.
    channel: Option<(Salt, Channel)>,
}

impl HostSeal {
    /// An end that has never spoken.
    pub fn new(key: Key) -> Self {
        Self { key, asked: None, channel: None }
    }

    /// Seals a frame; returns its length, or none if there is no link that could carry it: ask with a `Hello` then.
    ///
    /// `salt` returns random bytes that nobody can foretell, never the same ones again. It is called once for each handshake.
    #[must_use = "without a channel the frame is not written"]
    pub fn close(&mut self, draft: Draft, salt: impl FnOnce() -> Salt) -> Option<usize> {
        if !draft.is_greeting() {
            let (_, channel) = self.channel.as_mut()?;
            return channel.seal(Direction::Down, draft);
        }
        // No two frames under a salt have a number whose travelling bits are the same.
        let asked = self.asked.take().filter(|(_, channel)| channel.sent() < WINDOW);
        let (salt, channel) = self.asked.insert(asked.unwrap_or_else(|| {
            let salt = salt();
            (salt, Channel::new(self.key.hello(&salt)))
        }));
        channel.seal_greeting(Direction::Down, salt, draft)
    }

    /// Opens a frame of the worker.
    ///
    /// # Errors
    /// [`Reject::Seal`] if it was not sealed with the key, for this link and this moment.
    pub fn open<'d>(&mut self, frame: Frame<'d>) -> Result<Frame<'d>, Reject> {
        let mut sealed = Sealed::new(frame)?;
        let known = self.channel.as_mut();
        let known = known.filter(|(salt, _)| sealed.salt().is_none_or(|other| other == *salt));
        let opened = match (known, sealed.salt()) {
            (Some((_, channel)), _) => channel.open(Direction::Up, &mut sealed),
            (None, Some(salt)) => self.accept_ready(salt, &mut sealed),
            (None, None) => false,
        };
        if opened { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
    }

    /// Takes the link of a `Ready` that answers the `Hello` which was asked.
    fn accept_ready(&mut self, salt: Salt, sealed: &mut Sealed) -> bool {
        let Some((asked, _)) = &self.asked else { return false };
        let mut channel = Channel::new(self.key.link(asked, &salt));
        let opened = channel.open(Direction::Up, sealed);
        if opened {
            (self.asked, self.channel) = (None, Some((salt, channel)));
        }
        opened
    }
}
