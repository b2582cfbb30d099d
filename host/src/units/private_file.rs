//! Files that hold a key, or may: written at their place only, so that a process that is killed leaves no copy elsewhere, but
//! may leave a file there that is not whole.

use crate::units::interrupt::Writing;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a file that must not exist, with these permissions. Where it cannot be written whole, it is not there.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let _writing = Writing::begin();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Why it could not be written matters more.
        let _ = fs::remove_file(path);
    }
    written
}

/// The same, replacing the file: a new one, which no other process has open.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let _writing = Writing::begin();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => create(path, bytes, mode),
    }
}

/// Writes a file without a name, below the temporary folder: whatever ends this process ends the file.
pub fn unnamed(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(temporary())?;
    file.write_all(bytes)?;
    Ok(file)
}

/// The temporary folder; an empty variable is as good as none.
pub fn temporary() -> PathBuf {
    let folder = env::temp_dir();
    if folder.as_os_str().is_empty() { "/tmp".into() } else { folder }
}
