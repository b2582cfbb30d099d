//! What a host needs to seal its links: the key, and salts that nobody can foretell.

use crate::key_file::{KeyError, KeyFile};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use smidgen_protocol::seal::{Key, Salt};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What a host seals its links with.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The key of the fleet.
    pub key: Key,
    /// Where the salts of its handshakes come from.
    pub salts: Salts,
}

impl Sealing {
    /// Seals links to boards.
    ///
    /// # Errors
    /// If the file holds no key or is not kept secret, or the operating system gives no random bytes.
    pub fn of_boards(path: &Path) -> Result<Self, KeyError> {
        Ok(Self { key: KeyFile::read(path)?, salts: Salts::random()? })
    }

    /// Seals links in simulation, where the same seed gives the same run.
    ///
    /// # Errors
    /// If the file holds no key or is not kept secret.
    pub fn of_simulation(path: &Path, seed: u64) -> Result<Self, KeyError> {
        Ok(Self { key: KeyFile::read(path)?, salts: Salts::of_seed(seed) })
    }
}

/// A source of salts. Its copies draw from it in turn, so no two of them get the same.
#[derive(Clone)]
pub struct Salts(Arc<Mutex<ChaCha20Rng>>);

impl Salts {
    /// One that nobody can foretell.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn random() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Self::new(ChaCha20Rng::from_seed(seed)))
    }

    /// One that a seed repeats: for simulation alone.
    pub fn of_seed(seed: u64) -> Self {
        Self::new(ChaCha20Rng::seed_from_u64(seed))
    }

    fn new(rng: ChaCha20Rng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// The next salt.
    pub fn draw(&self) -> Salt {
        let mut salt = Salt::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut salt);
        salt
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}
