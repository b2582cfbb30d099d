//! The worker's end: it answers every `Hello` with a new link, and changes over to it when the host does.

use super::channel::{Channel, Direction, Sealed};
use super::key::{Key, Salt};
use crate::counters::Reject;
use crate::frame::{Draft, Frame, SALT_LEN};

/// Bytes that a worker draws when it is started.
pub const BOOT_LEN: usize = 12;

/// A worker's end of the line.
#[derive(Debug)]
pub struct WorkerSeal {
    key: Key,
    boot: [u8; BOOT_LEN],
    /// Handshakes since the boot.
    handshakes: u32,
    /// A link on which nothing has come, and the salt of the `Hello` that it answers.
    offered: Option<(Salt, Handshake)>,
    channel: Option<Handshake>,
}

/// A link, and the number of the handshake that made it.
#[derive(Debug)]
struct Handshake {
    handshake: u32,
    channel: Channel,
}

impl WorkerSeal {
    /// An end that has just been started. No other start of any worker with this key may have the same `boot`.
    pub fn new(key: Key, boot: [u8; BOOT_LEN]) -> Self {
        Self { key, boot, handshakes: 0, offered: None, channel: None }
    }

    /// Seals a frame; returns its length, or none if there is no link that could carry it.
    #[must_use = "without a channel the frame is not written"]
    pub fn close(&mut self, draft: Draft) -> Option<usize> {
        if !draft.is_greeting() {
            return self.channel.as_mut()?.channel.seal(Direction::Up, draft);
        }
        // The host may have changed over before its `Hello` is answered once more.
        let offered = self.offered.as_mut().map(|(_, handshake)| handshake);
        let handshake = offered.or(self.channel.as_mut())?;
        let salt = salt(&self.boot, handshake.handshake);
        handshake.channel.seal_greeting(Direction::Up, &salt, draft)
    }

    /// Opens a frame of the host.
    ///
    /// # Errors
    /// [`Reject::Seal`] if it was not sealed with the key, for this link and this moment.
    pub fn open<'d>(&mut self, frame: Frame<'d>) -> Result<Frame<'d>, Reject> {
        let mut sealed = Sealed::new(frame)?;
        let opened = match sealed.salt() {
            Some(host) => self.offer_channel(host, &mut sealed),
            None => self.open_on_channel(&mut sealed),
        };
        if opened { Ok(sealed.into_frame()) } else { Err(Reject::Seal) }
    }

    /// Offers a link to whoever says `Hello`, the same one if it was the same `Hello`.
    fn offer_channel(&mut self, host: Salt, sealed: &mut Sealed) -> bool {
        if !Channel::new(self.key.hello(&host)).open(Direction::Down, sealed) {
            return false;
        }
        if self.offered.as_ref().is_some_and(|(salt, _)| *salt == host) {
            return true;
        }
        let Some(handshakes) = self.handshakes.checked_add(1) else { return false };
        self.handshakes = handshakes;
        let channel = Channel::new(self.key.link(&host, &salt(&self.boot, handshakes)));
        self.offered = Some((host, Handshake { handshake: handshakes, channel }));
        true
    }

    /// Opens what comes on the link, or on the one that was offered, which counts from then on.
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

/// The salt of a handshake.
fn salt(boot: &[u8; BOOT_LEN], handshake: u32) -> Salt {
    let mut salt = [0; SALT_LEN];
    salt[..BOOT_LEN].copy_from_slice(boot);
    salt[BOOT_LEN..].copy_from_slice(&handshake.to_le_bytes());
    salt
}
