//! AEAD_CHACHA20_POLY1305 of RFC 8439, section 2.8, on top of RustCrypto's block functions.
//!
//! RustCrypto's functions for whole messages compute the same, as a test shows, but panic for messages of 256 GiB. Such
//! messages cannot occur here, and images of boards must not contain a panic.

use crate::frame::TAG_LEN;
use chacha20::cipher::StreamCipherCore;
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, KeyIvInit, R20};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

const BLOCK_LEN: usize = 64;

/// Cipher and authenticator for one message under one key.
pub(super) struct Aead {
    cipher: ChaChaCore<R20, Ietf>,
    mac: Poly1305,
}

impl Aead {
    /// Prepares for a message. `nonce` must be unique under `key`.
    pub(super) fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        let mut cipher = ChaChaCore::new(key.into(), nonce.into());
        let block = block(&mut cipher);
        let (mac_key, _) = block.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
        let mac = Poly1305::new(mac_key.into());
        Self { cipher, mac }
    }

    /// Encrypts `content` in place; returns the tag over `head` and `content`.
    pub(super) fn encrypt(mut self, head: &[u8], content: &mut [u8]) -> [u8; TAG_LEN] {
        apply(&mut self.cipher, content);
        // Encrypt, then authenticate: the receiver checks before it decrypts.
        self.authenticate(head, content);
        self.mac.finalize().into()
    }

    /// Decrypts `content` in place if the tag is valid, compared in constant time; otherwise changes nothing.
    pub(super) fn decrypt(mut self, head: &[u8], content: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        self.authenticate(head, content);
        let authentic = self.mac.verify(tag.into()).is_ok();
        if authentic {
            apply(&mut self.cipher, content);
        }
        authentic
    }

    fn authenticate(&mut self, head: &[u8], content: &[u8]) {
        self.mac.update_padded(head);
        self.mac.update_padded(content);
        let lens = (head.len() as u128) | (content.len() as u128) << 64;
        self.mac.update(&[lens.to_le_bytes().into()]);
    }
}

/// Generates the next block of the key stream.
fn block(cipher: &mut ChaChaCore<R20, Ietf>) -> Zeroizing<[u8; BLOCK_LEN]> {
    let mut block = Zeroizing::new([0; BLOCK_LEN]);
    cipher.write_keystream_block((&mut *block).into());
    block
}

/// Encrypts or decrypts; both are the same operation.
fn apply(cipher: &mut ChaChaCore<R20, Ietf>, content: &mut [u8]) {
    for chunk in content.chunks_mut(BLOCK_LEN) {
        let block = block(cipher);
        chunk.iter_mut().zip(&*block).for_each(|(byte, key)| *byte ^= key);
    }
}
