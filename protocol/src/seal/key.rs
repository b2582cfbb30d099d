//! Keys and their derivation.

use crate::frame::SALT_LEN;
use chacha20::{R20, hchacha};
use core::fmt;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Salt of a handshake.
pub type Salt = [u8; SALT_LEN];

const HELLO: &Salt = b"smidgen 1: hello";
const LINK: &Salt = b"smidgen 1: link ";

/// A key shared by the host and the boards of a fleet. Its memory is zeroed on drop.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_LEN]>);

impl Key {
    /// Content of a board's key section without a key: erased flash.
    pub const NONE: [u8; KEY_LEN] = [0xff; KEY_LEN];

    /// Creates a key from bytes; `None` for [`Key::NONE`].
    pub fn new(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        (*bytes != Self::NONE).then(|| Self(Zeroizing::new(*bytes)))
    }

    /// The bytes of the key, for storing it.
    pub fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Derives the key of a `Hello`.
    pub(super) fn hello(&self, host: &Salt) -> Self {
        self.derive(HELLO).derive(host)
    }

    /// Derives the key of a channel.
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
