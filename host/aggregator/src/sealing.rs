//! Key and salts of sealed links.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use smidgen_protocol::seal::{Key, Salt};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Key and salts of a host's sealed links.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The key of the fleet.
    pub key: Key,
    /// Source of the salts for its handshakes.
    pub salts: Salts,
}

/// A source of salts. Its clones draw from it in turn, so no two of them get the same.
#[derive(Clone)]
pub struct Salts(Arc<Mutex<ChaCha20Rng>>);

impl Salts {
    /// An unpredictable source, if the seed is random.
    pub fn new(seed: [u8; 32]) -> Self {
        Self::of(ChaCha20Rng::from_seed(seed))
    }

    /// A reproducible source, for simulation only.
    pub fn of_seed(seed: u64) -> Self {
        Self::of(ChaCha20Rng::seed_from_u64(seed))
    }

    fn of(rng: ChaCha20Rng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// The next salt.
    pub fn draw(&self) -> Salt {
        let mut salt = Salt::default();
        // A panic of another holder leaves a generator that still works.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut salt);
        salt
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}
