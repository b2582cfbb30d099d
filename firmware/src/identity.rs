//! How an emulator tells a board its identity: four words of 64 bits, little-endian, in the last bytes of its RAM.
//!
//! | word | content |
//! |---|---|
//! | 0 | [`MAGIC`] or a mark [`with_channels`]: the other words hold values |
//! | 1 | the identity |
//! | 2 | the *seed*, random and not 0, for boards whose emulator has no source of randomness |
//! | 3 | starts since power-up, counted by the board |

use smidgen_protocol::recipe::CHANNELS_MAX;

/// Marks an injected identity. After power-up, RAM contains it by chance with probability 2^-64.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smidgen!");

/// Bytes of a word.
pub const WORD_LEN: usize = 8;

/// Returns [`MAGIC`] with the number of channels of the emulated sensor, 1 to [`CHANNELS_MAX`], in place of its last byte.
pub const fn with_channels(channels: u8) -> u64 {
    (MAGIC << 8 >> 8) | ((channels as u64) << 56)
}

/// Returns the number of channels that word 0 tells.
pub fn channels(word: u64) -> Option<u8> {
    let [.., last] = word.to_le_bytes();
    let is_told = word == with_channels(last) && (1..=CHANNELS_MAX).contains(&usize::from(last));
    is_told.then_some(last)
}

/// Returns whether word 0 marks an injected identity.
pub fn is_mark(word: u64) -> bool {
    word == MAGIC || channels(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_and_numbers_of_channels_are_accepted() {
        assert!(is_mark(MAGIC) && channels(MAGIC).is_none());
        for channels_told in 0..=u8::MAX {
            let word = with_channels(channels_told);
            let is_valid = (1..=CHANNELS_MAX).contains(&usize::from(channels_told));
            assert_eq!(channels(word), is_valid.then_some(channels_told));
            assert_eq!(is_mark(word), is_valid || channels_told == b'!');
            assert_eq!(channels(word ^ 1), None);
        }
    }
}
