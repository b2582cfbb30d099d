//! Writing images to boards: by the program of a debug probe, or by a copy to the drive that a board presents.

use crate::boards::board::{Board, Flash};
use crate::boards::image::{self, ImageError};
use crate::units::program::{self, ProgramError, is_in_path};
use crate::units::shown::{shown, typed};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use thiserror::Error;

/// The program for debug probes.
const PROBE: &str = "probe-rs";
/// The program for boards that are flashed over their serial port.
const ESPFLASH: &str = "espflash";
/// Folders in which systems mount drives, each by its label; `*` stands for the name of a user.
const MOUNTS: [&str; 5] = ["/media/*", "/run/media/*", "/Volumes", "/media", "/mnt"];

/// Reasons why an image is not written to a board.
#[derive(Debug, Error)]
pub enum FlashError {
    /// The board is not hardware.
    #[error("{0} exists in emulation only: run `smidgen emulate --board {0}`")]
    EmulatedOnly(&'static str),
    /// A program is missing.
    #[error(
        "this needs a debug probe at the {board}, and {PROBE} is not installed: `cargo install probe-rs-tools --locked` \
         installs it; then run this again"
    )]
    NoProbe {
        /// Name of the board.
        board: &'static str,
    },
    /// The program for the serial port is missing.
    #[error(
        "{board} is flashed over its serial port, and {ESPFLASH} is not installed: `cargo install espflash --locked` \
         installs it; then run this again"
    )]
    NoEspflash {
        /// Name of the board.
        board: &'static str,
    },
    /// Neither a drive nor a program is there.
    #[error(
        "the drive {label} of the {board} is not mounted: {connect}, open its drive once, or give its folder as \
         `--drive`; without a drive, install {PROBE} (`cargo install probe-rs-tools --locked`)"
    )]
    NoDrive {
        /// Label of the drive.
        label: &'static str,
        /// Name of the board.
        board: &'static str,
        /// How the drive appears.
        connect: String,
    },
    /// The board presents no drive.
    #[error("{0} has no drive: leave `--drive` out, and a program flashes it")]
    HasNoDrive(&'static str),
    /// Its image needs a boot loader, which the program for probes does not write.
    #[error("{0} has no log over a debug probe: leave `--log` out")]
    NoLog(&'static str),
    /// The folder of the drive is none.
    #[error("{} is not a folder: give the one in which the drive of the board is mounted", shown(.0))]
    NotAFolder(PathBuf),
    /// The file cannot be copied.
    #[error("{} cannot be written ({source}): connect the board again", shown(path))]
    Copy {
        /// The file on the drive.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The image cannot be converted.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The program cannot be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The program has failed.
    #[error("`{command}` ended with {status}; what it wrote says why")]
    Failed {
        /// The command.
        command: String,
        /// Its exit status.
        status: ExitStatus,
    },
}

/// The route of images to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A debug probe, with its program's name of the chip.
    Probe(&'static str),
    /// The drive in this folder, which takes files of this format.
    Drive(PathBuf, Format),
    /// The serial port, with espflash's name of the chip.
    Espflash(&'static str),
}

/// The format of files that a drive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Intel HEX.
    Hex,
    /// UF2 for this family of chips.
    Uf2(u32),
}

impl Route {
    /// Finds the route to a board, perhaps by the drive in a given folder.
    pub fn find(board: &Board, drive: Option<&Path>) -> Result<Self, FlashError> {
        match (&board.flash, drive) {
            (Flash::Unsupported, _) => Err(FlashError::EmulatedOnly(board.name)),
            (Flash::Probe(_) | Flash::Espflash(_), Some(_)) => {
                Err(FlashError::HasNoDrive(board.name))
            }
            (Flash::Probe(_), None) => Self::probe(board),
            (Flash::Espflash(chip), None) if is_in_path(OsStr::new(ESPFLASH)) => {
                Ok(Self::Espflash(chip))
            }
            (Flash::Espflash(_), None) => Err(FlashError::NoEspflash { board: board.name }),
            (Flash::Drive { label, chip }, drive) => {
                let connect = "connect the board by USB";
                Self::by_drive(board, (label, Format::Hex, connect), chip, drive)
            }
            (Flash::Uf2 { label, button, chip, family }, drive) => {
                let connect =
                    format!("connect the board by USB while you hold its button {button}");
                Self::by_drive(board, (label, Format::Uf2(*family), &connect), chip, drive)
            }
        }
    }

    /// The route by a drive: the given one, or that of this label; or else by a probe.
    fn by_drive(
        board: &Board,
        (label, format, connect): (&'static str, Format, &str),
        chip: &'static str,
        drive: Option<&Path>,
    ) -> Result<Self, FlashError> {
        if let Some(drive) = drive {
            return match drive.is_dir() {
                true => Ok(Self::Drive(drive.into(), format)),
                false => Err(FlashError::NotAFolder(drive.into())),
            };
        }
        match mounted(label, &MOUNTS) {
            Some(drive) => Ok(Self::Drive(drive, format)),
            None if is_in_path(OsStr::new(PROBE)) => Ok(Self::Probe(chip)),
            None => Err(FlashError::NoDrive { label, board: board.name, connect: connect.into() }),
        }
    }

    /// Finds the route to a board by a debug probe.
    pub fn probe(board: &Board) -> Result<Self, FlashError> {
        match &board.flash {
            Flash::Unsupported => Err(FlashError::EmulatedOnly(board.name)),
            Flash::Espflash(_) => Err(FlashError::NoLog(board.name)),
            Flash::Probe(chip) | Flash::Drive { chip, .. } | Flash::Uf2 { chip, .. } => {
                match is_in_path(OsStr::new(PROBE)) {
                    true => Ok(Self::Probe(chip)),
                    false => Err(FlashError::NoProbe { board: board.name }),
                }
            }
        }
    }

    /// Returns how `image` takes this route and its log comes back, if the route is a probe.
    pub fn way_with_log(&self, image: &Path) -> Result<Way, FlashError> {
        let Self::Probe(chip) = self else { return self.way(image) };
        let mut run = Command::new(PROBE);
        run.args(["run", "--chip", chip]).arg(image);
        Ok(Way::Commands(vec![run]))
    }

    /// Returns how `image`, an ELF file, takes this route.
    pub fn way(&self, image: &Path) -> Result<Way, FlashError> {
        match self {
            Self::Probe(chip) => Ok(probe(chip, image)),
            Self::Drive(drive, format) => copy(image, drive, *format),
            Self::Espflash(chip) => Ok(espflash(chip, image)),
        }
    }
}

/// How an image gets to a board.
#[derive(Debug)]
pub enum Way {
    /// Commands, one after the other.
    Commands(Vec<Command>),
    /// A copy of a file to a drive.
    Copy {
        /// The file.
        from: PathBuf,
        /// The file on the drive.
        to: PathBuf,
    },
}

impl Way {
    /// Says in words what [`Way::go`] does.
    pub fn describe(&self) -> String {
        match self {
            Self::Commands(commands) => {
                let commands: Vec<_> =
                    commands.iter().map(|it| format!("`{}`", line(it))).collect();
                format!("running {}", commands.join(", then "))
            }
            Self::Copy { from, to } => format!("copying {} to {}", typed(from), typed(to)),
        }
    }

    /// Writes the image. Programs write to the terminal of this one.
    pub fn go(self) -> Result<(), FlashError> {
        match self {
            Self::Commands(commands) => commands.into_iter().try_for_each(|mut command| {
                let status = program::attend(&mut command)?;
                let command = line(&command);
                if status.success() { Ok(()) } else { Err(FlashError::Failed { command, status }) }
            }),
            Self::Copy { from, to } => {
                // The board restarts once it has the file, so the file must leave the cache of the system.
                let copied = fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all());
                match copied {
                    // The drive vanishes once the board has the file, perhaps before the system says that it is written.
                    Err(_) if !to.parent().is_some_and(Path::is_dir) => Ok(()),
                    copied => copied.map_err(|source| FlashError::Copy { path: to, source }),
                }
            }
        }
    }
}

/// Writes the image and starts it; `probe-rs run` stays to show a log.
fn probe(chip: &str, image: &Path) -> Way {
    let mut download = Command::new(PROBE);
    download.args(["download", "--chip", chip]).arg(image);
    let mut reset = Command::new(PROBE);
    reset.args(["reset", "--chip", chip]);
    Way::Commands(vec![download, reset])
}

/// Writes the image, with the boot loader and the table of partitions that espflash has, and starts it.
fn espflash(chip: &str, image: &Path) -> Way {
    let mut command = Command::new(ESPFLASH);
    command.args(["flash", "--chip", chip]).arg(image);
    Way::Commands(vec![command])
}

fn copy(image: &Path, drive: &Path, format: Format) -> Result<Way, FlashError> {
    let from = match format {
        Format::Hex => image::hex(image)?,
        Format::Uf2(family) => image::uf2(image, family)?,
    };
    let name = from.file_name().unwrap_or(OsStr::new("image"));
    Ok(Way::Copy { to: drive.join(name), from })
}

/// Finds the folder of a drive with this label.
fn mounted(label: &str, mounts: &[&str]) -> Option<PathBuf> {
    let folders = |mount: &&str| match mount.strip_suffix("/*") {
        None => vec![PathBuf::from(mount)],
        Some(parent) => {
            let entries = fs::read_dir(parent).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        }
    };
    let drives = mounts.iter().flat_map(folders).map(|folder| folder.join(label));
    drives.into_iter().find(|drive| drive.is_dir())
}

/// A command as it is typed.
fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| typed(word).to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::board::BOARDS;

    #[test]
    fn mounted_drive_is_found_by_its_label() {
        let root = tempfile::tempdir().unwrap();
        let media = root.path().join("media");
        let (every_user, one) = (format!("{}/*", media.display()), media.display().to_string());
        let mounts = [every_user.as_str(), one.as_str()];
        assert_eq!(mounted("MICROBIT", &mounts), None);
        let of_user = media.join("ada/MICROBIT");
        fs::create_dir_all(&of_user).unwrap();
        assert_eq!(mounted("MICROBIT", &mounts), Some(of_user));
        let plain = media.join("RPI-RP2");
        fs::create_dir_all(&plain).unwrap();
        assert_eq!(mounted("RPI-RP2", &mounts), Some(plain));
    }

    #[test]
    fn probe_writes_the_image_and_starts_it() {
        let Way::Commands(commands) = probe("STM32F405RGTx", Path::new("an image")) else {
            panic!("it is not a copy")
        };
        let lines: Vec<_> = commands.iter().map(line).collect();
        let download = "probe-rs download --chip STM32F405RGTx 'an image'";
        assert_eq!(lines, [download, "probe-rs reset --chip STM32F405RGTx"]);
    }

    #[test]
    fn espflash_writes_the_image() {
        let way = espflash("esp32c3", Path::new("an image"));
        assert_eq!(way.describe(), "running `espflash flash --chip esp32c3 'an image'`");
    }

    #[test]
    fn every_board_has_a_route_or_a_reason() {
        for board in BOARDS {
            match (&board.flash, Route::find(board, None)) {
                (Flash::Unsupported, found) => {
                    let reason = found.unwrap_err().to_string();
                    assert!(reason.contains("exists in emulation only"), "{reason}");
                }
                // The rest depends on what is installed and connected here.
                (Flash::Probe(chip), found) => {
                    assert!(found.is_err() || found.unwrap() == Route::Probe(chip));
                }
                (Flash::Espflash(chip), found) => {
                    assert!(found.is_err() || found.unwrap() == Route::Espflash(chip));
                }
                (Flash::Drive { label, .. } | Flash::Uf2 { label, .. }, Err(error)) => {
                    assert!(error.to_string().contains(label), "{error}");
                }
                (Flash::Drive { .. } | Flash::Uf2 { .. }, Ok(_)) => {}
            }
        }
    }

    #[test]
    fn folder_of_a_drive_must_fit_the_board() {
        let missing = Path::new("/no/such/drive");
        let of = |name| Route::find(Board::find(name).unwrap(), Some(missing)).unwrap_err();
        assert!(of("microbit").to_string().starts_with("/no/such/drive is not a folder: "));
        assert!(of("stm32f405").to_string().starts_with("stm32f405 has no drive: "));
    }
}
