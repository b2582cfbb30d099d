//! What a computer has for flashing boards: programs, and folders in which drives are mounted.

use crate::units::program;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders in which systems mount drives, each by its label; `*` stands for the name of a user.
const MOUNTS: [&str; 5] = ["/media/*", "/run/media/*", "/Volumes", "/media", "/mnt"];

/// What a computer has for flashing boards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Equipment {
    /// Folders in which programs are looked up.
    pub programs: Vec<PathBuf>,
    /// Folders in which drives are mounted, each by its label. A last part `*` stands for any folder.
    pub mounts: Vec<PathBuf>,
}

impl Equipment {
    /// That of this computer.
    pub fn here() -> Self {
        Self { programs: program::folders(), mounts: MOUNTS.map(PathBuf::from).into() }
    }

    /// Returns whether it has this program.
    pub fn has(&self, program: &str) -> bool {
        program::is_in(&self.programs, program.as_ref())
    }

    /// Finds the folder of a drive with this label.
    pub fn drive(&self, label: &str) -> Option<PathBuf> {
        let folders = |mount: &PathBuf| match mount.parent() {
            Some(parent) if mount.ends_with("*") => subfolders(parent),
            _ => vec![mount.clone()],
        };
        let drives = self.mounts.iter().flat_map(folders).map(|folder| folder.join(label));
        drives.into_iter().find(|drive| drive.is_dir())
    }
}

fn subfolders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_drive_is_found_by_its_label() {
        let root = tempfile::tempdir().unwrap();
        let media = root.path().join("media");
        let mounts = vec![media.join("*"), media.clone()];
        let here = Equipment { programs: vec![], mounts };
        assert_eq!(here.drive("MICROBIT"), None);
        let of_user = media.join("ada/MICROBIT");
        fs::create_dir_all(&of_user).unwrap();
        assert_eq!(here.drive("MICROBIT"), Some(of_user));
        let plain = media.join("RPI-RP2");
        fs::create_dir_all(&plain).unwrap();
        assert_eq!(here.drive("RPI-RP2"), Some(plain));
    }

    #[test]
    fn program_is_a_file_in_one_of_the_folders() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| root.path().join(name));
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let here = Equipment { programs: folders.to_vec(), mounts: vec![] };
        fs::create_dir(folders[0].join("probe-rs")).unwrap();
        assert!(!here.has("probe-rs"));
        fs::write(folders[1].join("probe-rs"), "").unwrap();
        assert!(here.has("probe-rs") && !here.has("espflash"));
    }
}
