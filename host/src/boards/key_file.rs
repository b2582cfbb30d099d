//! Files with the key of a fleet: 64 hexadecimal digits, readable only by their owner.

use crate::units::private_file;
use crate::units::shown::{shown, typed};
use crate::units::text::{self, Encoding, MARK};
use smidgen_aggregator::{Salts, Sealing};
use smidgen_protocol::seal::{KEY_LEN, Key};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Maximum number of bytes that are read of a key file.
const FILE_LEN_MAX: u64 = 1024;

/// Reasons why a key file cannot be used or created.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(
        "--key: {} cannot be read ({source}); `smidgen key FILE` creates a file with a new key",
        shown(path)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Other users can read or change the file.
    #[error(
        "--key: other users can read or change {}; run `chmod 600 {}`, and create a new key if someone may have read \
         this one",
        shown(.0), typed(.0)
    )]
    Exposed(PathBuf),
    /// The file does not contain a key.
    #[error(
        "--key: {} does not contain a key of 64 hexadecimal digits; `smidgen key FILE` creates a file with a new one",
        shown(.0)
    )]
    Malformed(PathBuf),
    /// The file is not UTF-8 text.
    #[error("--key: {} does not contain a key: {encoding}", shown(path))]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Its likely encoding.
        encoding: Encoding,
    },
    /// The file exists.
    #[error(
        "{} exists and is not replaced, because boards may use its key; choose another name", shown(.0)
    )]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error(
        "{} cannot be written: {source}; choose a directory with write permission",
        shown(path)
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The operating system provides no random bytes.
    #[error(
        "cannot create a key: the operating system provides no random bytes ({0}); try again later"
    )]
    Random(getrandom::Error),
}

/// A file with a key.
#[derive(Debug)]
pub struct KeyFile;

impl KeyFile {
    /// Creates a file with a new key, readable only by its owner.
    ///
    /// # Errors
    /// If it exists, or cannot be written.
    pub fn create(path: &Path) -> Result<(), KeyError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(&mut *key).map_err(KeyError::Random)?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists(path.into()),
            _ => KeyError::Unwritable { path: path.into(), source },
        };
        let text = Zeroizing::new(digits(&key));
        private_file::create(path, &*text, 0o600).map_err(failed)
    }

    /// Reads the key in a file.
    ///
    /// # Errors
    /// If it does not contain a key, or other users can read or change it.
    pub fn read(path: &Path) -> Result<Key, KeyError> {
        let failed = |source| KeyError::Unreadable { path: path.into(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(KeyError::Malformed(path.into()));
        }
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path.into()));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX as usize));
        file.take(FILE_LEN_MAX).read_to_end(&mut text).map_err(failed)?;
        let encoding = |encoding| KeyError::Encoding { path: path.into(), encoding };
        let text = text::utf8(&text).map_err(encoding)?;
        parse(text).ok_or_else(|| KeyError::Malformed(path.into()))
    }

    /// Returns the sealing of links to boards: the key in a file, and unpredictable salts.
    ///
    /// # Errors
    /// If the file does not contain a key or is not secret, or the operating system provides no random bytes.
    pub fn seal_boards(path: &Path) -> Result<Sealing, KeyError> {
        let key = Self::read(path)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Sealing { key, salts: Salts::new(seed) })
    }

    /// Returns the sealing of simulated links, whose salts depend only on `seed`, so that runs are reproducible.
    ///
    /// # Errors
    /// If the file does not contain a key or is not secret.
    pub fn seal_simulation(path: &Path, seed: u64) -> Result<Sealing, KeyError> {
        Ok(Sealing { key: Self::read(path)?, salts: Salts::of_seed(seed) })
    }
}

/// Formats a key as a line of text.
fn digits(key: &[u8; KEY_LEN]) -> [u8; 2 * KEY_LEN + 1] {
    let mut text = [b'\n'; 2 * KEY_LEN + 1];
    base16ct::lower::encode(key, &mut text).expect("the buffer has two digits per byte");
    text
}

fn parse(text: &str) -> Option<Key> {
    let text = text.strip_prefix(MARK).unwrap_or(text).trim_ascii();
    let mut key = Zeroizing::new([0; KEY_LEN]);
    // The length is checked separately, because the decoder accepts fewer digits.
    (text.len() == 2 * KEY_LEN).then_some(())?;
    base16ct::mixed::decode(text, &mut *key).ok()?;
    Key::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn new_key_round_trips_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        KeyFile::create(&one).unwrap();
        KeyFile::create(&other).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
        let key = |path| *KeyFile::read(path).unwrap().bytes();
        assert_ne!(key(&one), key(&other));
        let before = fs::read(&one).unwrap();
        assert_eq!(digits(&key(&one)).as_slice(), before);
        assert!(matches!(KeyFile::create(&one), Err(KeyError::Exists(_))));
        assert_eq!(fs::read(&one).unwrap(), before);
    }

    #[test]
    fn key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        KeyFile::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        KeyFile::read(&path).unwrap();
    }

    #[test]
    fn file_without_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let erased = "ff".repeat(KEY_LEN);
        let long = "ab".repeat(KEY_LEN + 1);
        for text in ["", "\n", "key", &"x".repeat(64), &erased, &long, &"12".repeat(4096)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(KeyFile::read(&path), Err(KeyError::Malformed(_))), "{text}");
        }
        for mark in ["", "\u{feff}"] {
            fs::write(&path, format!("{mark} {}\r\n", "aB".repeat(KEY_LEN))).unwrap();
            assert_eq!(KeyFile::read(&path).unwrap().bytes(), &[0xab; KEY_LEN]);
        }
        let utf16: Vec<u8> =
            "ab".repeat(KEY_LEN).encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&path, utf16).unwrap();
        assert!(KeyFile::read(&path).unwrap_err().to_string().contains("UTF-16"));
        assert!(matches!(KeyFile::read(folder.path()), Err(KeyError::Malformed(_))), "a directory");
        let error = KeyFile::read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("smidgen key FILE"), "{error}");
    }
}
