//! Files: reading regular files only, and replacing files atomically.

use crate::units::interrupt::Writing;
use crate::units::shown::shown;
use rustix::fs::OFlags;
use std::fs::{self, File, FileType, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tempfile::NamedTempFile;

/// File name suffix of a partial file.
const PART: &str = ".part";

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened or is not a regular file: a pipe would block, and a device might never end.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    // Without this, opening a pipe would wait for a writer. The kind is checked on the open file to avoid a race.
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    // A socket cannot be opened, and the system's error for that is hard to understand.
    let file = options.open(path).map_err(|error| not_regular(path).unwrap_or(error))?;
    match describe_kind(file.metadata()?.file_type()) {
        Some(error) => Err(error),
        None => Ok(file),
    }
}

/// Reads a regular file.
///
/// # Errors
/// As [`open`], and if it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns whether two paths lead to the same existing file, also by links.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// A path does not lead to a regular file.
#[derive(Debug, thiserror::Error)]
#[error("{0}, not a regular file")]
struct NotRegular(&'static str);

/// Returns whether the error is that a file is not a regular one.
pub fn is_not_regular(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<NotRegular>())
}

/// Returns an error that describes what a path leads to, if it exists and is not a regular file. Does not open it,
/// which might block or disturb a writer.
pub fn not_regular(path: &Path) -> Option<io::Error> {
    describe_kind(fs::metadata(path).ok()?.file_type())
}

/// Returns an error that describes a file that is not regular.
fn describe_kind(kind: FileType) -> Option<io::Error> {
    if kind.is_file() {
        return None;
    }
    let what = if kind.is_dir() {
        "it is a directory"
    } else if kind.is_fifo() {
        "it is a named pipe"
    } else if kind.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    };
    Some(io::Error::other(NotRegular(what)))
}

/// Returns the name of the file that a partial file was to replace, or `None` if the name is not that of a partial
/// file.
pub fn replaced_name(part: &str) -> Option<&str> {
    let (whole, random) = part.strip_suffix(PART)?.rsplit_once('.')?;
    random.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(whole)
}

/// Replaces `file` atomically and durably: a reader sees the old bytes or the new ones, also after a power failure.
///
/// A process that is killed meanwhile may leave a file `NAME.RANDOM.part`.
///
/// # Errors
/// If it cannot be written; the old file stays then.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let _writing = Writing::begin();
    let mut prefix = file.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PART);
    // tempfile creates files with mode 0600; these get the mode of ordinary files, subject to the umask.
    builder.permissions(Permissions::from_mode(0o666));
    let mut part: NamedTempFile = builder.tempfile_in(directory)?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    part.persist(file)?;
    sync_directory(directory)
}

/// Syncs the entries of a directory to disk, so that they survive a power failure.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Creates a directory and its parents.
///
/// # Errors
/// If it cannot be created; a broken symbolic link in the path is named.
pub fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| {
        let is_broken = |path: &&Path| path.is_symlink() && fs::metadata(path).is_err();
        match path.ancestors().find(is_broken) {
            Some(link) => {
                let reason = fs::metadata(link).err().unwrap_or(error);
                io::Error::other(format!(
                    "{} is a broken symbolic link ({reason}); remove it, or name another directory",
                    shown(link)
                ))
            }
            None => error,
        }
    })
}

/// Returns what to do about a file that cannot be written, or nothing if the error says it.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or name another place"
        }
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (ulimit -f)",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name a place where you have write permission"
        }
        io::ErrorKind::Other => "",
        // `ErrorKind` is non-exhaustive.
        _ => "; check the free space and your permissions there",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Makes a named pipe.
    pub(crate) fn make_pipe(path: &Path) {
        // By the program: macOS has no such call in rustix.
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaced_file_has_the_permissions_of_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        replace(&file, b"old").unwrap();
        replace(&file, b"new").unwrap();
        fs::write(&other, "").unwrap();
        assert_eq!(read(&file).unwrap(), b"new");
        let permissions = |path| fs::metadata(path).unwrap().permissions();
        assert_eq!(permissions(&file), permissions(&other));
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn partial_file_names_the_file_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let part = tempfile::Builder::new().prefix("a.json.").suffix(PART).tempfile_in(&folder);
        let part = part.unwrap().path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(replaced_name(&part), Some("a.json"));
        for other in ["a.json", "a.part", "a.json.x-y.part", ".part"] {
            assert_eq!(replaced_name(other), None, "{other}");
        }
    }

    #[test]
    fn failed_replacement_leaves_no_partial_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("file")).unwrap();
        replace(&folder.path().join("file"), b"new").unwrap_err();
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn file_that_is_not_regular_is_refused_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        make_pipe(&at("pipe"));
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for (path, what) in [
            (at("pipe"), "it is a named pipe, not a regular file"),
            (at("socket"), "it is a socket, not a regular file"),
            (at("folder"), "it is a directory, not a regular file"),
            ("/dev/zero".into(), "it is a device, not a regular file"),
        ] {
            assert_eq!(open(&path).unwrap_err().to_string(), what);
        }
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn broken_symbolic_link_anywhere_in_a_path_is_named() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let (dangling, looping) = (folder.path().join("dangling"), folder.path().join("looping"));
        symlink("nowhere", &dangling).unwrap();
        symlink("looping", &looping).unwrap();
        for link in [dangling, looping] {
            for path in [link.clone(), link.join("run"), link.join("a/b")] {
                let said = make_directory(&path).unwrap_err().to_string();
                let expected = format!("{} is a broken symbolic link", shown(&link));
                assert!(said.starts_with(&expected), "{said}");
            }
        }
    }
}
