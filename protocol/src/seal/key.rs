//! Keys, and how those of handshakes and links are derived from the key of a fleet.

use crate::frame::SALT_LEN;
use chacha20::{R20, hchacha};
use core::fmt;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// What makes the key of a handshake its own.
pub type Salt = [u8; SALT_LEN];

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
    pub(super) fn hello(&self, host: &Salt) -> Self {
        self.derive(HELLO).derive(host)
    }

    /// Under which all is sealed from `Ready` on.
    pub(super) fn link(&self, host: &Salt, worker: &Salt) -> Self {
        self.derive(LINK).derive(host).derive(worker)
    }

    /// HChaCha20, a pseudo-random function of `input`.
    pub(super) fn derive(&self, input: &Salt) -> Self {
        Self(Zeroizing::new(hchacha::<R20>(&(*self.0).into(), &(*input).into()).into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
