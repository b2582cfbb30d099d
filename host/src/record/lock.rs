//! Locks on the directories that a run writes to, so that two processes do not overwrite each other's files.

use super::error::{RecordError, write_error};
use super::names::{LOCK, is_ours, round_of};
use crate::units::files;
use crate::units::shown::{shown, typed};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{env, process};

/// Maximum length of another process's command line in a message, in characters.
const COMMAND_LEN_MAX: usize = 100;

/// Directories locked for this process until the value is dropped or the process ends.
#[derive(Debug, Default)]
pub struct Locks(Vec<(PathBuf, File)>);

impl Locks {
    /// Locks a directory, unless this value already has it.
    ///
    /// # Errors
    /// If another process has locked it, or it is not writable.
    pub fn take(&mut self, directory: &Path) -> Result<(), RecordError> {
        let failed = |error| write_error(directory)(error);
        // By its canonical path: a second lock of this process on the same file would fail.
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
            // Until it is locked, its contents name the holder.
            .truncate(false)
            .open(&path)
            .map_err(write_error(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            // Some network file systems have no locks. The run goes ahead there without one.
            Err(TryLockError::Error(error)) if lacks_locks(&error) => {}
            Err(TryLockError::Error(error)) => return Err(write_error(&path)(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(RecordError::Busy {
                    path: directory.into(),
                    holder: describe_holder(&path),
                });
            }
        }
        // Only for the message of a process that is refused. The lock does not depend on it.
        let _ = file.set_len(0).and_then(|()| file.write_all(signature().as_bytes()));
        remove_partial_files(&place)?;
        self.0.push((place, file));
        Ok(())
    }
}

/// Returns whether the error means that the file system has no locks, such as NFS without its lock service.
fn lacks_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
}

/// Removes partial files of a process that was killed.
fn remove_partial_files(directory: &Path) -> Result<(), RecordError> {
    for entry in fs::read_dir(directory).map_err(write_error(directory))? {
        let path = entry.map_err(write_error(directory))?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let whole = files::replaced_name(name);
        if whole.is_some_and(|whole| is_ours(whole) || round_of(whole).is_some()) {
            fs::remove_file(&path).map_err(write_error(&path))?;
        }
    }
    Ok(())
}

/// Returns the id and command line of this process, as the lock file contains them.
fn signature() -> String {
    let words: Vec<_> = env::args_os().map(|word| typed(&word)).collect();
    format!("{}\n{}\n", process::id(), words.join(" "))
}

/// Describes the process that has locked a file, by what it wrote to it.
fn describe_holder(path: &Path) -> String {
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
    fn second_lock_is_refused_and_names_the_holder() {
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
    fn only_partial_files_of_ours_are_removed() {
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
    fn unreadable_holder_is_called_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        for text in [&b""[..], b"\xff\xfe", b"smidgen\n", b"99999999999\nx\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(describe_holder(&path), "another process");
        }
        std::fs::write(&path, "12\nsmid\x1b[31mgen\n").unwrap();
        assert_eq!(describe_holder(&path), r"process 12 (smid\u{1b}[31mgen)");
    }
}
