//! How an emulator tells a board its identity: four words of 64 bits, little-endian, in the last bytes of its RAM.
//!
//! | word | content |
//! |---|---|
//! | 0 | [`MAGIC`], if the others are to be read |
//! | 1 | the identity |
//! | 2 | the *seed*, random and not 0, for boards whose emulator has no source of randomness |
//! | 3 | starts since power-up, counted by the board |

/// Marks an injected identity. After power-up, RAM contains it by chance with probability 2^-64.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smidgen!");
/// Bytes of a word.
pub const WORD_LEN: usize = 8;
