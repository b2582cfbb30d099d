//! Files that contain a key. They are written in place, so that a process that is killed leaves no copy under another
//! name; it may leave a partial file.

use crate::units::interrupt::Writing;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Creates a file with these permissions. It must not exist, and is removed if it cannot be written.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let _writing = Writing::begin();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The first error matters more.
        let _ = fs::remove_file(path);
    }
    written
}

/// Like [`create`], but replaces an existing file by a new one, which no other process has open.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let _writing = Writing::begin();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => create(path, bytes, mode),
    }
}

/// Writes an unnamed file in the temporary directory, which vanishes with this process.
pub(crate) fn unnamed(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(temporary())?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Returns the temporary directory. An empty `TMPDIR` counts as unset.
pub(crate) fn temporary() -> PathBuf {
    let folder = env::temp_dir();
    if folder.as_os_str().is_empty() { "/tmp".into() } else { folder }
}
