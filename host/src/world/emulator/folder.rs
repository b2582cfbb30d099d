//! Private directories of emulators in the temporary directory. Those of a killed process are removed by the next one.

use crate::units::private_file::temporary;
use crate::units::shown::shown;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use tempfile::TempDir;

/// Maximum length of the temporary directory's path with which a socket's path is valid on all systems.
const PATH_LEN_MAX: usize = 70;

/// Prefix of our directories. No other program uses it: directories with it are removed if no process has locked them.
const PREFIX: &str = "smidgen-emulator-";

/// The temporary directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "no directory can be created in {} ({source}): set TMPDIR to a writable directory with a path of at most \
     {PATH_LEN_MAX} bytes",
    shown(path)
)]
pub struct FolderError {
    /// The temporary directory.
    path: PathBuf,
    /// The error of the operating system.
    source: io::Error,
}

/// A private directory, which is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    // The directory itself, locked while this process lives. Dropped after the directory is removed.
    _lock: File,
}

impl Folder {
    /// Creates a directory.
    pub(super) fn new() -> Result<Self, FolderError> {
        let path = temporary();
        let made = path::absolute(&path).and_then(|parent| {
            let is_short = parent.as_os_str().len() <= PATH_LEN_MAX;
            if is_short {
                Self::new_in(&parent)
            } else {
                Err(io::ErrorKind::InvalidFilename.into())
            }
        });
        // Only the kind of the error: `tempfile` adds the path without escaping it.
        made.map_err(|error| FolderError { path, source: error.kind().into() })
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            // Another process may have taken the directory for an abandoned one before it was locked.
            let lock = match File::open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // On a file system without locks, no process can lock it to remove it either.
            let _ = lock.lock();
            if folder.path().exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes the directories of other processes that have ended, as far as possible.
    pub(super) fn remove_abandoned(&self) {
        let Ok(owner) = fs::metadata(self.path()).map(|own| own.uid()) else { return };
        let Some(Ok(entries)) = self.path().parent().map(fs::read_dir) else { return };
        for entry in entries.flatten() {
            let is_named = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
            let is_own = || entry.metadata().is_ok_and(|it| it.is_dir() && it.uid() == owner);
            if is_named && is_own() {
                let _ = remove_abandoned(&entry.path());
            }
        }
    }
}

fn remove_abandoned(folder: &Path) -> io::Result<()> {
    let lock = File::open(folder)?;
    if lock.try_lock().is_ok() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_removed_on_drop_or_once_unlocked() {
        let parent = tempfile::tempdir().unwrap();
        let [gone, abandoned, alive] =
            std::array::from_fn(|_| Folder::new_in(parent.path()).unwrap());
        let gone_path = gone.path().to_owned();
        drop(gone);
        assert!(!gone_path.exists());

        let Folder { folder, _lock: lock } = abandoned;
        let abandoned = folder.keep();
        fs::write(abandoned.join("line"), "").unwrap();
        // A directory whose process was killed before it could lock it.
        let bare = parent.path().join("smidgen-emulator-a");
        let stranger = parent.path().join("smidgen-notes");
        for folder in [&bare, &stranger] {
            fs::create_dir(folder).unwrap();
        }
        alive.remove_abandoned();
        assert!(abandoned.exists(), "it is locked");
        drop(lock);
        let other = Folder::new_in(parent.path()).unwrap();
        other.remove_abandoned();
        assert!(!abandoned.exists() && !bare.exists());
        assert!(alive.path().exists() && other.path().exists() && stranger.exists());
    }
}
