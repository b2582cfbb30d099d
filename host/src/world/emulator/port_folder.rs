//! A directory with a link to the socket of each emulated board, named by its number: `smidgen-boards/1`, …

use crate::units::shown::shown;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Maximum length of the path of a link, which is given to the system as the path of a socket.
const PATH_LEN_MAX: usize = 100;

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PortFolderError {
    /// A path in it would be too long for a socket.
    #[error(
        "the path {} has more than {PATH_LEN_MAX} bytes, too many for a socket; choose a shorter --dir, such as a \
         relative one",
        shown(.0)
    )]
    Long(PathBuf),
    /// Another process has boards there.
    #[error("{} has the ports of boards that are running; end them, or choose another --dir", shown(.0))]
    InUse(PathBuf),
    /// It has other files, which `DIR/*` would take for ports.
    #[error("{} is no port of a board; choose another --dir, for ports alone", shown(.0))]
    Foreign(PathBuf),
    /// Any other error.
    #[error("cannot create ports in {} ({source}); choose another --dir", shown(path))]
    Io {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The directory, from which the links are removed when this value is dropped.
#[derive(Debug)]
pub struct PortFolder {
    path: PathBuf,
    ports: Vec<PathBuf>,
}

impl PortFolder {
    /// Creates the directory, or empties it of links to boards that have ended.
    ///
    /// # Errors
    /// If it has anything else, or cannot be created.
    pub fn create(path: &Path) -> Result<Self, PortFolderError> {
        let folder = Self { path: path.into(), ports: vec![] };
        let io = |source| PortFolderError::Io { path: path.into(), source };
        fs::create_dir_all(path).map_err(io)?;
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            // Shells leave out hidden files from `DIR/*`.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let is_number = name.to_str().is_some_and(|name| name.parse::<usize>().is_ok());
            if !is_number || !entry.file_type().map_err(io)?.is_symlink() {
                return Err(PortFolderError::Foreign(entry.path()));
            }
            if entry.path().exists() {
                return Err(PortFolderError::InUse(path.into()));
            }
            fs::remove_file(entry.path()).map_err(io)?;
        }
        Ok(folder)
    }

    /// Adds the port of the next board, which leads to its socket.
    ///
    /// # Errors
    /// If the path of the port is too long, or the link cannot be created.
    pub fn add(&mut self, socket: &Path) -> Result<(), PortFolderError> {
        let port = self.path.join((self.ports.len() + 1).to_string());
        if port.as_os_str().len() > PATH_LEN_MAX {
            return Err(PortFolderError::Long(port));
        }
        let linked = symlink(socket, &port);
        linked.map_err(|source| PortFolderError::Io { path: self.path.clone(), source })?;
        self.ports.push(port);
        Ok(())
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PortFolder {
    fn drop(&mut self) {
        // What cannot be removed is replaced by the next boards there.
        for port in &self.ports {
            let _ = fs::remove_file(port);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_ended_boards_are_replaced_and_others_refused() {
        let parent = tempfile::tempdir().unwrap();
        let (path, socket) = (parent.path().join("boards"), parent.path().join("line"));
        fs::write(&socket, "").unwrap();
        let mut folder = PortFolder::create(&path).unwrap();
        folder.add(&socket).unwrap();
        assert_eq!(fs::read_link(path.join("1")).unwrap(), socket);
        let refused = PortFolder::create(&path).unwrap_err();
        assert!(matches!(refused, PortFolderError::InUse(_)), "{refused}");
        fs::remove_file(&socket).unwrap();
        let mut next = PortFolder::create(&path).unwrap();
        next.add(&socket).unwrap();
        drop(next);
        assert!(!path.exists(), "it is removed with its links");

        fs::create_dir(&path).unwrap();
        fs::write(path.join("notes"), "").unwrap();
        let refused = PortFolder::create(&path).unwrap_err();
        assert!(matches!(refused, PortFolderError::Foreign(_)), "{refused}");
        let mut long = PortFolder { path: "d".repeat(99).into(), ports: vec![] };
        assert!(matches!(long.add(&socket), Err(PortFolderError::Long(_))));
    }
}
