//! Files as a run needs them: read only if they are plain, and replaced whole.

use crate::units::interrupt::Writing;
use crate::units::shown::shown;
use rustix::fs::OFlags;
use std::fs::{self, File, FileType, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tempfile::NamedTempFile;

/// The end of the name of a file that is being written.
const PART: &str = ".part";

/// Opens a plain file for reading.
///
/// # Errors
/// If it cannot be opened, or is something else: a pipe would block, a device might never end.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    // Opening a pipe waits for its writer, and only an open file can be asked for its kind without a race.
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    // A socket cannot be opened at all, and the system's word for that is no help.
    let file = options.open(path).map_err(|error| what_else(path).unwrap_or(error))?;
    match other_kind(file.metadata()?.file_type()) {
        Some(error) => Err(error),
        None => Ok(file),
    }
}

/// Reads a plain file.
///
/// # Errors
/// As [`open`], and if it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A path leads to something else than a plain file.
#[derive(Debug, thiserror::Error)]
#[error("{0} and no plain file")]
struct NotPlain(&'static str);

/// Whether a file was not read since it is no plain one.
pub fn is_not_plain(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<NotPlain>())
}

/// What a path leads to, if that is there and no plain file. Nothing is opened: that might wait, or disturb a writer.
pub fn what_else(path: &Path) -> Option<io::Error> {
    other_kind(fs::metadata(path).ok()?.file_type())
}

/// Describes a file that is not regular.
fn other_kind(kind: FileType) -> Option<io::Error> {
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
    Some(io::Error::other(NotPlain(what)))
}

/// The file for which one with this name stood in while it was written; none if it is no such name.
pub fn whole_name(part: &str) -> Option<&str> {
    let (whole, random) = part.strip_suffix(PART)?.rsplit_once('.')?;
    random.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(whole)
}

/// Replaces `file` at once and for good: a reader sees the old bytes or the new ones, never half of them, also after a loss
/// of power. Nothing is left of what could not be written; a process that is killed may leave a file `NAME.RANDOM.part`.
///
/// # Errors
/// If it cannot be written: then what was there is there still.
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
    // As any new file: the umask takes its share.
    builder.permissions(Permissions::from_mode(0o666));
    let mut part: NamedTempFile = builder.tempfile_in(directory)?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    part.persist(file)?;
    sync_directory(directory)
}

/// Sees to it that the names in a directory outlive a loss of power.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory, and those above it.
///
/// # Errors
/// If it cannot be made; a link that leads nowhere, there or above, is named.
pub fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| {
        let is_broken = |path: &&Path| path.is_symlink() && fs::metadata(path).is_err();
        match path.ancestors().find(is_broken) {
            Some(link) => {
                let reason = fs::metadata(link).err().unwrap_or(error);
                io::Error::other(format!(
                    "{} is a link that leads nowhere ({reason}); remove it, or name another directory",
                    shown(link)
                ))
            }
            None => error,
        }
    })
}

/// What to do about a file that cannot be written; nothing where the error says it.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room there, or name another place"
        }
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (ulimit -f)",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name a place where you may write"
        }
        io::ErrorKind::Other => "",
        // The system knows more kinds than there is advice for.
        _ => "; is there room, and may you write there?",
    }
}

/// Makes a named pipe.
#[cfg(test)]
pub(crate) fn make_pipe(path: &Path) {
    // By the program: macOS has no such call in rustix.
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_replaced_file_is_whole_and_has_the_umasks_permissions() {
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
    fn a_part_names_its_whole() {
        let folder = tempfile::tempdir().unwrap();
        let part = tempfile::Builder::new().prefix("a.json.").suffix(PART).tempfile_in(&folder);
        let part = part.unwrap().path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(whole_name(&part), Some("a.json"));
        for other in ["a.json", "a.part", "a.json.x-y.part", ".part"] {
            assert_eq!(whole_name(other), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("file")).unwrap();
        replace(&folder.path().join("file"), b"new").unwrap_err();
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_is_no_plain_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        make_pipe(&at("pipe"));
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for (path, what) in [
            (at("pipe"), "it is a named pipe and no plain file"),
            (at("socket"), "it is a socket and no plain file"),
            (at("folder"), "it is a directory and no plain file"),
            ("/dev/zero".into(), "it is a device and no plain file"),
        ] {
            assert_eq!(open(&path).unwrap_err().to_string(), what);
        }
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_wherever_it_is_in_a_path() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let (dangling, looping) = (folder.path().join("dangling"), folder.path().join("looping"));
        symlink("nowhere", &dangling).unwrap();
        symlink("looping", &looping).unwrap();
        for link in [dangling, looping] {
            for path in [link.clone(), link.join("run"), link.join("a/b")] {
                let said = make_directory(&path).unwrap_err().to_string();
                let expected = format!("{} is a link that leads nowhere", shown(&link));
                assert!(said.starts_with(&expected), "{said}");
            }
        }
    }
}
