//! Sealed frames: what a fleet with a key says is encrypted and authenticated, by ChaCha20-Poly1305.
//!
//! ```text
//!  Hello   1 ‖ count ‖ salt_h ‖ ciphertext ‖ tag    under H(H(key, "hello"), salt_h)
//!  Ready   1 ‖ count ‖ salt_b ‖ ciphertext ‖ tag    under H(H(H(key, "link"), salt_h), salt_b)
//!  others  0 ‖ count ‖          ciphertext ‖ tag    under the key of that Ready: the link
//! ```
//!
//! H is HChaCha20, as in XChaCha20. The nonce is the direction and the number of the frame on its link, of which the seven
//! lowest bits travel: whoever receives it takes it for the next such number above the last, so a frame that comes again, or
//! comes back, fails its check. Every handshake makes a new link, since host and worker both add a salt that they never add
//! again: the host a random one, the worker what it drew when it was started, and a count.
//!
//! A new link counts for the worker once something arrives on it. Until then the old one goes on, so a `Hello` of the past
//! that somebody sends again breaks nothing.

mod aead;
mod host;
mod link;
mod worker;

use crate::frame::{SALT_LEN, TAG_LEN};
use chacha20::{R20, hchacha};
use core::fmt;
pub use host::HostSeal;
pub use worker::{BOOT_LEN, WorkerSeal};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes that a seal adds to a frame.
pub const SEAL_LEN: usize = crate::frame::HEAD_LEN + TAG_LEN;
/// Bytes that it adds to a `Hello` or a `Ready`.
pub const GREETING_SEAL_LEN: usize = SEAL_LEN + SALT_LEN;

/// What makes the key of a handshake its own.
pub type Salt = [u8; SALT_LEN];

/// In the head: a salt follows.
const SALTED: u8 = 0x80;
const HELLO: &Salt = b"smidgen 1: hello";
const LINK: &Salt = b"smidgen 1: link ";

/// A key that host and boards of a fleet share. Its memory is set to zero when it is dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_LEN]>);

impl Key {
    /// What a board holds that has no key: flash as it is when it has been erased.
    pub const NONE: [u8; KEY_LEN] = [0xff; KEY_LEN];

    /// The key of these bytes; none if they are [`Key::NONE`].
    pub fn new(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        (*bytes != Self::NONE).then(|| Self(Zeroizing::new(*bytes)))
    }

    /// The bytes, for whoever must store them.
    pub fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Under which a `Hello` is sealed.
    fn hello(&self, host: &Salt) -> Self {
        self.derive(HELLO).derive(host)
    }

    /// Under which all is sealed from `Ready` on.
    fn link(&self, host: &Salt, worker: &Salt) -> Self {
        self.derive(LINK).derive(host).derive(worker)
    }

    /// HChaCha20, a pseudo-random function of `input`.
    fn derive(&self, input: &Salt) -> Self {
        Self(Zeroizing::new(hchacha::<R20>(&(*self.0).into(), &(*input).into()).into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests;
