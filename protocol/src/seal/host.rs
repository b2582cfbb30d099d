//! The host's end of a sealed line.

use super::channel::{Channel, Direction, Sealed, WINDOW};
use super::key::{Key, Salt};
use crate::counters::Reject;
use crate::frame::{Draft, Frame};

/// The host's end of a sealed line to one worker.
#[derive(Debug)]
pub struct HostSeal {
    key: Key,
    /// Salt and channel of an unanswered `Hello`; repetitions use the same salt.
    asked: Option<(Salt, Channel)>,
    /// The current channel, and the salt of the `Ready` that created it.
    channel: Option<(Salt, Channel)>,
}

impl HostSeal {
    /// Creates an end without a channel.
    pub fn new(key: Key) -> Self {
        Self { key, asked: None, channel: None }
    }

    /// Seals a frame; returns its length, or `None` if there is no channel for it: send a `Hello` then.
    ///
    /// `salt` returns unpredictable random bytes that never repeat. It is called once per handshake.
    #[must_use = "without a channel the frame is not written"]
    pub fn close(&mut self, draft: Draft, salt: impl FnOnce() -> Salt) -> Option<usize> {
        if !draft.is_greeting() {
            let (_, channel) = self.channel.as_mut()?;
            return channel.seal(Direction::Down, draft);
        }
        // A salt serves at most WINDOW repetitions, so that their counters differ in the bits that travel.
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
    /// [`Reject::Seal`] if authentication fails: another key or channel, a replay or damage.
    pub fn open<'d>(&mut self, frame: Frame<'d>) -> Result<Frame<'d>, Reject> {
        let mut sealed = Sealed::new(frame)?;
        let known = self.channel.as_mut();
        // A `Ready` with another salt belongs to a new channel, not to the current one.
        let known = known.filter(|(salt, _)| sealed.salt().is_none_or(|other| other == *salt));
        let opened = match (known, sealed.salt()) {
            (Some((_, channel)), _) => channel.open(Direction::Up, &mut sealed),
            (None, Some(salt)) => self.accept_ready(salt, &mut sealed),
            (None, None) => false,
        };
        if opened { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
    }

    /// Switches to the channel of a `Ready` that answers the pending `Hello`.
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
