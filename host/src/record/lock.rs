//! Locks on the directories that a run writes to, so that two processes do not destroy each other's files.

use super::directory::is_ours;
use super::{RecordError, write_error};
use crate::record::checkpoint;
use crate::units::files;
use crate::units::shown::{shown, typed};
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{env, process};

/// The file that is locked. It stays: to remove it would unlock it for a process that has just opened it.
pub(super) const LOCK: &str = ".lock";
/// Longest command line shown of another process, in characters.
const COMMAND_LEN_MAX: usize = 100;

/// The directories that this process alone may write to until this value is dropped, or the process ends in any way.
#[derive(Debug, Default)]
pub struct Locks(Vec<(PathBuf, File)>);

impl Locks {
    /// Takes a directory, unless it is taken already.
    ///
    /// # Errors
    /// If another process has it, or it cannot be written.
    pub fn take(&mut self, directory: &Path) -> Result<(), RecordError> {
        let failed = |error| write_error(directory)(error);
        // By its one true name: two locks of one process would be in each other's way.
        let place = directory.canonicalize().map_err(failed)?;
        if self.0.iter().any(|(taken, _)| *taken == place) {
            return Ok(());
        }
        let path = place.join(LOCK);
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(write_error(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            // Some network file systems have no locks; a run there is as safe as without one.
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => {}
            Err(TryLockError::Error(error)) => return Err(write_error(&path)(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(RecordError::Busy { path: directory.into(), holder: holder(&path) });
            }
        }
        // Only so that a refusal can name this process: the lock holds without it.
        let _ = file.set_len(0).and_then(|()| file.write_all(signature().as_bytes()));
        remove_parts(&place)?;
        self.0.push((place, file));
        Ok(())
    }
}

/// Whether a file system has no locks: NFS without its lock service, for instance.
fn knows_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(Errno::ENOLCK as i32)
}

/// Removes what a process that was killed had not written whole.
fn remove_parts(directory: &Path) -> Result<(), RecordError> {
    for entry in fs::read_dir(directory).map_err(write_error(directory))? {
        let path = entry.map_err(write_error(directory))?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let whole = files::whole_name(name);
        if whole.is_some_and(|whole| is_ours(whole) || checkpoint::round_of(whole).is_some()) {
            fs::remove_file(&path).map_err(write_error(&path))?;
        }
    }
    Ok(())
}

/// This process, for others: its number and its command line.
fn signature() -> String {
    let words: Vec<_> = env::args_os().map(|word| typed(&word)).collect();
    format!("{}\n{}\n", process::id(), words.join(" "))
}

/// The process that has locked a file, as far as it has said who it is.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = files::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
    let mut lines = text.lines();
    let process = lines.next().and_then(|line| line.parse::<u32>().ok());
    let (Ok(_), Some(process)) = (read, process) else { return "another process".into() };
    let command = lines.next().unwrap_or_default();
    let command: String = command.chars().take(COMMAND_LEN_MAX).collect();
    format!("process {process} ({})", shown(&command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once_and_its_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut locks = Locks::default();
        locks.take(folder.path()).unwrap();
        locks.take(&folder.path().join(".")).unwrap();

        let refused = Locks::default().take(folder.path()).unwrap_err();
        let RecordError::Busy { holder, .. } = &refused else { panic!("{refused}") };
        assert!(holder.starts_with(&format!("process {} (", process::id())), "{holder}");

        drop(locks);
        Locks::default().take(folder.path()).unwrap();
    }

    #[test]
    fn parts_of_our_files_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let ours = ["summary.json.aB3xYz.part", "checkpoint-0000000007.aB3xYz.part"];
        let others = ["thesis.aB3xYz.part", "checkpoint-7.aB3xYz.part", "summary.json.part"];
        ours.iter()
            .chain(&others)
            .for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        Locks::default().take(folder.path()).unwrap();
        assert!(ours.iter().all(|name| !folder.path().join(name).exists()));
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn a_holder_that_cannot_be_read_is_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        for text in [&b""[..], b"\xff\xfe", b"smidgen\n", b"99999999999\nx\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(holder(&path), "another process");
        }
        std::fs::write(&path, "12\nsmid\x1b[31mgen\n").unwrap();
        assert_eq!(holder(&path), r"process 12 (smid\u{1b}[31mgen)");
    }
}
