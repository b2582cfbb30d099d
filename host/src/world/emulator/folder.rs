//! Private folders below the temporary one. A killed process leaves its folders; the next process removes them.

use super::EmulatorError;
use crate::units::private_file::temporary;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path};
use tempfile::TempDir;

/// The longest path of a temporary folder in which the path of a socket stays legal everywhere.
pub(super) const PATH_LEN_MAX: usize = 70;

/// Prefix of our folders, used by no other program; folders that no process holds are removed.
const PREFIX: &str = "smidgen-emulator-";

/// A private folder, which is gone with this value.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    // The folder itself, locked for as long as this process lives; dropped after the folder is gone.
    _lock: File,
}

impl Folder {
    /// Makes one.
    pub fn new() -> Result<Self, EmulatorError> {
        let path = temporary();
        let made = path::absolute(&path).and_then(|parent| {
            let is_short = parent.as_os_str().len() <= PATH_LEN_MAX;
            if is_short {
                Self::new_in(&parent)
            } else {
                Err(io::ErrorKind::InvalidFilename.into())
            }
        });
        // Without the path that `tempfile` adds as it stands.
        made.map_err(|error| EmulatorError::Temporary { path, source: error.kind().into() })
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            // Another process may take the folder for an abandoned one before it is locked.
            let lock = match File::open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // A file system without locks gives none to those who look for abandoned folders either.
            let _ = lock.lock();
            if folder.path().exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes the folders beside it whose processes are gone. What cannot be removed stays.
    pub fn remove_abandoned(&self) {
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
    fn a_folder_goes_with_its_value_or_once_its_lock_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let [gone, abandoned, alive] =
            std::array::from_fn(|_| Folder::new_in(parent.path()).unwrap());
        let gone_path = gone.path().to_owned();
        drop(gone);
        assert!(!gone_path.exists());

        let Folder { folder, _lock: lock } = abandoned;
        let abandoned = folder.keep();
        fs::write(abandoned.join("line"), "").unwrap();
        // One whose process was killed before it could take the lock.
        let bare = parent.path().join("smidgen-emulator-a");
        let stranger = parent.path().join("smidgen-notes");
        for folder in [&bare, &stranger] {
            fs::create_dir(folder).unwrap();
        }
        alive.remove_abandoned();
        assert!(abandoned.exists(), "its lock is held");
        drop(lock);
        let other = Folder::new_in(parent.path()).unwrap();
        other.remove_abandoned();
        assert!(!abandoned.exists() && !bare.exists());
        assert!(alive.path().exists() && other.path().exists() && stranger.exists());
    }
}
