//! Sealed frames: authenticated encryption with ChaCha20-Poly1305, under a key that the fleet shares.
//!
//! ```text
//!  Hello   1 ‖ count ‖ salt_h ‖ ciphertext ‖ tag    under H(H(key, "hello"), salt_h)
//!  Ready   1 ‖ count ‖ salt_b ‖ ciphertext ‖ tag    under H(H(H(key, "link"), salt_h), salt_b)
//!  others  0 ‖ count ‖          ciphertext ‖ tag    under the key of that Ready: the channel
//! ```
//!
//! H is HChaCha20, as in XChaCha20. The nonce consists of the direction and the number of the frame on its channel, of
//! which the lowest seven bits travel. The receiver assumes the next number with these bits, so a replayed or reflected
//! frame fails authentication. Every handshake creates a new channel: host and worker each contribute a salt that they
//! never use again, the host a random one, the worker its boot bytes and a counter.
//!
//! The worker switches to a new channel when the first frame arrives on it. Until then it keeps the old one, so a
//! replayed `Hello` does no harm.
//!
//! A seal is a layer, not a protocol: contexts, messages and both machines are the same with and without a key. Bodies
//! have the same limits, so transcripts are equal.

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

/// Overhead of a sealed frame in bytes.
pub const SEAL_LEN: usize = HEAD_LEN + TAG_LEN;
/// Overhead of a sealed `Hello` or `Ready` in bytes.
pub const GREETING_SEAL_LEN: usize = SEAL_LEN + SALT_LEN;

#[cfg(test)]
mod tests;
