//! The worker's end of a sealed line.

use super::channel::{Channel, Direction, Sealed};
use super::key::{Key, Salt};
use crate::counters::Reject;
use crate::frame::{Draft, Frame, SALT_LEN};

/// Number of random bytes that a worker needs at each boot.
pub const BOOT_LEN: usize = 12;

/// The worker's end of a sealed line.
///
/// It answers every `Hello` with a new channel, and switches to it when the host does.
#[derive(Debug)]
pub struct WorkerSeal {
    key: Key,
    boot: [u8; BOOT_LEN],
    /// Handshakes since boot.
    handshakes: u32,
    /// The salt of the latest `Hello`, and the channel that answers it, unused so far.
    offered: Option<(Salt, Handshake)>,
    channel: Option<Handshake>,
}

/// A channel and the number of its handshake.
#[derive(Debug)]
struct Handshake {
    handshake: u32,
    channel: Channel,
}

impl WorkerSeal {
    /// Creates an end after a boot. `boot` must be unique among all boots of all workers with this key.
    pub fn new(key: Key, boot: [u8; BOOT_LEN]) -> Self {
        Self { key, boot, handshakes: 0, offered: None, channel: None }
    }

    /// Seals a frame; returns its length, or `None` if there is no channel for it.
    #[must_use = "without a channel the frame is not written"]
    pub fn close(&mut self, draft: Draft) -> Option<usize> {
        if !draft.is_greeting() {
            return self.channel.as_mut()?.channel.seal(Direction::Up, draft);
        }
        // If the host has already switched, a repeated `Hello` is answered on the current channel.
        let offered = self.offered.as_mut().map(|(_, handshake)| handshake);
        let handshake = offered.or(self.channel.as_mut())?;
        let salt = salt(&self.boot, handshake.handshake);
        handshake.channel.seal_greeting(Direction::Up, &salt, draft)
    }

    /// Opens a frame of the host.
    ///
    /// # Errors
    /// [`Reject::Seal`] if authentication fails: another key or channel, a replay or damage.
    pub fn open<'d>(&mut self, frame: Frame<'d>) -> Result<Frame<'d>, Reject> {
        let mut sealed = Sealed::new(frame)?;
        let opened = match sealed.salt() {
            Some(host) => self.offer_channel(host, &mut sealed),
            None => self.open_on_channel(&mut sealed),
        };
        if opened { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
    }

    /// Offers a channel in answer to a `Hello`; a repeated `Hello` gets the same one.
    fn offer_channel(&mut self, host: Salt, sealed: &mut Sealed) -> bool {
        if !Channel::new(self.key.hello(&host)).open(Direction::Down, sealed) {
            return false;
        }
        // The same channel again: a new one would cut off a host that has received the first answer.
        if self.offered.as_ref().is_some_and(|(salt, _)| *salt == host) {
            return true;
        }
        // Wrapping would repeat a salt, and with it the nonces of a channel.
        let Some(handshakes) = self.handshakes.checked_add(1) else { return false };
        self.handshakes = handshakes;
        let channel = Channel::new(self.key.link(&host, &salt(&self.boot, handshakes)));
        self.offered = Some((host, Handshake { handshake: handshakes, channel }));
        true
    }

    /// Opens a frame on the current channel, or on the offered one, which then becomes current.
    fn open_on_channel(&mut self, sealed: &mut Sealed) -> bool {
        if self.channel.as_mut().is_some_and(|known| known.channel.open(Direction::Down, sealed)) {
            return true;
        }
        let Some((_, offered)) = &mut self.offered else { return false };
        let opened = offered.channel.open(Direction::Down, sealed);
        if opened {
            self.channel = self.offered.take().map(|(_, handshake)| handshake);
        }
        opened
    }
}

/// The worker's salt of a handshake.
fn salt(boot: &[u8; BOOT_LEN], handshake: u32) -> Salt {
    let mut salt = [0; SALT_LEN];
    salt[..BOOT_LEN].copy_from_slice(boot);
    salt[BOOT_LEN..].copy_from_slice(&handshake.to_le_bytes());
    salt
}
