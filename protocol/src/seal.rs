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
mod channel;
mod host;
mod key;
#[cfg(test)]
mod nonce_log;
mod worker;

use crate::frame::{HEAD_LEN, SALT_LEN, TAG_LEN};
pub use host::HostSeal;
pub use key::{KEY_LEN, Key, Salt};
pub use worker::{BOOT_LEN, WorkerSeal};

/// Bytes that a seal adds to a frame.
pub const SEAL_LEN: usize = HEAD_LEN + TAG_LEN;
/// Bytes that it adds to a `Hello` or a `Ready`.
pub const GREETING_SEAL_LEN: usize = SEAL_LEN + SALT_LEN;

#[cfg(test)]
mod tests;
