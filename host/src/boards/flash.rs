//! Writing images to boards: by the program of a debug probe or another one, or by a copy to the drive that a board
//! presents.

use crate::boards::board::{Board, Flash, FlashProgram};
use crate::boards::equipment::Equipment;
use crate::boards::image::{self, ImageError};
use crate::units::program::{self, ProgramError};
use crate::units::shown::{shown, typed};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use thiserror::Error;

/// The program for debug probes.
const PROBE: &str = "probe-rs";
/// The program for boards that are flashed over their serial port.
const ESPFLASH: &str = "espflash";
/// Makes a file of some format from an image.
type Conversion = fn(&Path) -> Result<PathBuf, ImageError>;

/// What stands for the path of the image in the arguments of a program.
const PLACES: [(&str, Conversion); 3] =
    [("{elf}", |image| Ok(image.into())), ("{hex}", image::hex), ("{bin}", image::bin)];

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
    /// The program of this board is missing.
    #[error(
        "{board} is flashed by {}, which is not installed: `{}` installs it; then run this again",
        program.name,
        shown(program.install)
    )]
    NoProgram {
        /// Name of the board.
        board: &'static str,
        /// The program.
        program: FlashProgram,
    },
    /// No argument of the program of this board is the image.
    #[error(
        "no argument of {} for {board} is the image: write {{elf}}, {{hex}} or {{bin}} in its row of \
         host/src/boards/board.rs",
        program.name
    )]
    NoPlace {
        /// Name of the board.
        board: &'static str,
        /// The program.
        program: FlashProgram,
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
    /// No debug probe flashes the board.
    #[error("{0} is not flashed by a debug probe: leave `--probe` out")]
    NotByProbe(&'static str),
    /// The board is not flashed over a serial port.
    #[error("{0} is not flashed over a serial port by {ESPFLASH}: leave `--port` out")]
    NotByPort(&'static str),
    /// Its program shows no log, or its image needs a boot loader, which the program for probes does not write.
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

/// What a user asks of the route; nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// The folder of the drive that the board presents.
    pub drive: Option<&'a Path>,
    /// The debug probe, as probe-rs selects one.
    pub probe: Option<&'a str>,
    /// The serial port.
    pub port: Option<&'a str>,
    /// A log, which comes over a debug probe.
    pub log: bool,
}

/// The route of images to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A debug probe.
    Probe {
        /// Its program's name of the chip.
        chip: &'static str,
        /// Which probe, if there are several.
        probe: Option<String>,
        /// The log comes back.
        log: bool,
    },
    /// The drive in this folder, which takes files of this format.
    Drive(PathBuf, Format),
    /// The serial port.
    Espflash {
        /// espflash's name of the chip.
        chip: &'static str,
        /// Which port, if there are several.
        port: Option<String>,
    },
    /// Another program.
    Program(FlashProgram),
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
    /// Finds the route to a board with what a computer has.
    ///
    /// # Errors
    /// If a wish does not fit the board, or something is missing.
    pub fn find(board: &Board, wishes: &Wishes, here: &Equipment) -> Result<Self, FlashError> {
        wishes.check(board)?;
        let Wishes { drive, probe, port, log } = *wishes;
        match &board.flash {
            Flash::Unsupported => Err(FlashError::EmulatedOnly(board.name)),
            Flash::Probe(chip) => Self::probe(board, chip, wishes, here),
            Flash::Drive { chip, .. } | Flash::Uf2 { chip, .. } if log || probe.is_some() => {
                Self::probe(board, chip, wishes, here)
            }
            Flash::Drive { label, chip } => {
                let connect = "connect the board by USB";
                Self::by_drive(board, (label, Format::Hex, connect), chip, drive, here)
            }
            Flash::Uf2 { label, button, chip, family } => {
                let connect =
                    format!("connect the board by USB while you hold its button {button}");
                Self::by_drive(board, (label, Format::Uf2(*family), &connect), chip, drive, here)
            }
            Flash::Espflash(chip) if here.has(ESPFLASH) => {
                Ok(Self::Espflash { chip, port: port.map(str::to_owned) })
            }
            Flash::Espflash(_) => Err(FlashError::NoEspflash { board: board.name }),
            Flash::Program(program) => by_program(board, *program, here),
        }
    }

    /// The route by a drive: the given one, or that of this label; or else by a probe.
    fn by_drive(
        board: &Board,
        (label, format, connect): (&'static str, Format, &str),
        chip: &'static str,
        drive: Option<&Path>,
        here: &Equipment,
    ) -> Result<Self, FlashError> {
        if let Some(drive) = drive {
            return match drive.is_dir() {
                true => Ok(Self::Drive(drive.into(), format)),
                false => Err(FlashError::NotAFolder(drive.into())),
            };
        }
        match here.drive(label) {
            Some(drive) => Ok(Self::Drive(drive, format)),
            None if here.has(PROBE) => Ok(Self::Probe { chip, probe: None, log: false }),
            None => Err(FlashError::NoDrive { label, board: board.name, connect: connect.into() }),
        }
    }

    fn probe(
        board: &Board,
        chip: &'static str,
        wishes: &Wishes,
        here: &Equipment,
    ) -> Result<Self, FlashError> {
        let probe = wishes.probe.map(str::to_owned);
        match here.has(PROBE) {
            true => Ok(Self::Probe { chip, probe, log: wishes.log }),
            false => Err(FlashError::NoProbe { board: board.name }),
        }
    }

    /// Returns how `image`, an ELF file, takes this route.
    pub fn way(&self, image: &Path) -> Result<Way, FlashError> {
        match self {
            Self::Probe { chip, probe, log } => {
                Ok(Way::Commands(probe_commands(chip, probe.as_deref(), *log, image)))
            }
            Self::Drive(drive, format) => copy(image, drive, *format),
            Self::Espflash { chip, port } => Ok(espflash(chip, port.as_deref(), image)),
            Self::Program(program) => run(*program, image),
        }
    }
}

impl Wishes<'_> {
    /// Refuses what the way of this board does not use.
    fn check(&self, board: &Board) -> Result<(), FlashError> {
        let (drive, probe, port) = match board.flash {
            Flash::Unsupported => return Err(FlashError::EmulatedOnly(board.name)),
            Flash::Probe(_) => (false, true, false),
            Flash::Drive { .. } | Flash::Uf2 { .. } => (true, true, false),
            Flash::Espflash(_) => (false, false, true),
            Flash::Program(_) => (false, false, false),
        };
        let refusals = [
            (self.drive.is_some() && !drive, FlashError::HasNoDrive(board.name)),
            (self.log && !probe, FlashError::NoLog(board.name)),
            (self.probe.is_some() && !probe, FlashError::NotByProbe(board.name)),
            (self.port.is_some() && !port, FlashError::NotByPort(board.name)),
        ];
        let mut refusals = refusals.into_iter().filter(|(is_refused, _)| *is_refused);
        refusals.next().map_or(Ok(()), |(_, refusal)| Err(refusal))
    }
}

/// The route by another program.
fn by_program(board: &Board, program: FlashProgram, here: &Equipment) -> Result<Route, FlashError> {
    let board = board.name;
    let has_place = |text: &&str| PLACES.iter().any(|(place, _)| text.contains(place));
    if !program.arguments.iter().any(has_place) {
        return Err(FlashError::NoPlace { board, program });
    }
    match here.has(program.name) {
        true => Ok(Route::Program(program)),
        false => Err(FlashError::NoProgram { board, program }),
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
fn probe_commands(chip: &str, probe: Option<&str>, log: bool, image: &Path) -> Vec<Command> {
    let command = |task: &str, image: Option<&Path>| {
        let mut command = Command::new(PROBE);
        command.args([task, "--chip", chip]);
        command.args(probe.into_iter().flat_map(|probe| ["--probe", probe])).args(image);
        command
    };
    match log {
        true => vec![command("run", Some(image))],
        false => vec![command("download", Some(image)), command("reset", None)],
    }
}

/// Writes the image, with the boot loader and the table of partitions that espflash has, and starts it.
fn espflash(chip: &str, port: Option<&str>, image: &Path) -> Way {
    let mut command = Command::new(ESPFLASH);
    command.args(["flash", "--chip", chip]);
    command.args(port.into_iter().flat_map(|port| ["--port", port])).arg(image);
    Way::Commands(vec![command])
}

/// Runs a program with the image, in the formats that its arguments name.
fn run(program: FlashProgram, image: &Path) -> Result<Way, FlashError> {
    let mut command = Command::new(program.name);
    for argument in program.arguments {
        command.arg(filled(argument, image)?);
    }
    Ok(Way::Commands(vec![command]))
}

/// Returns an argument with the path of the image at each of its places.
fn filled(argument: &str, image: &Path) -> Result<OsString, FlashError> {
    let (mut rest, mut filled) = (argument, OsString::new());
    let found = |rest: &str| {
        let places = PLACES.iter().filter_map(|(place, convert)| {
            rest.find(place).map(|at| (at, at + place.len(), convert))
        });
        places.min_by_key(|&(at, ..)| at)
    };
    while let Some((start, end, convert)) = found(rest) {
        filled.push(&rest[..start]);
        filled.push(convert(image)?);
        rest = &rest[end..];
    }
    filled.push(rest);
    Ok(filled)
}

fn copy(image: &Path, drive: &Path, format: Format) -> Result<Way, FlashError> {
    let from = match format {
        Format::Hex => image::hex(image)?,
        Format::Uf2(family) => image::uf2(image, family)?,
    };
    let name = from.file_name().unwrap_or(OsStr::new("image"));
    Ok(Way::Copy { to: drive.join(name), from })
}

/// A command as it is typed.
fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| typed(word).to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
