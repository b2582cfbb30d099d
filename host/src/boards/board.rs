//! The supported boards.

use crate::units::shown::typed;
use smidgen_firmware::identity;
use smidgen_protocol::recipe::Recipe;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// A kind of board.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name on the command line and in the identity of its workers.
    pub name: &'static str,
    /// Its processor core.
    pub core: &'static str,
    /// RAM in bytes for a worker's state and data, next to stack, queue and statics. A lower bound.
    pub memory_len: usize,
    /// Memory of its recorder.
    pub recorder: RecorderMemory,
    /// Package in `firmware/boards`.
    pub package: &'static str,
    /// Target triple of its image.
    pub target: &'static str,
    /// Name of its QEMU machine, if it has one.
    pub machine: Option<&'static str>,
    /// QEMU gives it a second serial line, for the samples of a sensor.
    pub has_sensor_line: bool,
    /// Bytes of the memory that QEMU can keep in a file, so that its content survives a power cut; 0 without one.
    pub kept_memory_len: u32,
    /// Address at which an emulator writes the board's identity: the last 32 bytes of its RAM.
    pub identity_address: u32,
    /// How an image is written to it.
    pub flash: Flash,
}

/// Memory of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderMemory {
    /// Bytes for rows, with what is noted of them.
    pub rows_len: usize,
    /// Bytes of which each row takes a whole number.
    pub row_unit: usize,
    /// Values in the longest window.
    pub window_len: usize,
}

impl RecorderMemory {
    /// Bytes besides rows and their entries: header, classes, discards.
    const OVERHEAD: usize = 256;
    /// Bytes of the entry of a row.
    const ENTRY_LEN: usize = 8;

    /// In flash.
    const fn flash(rows_len: usize, window_len: usize) -> Self {
        Self { rows_len, row_unit: 4, window_len }
    }

    /// In RAM.
    const fn ram(rows_len: usize, window_len: usize) -> Self {
        Self { rows_len, row_unit: 2, window_len }
    }

    /// Returns whether it holds this many rows of a recipe, and its windows.
    pub fn holds(&self, recipe: &Recipe, rows: usize) -> bool {
        let row_len = (2 * recipe.row_len()).next_multiple_of(self.row_unit) + Self::ENTRY_LEN;
        rows * row_len + Self::OVERHEAD <= self.rows_len && recipe.window_len() <= self.window_len
    }
}

/// How an image is written to a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flash {
    /// By probe-rs, with this name of the chip.
    Probe(&'static str),
    /// By copying an Intel HEX file to the drive that the board presents, or by probe-rs.
    Drive {
        /// Label of the drive.
        label: &'static str,
        /// probe-rs's name of the chip.
        chip: &'static str,
    },
    /// Not at all: the board is only emulated.
    Unsupported,
}

/// All boards.
pub static BOARDS: &[Board] = &[
    Board {
        name: "microbit",
        core: "Cortex-M0",
        memory_len: 9_600,
        recorder: RecorderMemory::flash(24 << 10, 300),
        package: "microbit",
        target: "thumbv6m-none-eabi",
        machine: Some("microbit"),
        has_sensor_line: false,
        kept_memory_len: 0,
        identity_address: 0x2000_3FE0,
        flash: Flash::Drive { label: "MICROBIT", chip: "nRF51822_xxAA" },
    },
    Board {
        name: "stm32f405",
        core: "Cortex-M4F",
        memory_len: 82_304,
        recorder: RecorderMemory::ram(32 << 10, 2048),
        package: "stm32f405",
        target: "thumbv7em-none-eabihf",
        machine: Some("netduinoplus2"),
        has_sensor_line: true,
        kept_memory_len: 0,
        identity_address: 0x2001_FFE0,
        flash: Flash::Probe("STM32F405RGTx"),
    },
    Board {
        name: "nrf52840",
        core: "Cortex-M4F",
        memory_len: 242_176,
        recorder: RecorderMemory::flash(256 << 10, 4096),
        package: "nrf52840",
        target: "thumbv7em-none-eabihf",
        machine: None,
        has_sensor_line: false,
        kept_memory_len: 0,
        identity_address: 0x2003_FFE0,
        flash: Flash::Probe("nRF52840_xxAA"),
    },
    Board {
        name: "mps2-m3",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        machine: Some("mps2-an385"),
        ..MPS2
    },
    Board {
        name: "mps2-m4",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        machine: Some("mps2-an386"),
        ..MPS2
    },
    Board {
        name: "mps2-m7",
        core: "Cortex-M7F",
        target: "thumbv7em-none-eabihf",
        machine: Some("mps2-an500"),
        ..MPS2
    },
    Board {
        name: "mps2-m33",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        machine: Some("mps2-an505"),
        identity_address: 0x383F_FFE0,
        ..MPS2
    },
    Board {
        name: "mps3-m55",
        core: "Cortex-M55",
        memory_len: 3_895_808,
        recorder: RecorderMemory::ram(256 << 10, 8192),
        package: "mps3",
        target: "thumbv8m.main-none-eabihf",
        machine: Some("mps3-an547"),
        has_sensor_line: true,
        kept_memory_len: 0,
        identity_address: 0x313F_FFE0,
        flash: Flash::Unsupported,
    },
];

/// The boards that QEMU emulates.
pub fn emulated() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.machine.is_some())
}

/// Common fields of Arm's MPS2 boards.
const MPS2: Board = Board {
    name: "mps2",
    core: "",
    memory_len: 4_157_952,
    recorder: RecorderMemory::ram(256 << 10, 8192),
    package: "mps2",
    target: "",
    machine: None,
    has_sensor_line: true,
    kept_memory_len: 16 << 20,
    identity_address: 0x203F_FFE0,
    flash: Flash::Unsupported,
};

/// A short name for the board [`ALIASED`].
const ALIAS: &str = "mps2";
const ALIASED: &str = "mps2-m3";

/// Shell word that draws a random seed.
const SHELL_SEED: &str = "0x$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')";

/// Maximum count in `NAME=COUNT`.
pub const COUNT_MAX: usize = 256;

impl Board {
    /// Returns the board of that name.
    pub fn find(name: &str) -> Result<&'static Self, BoardError> {
        let name = if name == ALIAS { ALIASED } else { name };
        BOARDS
            .iter()
            .find(|board| board.name == name)
            .ok_or_else(|| BoardError::Unknown { name: name.into(), known: names(BOARDS.iter()) })
    }

    /// Returns a sentence on how to flash `image`, an ELF or Intel HEX file, if the board can be flashed.
    pub fn flash_advice(&self, image: &Path) -> Option<String> {
        let is_hex = image.extension().is_some_and(|extension| extension == "hex");
        let image = typed(image);
        match self.flash {
            Flash::Drive { label, .. } if is_hex => {
                Some(format!("Flash it by copying {image} to the drive {label}."))
            }
            Flash::Probe(chip) => {
                Some(format!("Flash it with `probe-rs run --chip {chip} {image}`."))
            }
            Flash::Drive { label, chip } => Some(format!(
                "Flash it with `probe-rs run --chip {chip} {image}`, or add `--hex` and copy the HEX file to the \
                 drive {label}."
            )),
            Flash::Unsupported => None,
        }
    }

    /// Returns the QEMU options of this board: its machine, no terminal, and in its RAM an identity, an optional seed
    /// and the number of channels of its sensor, if it is known.
    ///
    /// `None` if QEMU does not have it.
    pub fn qemu_options(
        &self,
        identity: &str,
        seed: Option<&str>,
        channels: Option<u8>,
    ) -> Option<Vec<String>> {
        let mark = channels.map_or(identity::MAGIC, identity::with_channels);
        let mark = format!("{mark:#x}");
        let words = [Some(mark.as_str()), Some(identity), seed];
        let machine = ["-M", self.machine?, "-nographic", "-monitor", "none"].map(str::to_owned);
        let loaders = (self.identity_address..).step_by(identity::WORD_LEN).zip(words).filter_map(
            |(addr, word)| {
                let loader =
                    format!("loader,addr={addr:#x},data={},data-len={}", word?, identity::WORD_LEN);
                Some(["-device".to_owned(), loader])
            },
        );
        Some(machine.into_iter().chain(loaders.flatten()).collect())
    }

    /// Returns a shell command that runs `image`, an ELF file, in QEMU as board number N, with its serial line on TCP
    /// port 4000 + N. A `keyed` image gets a seed. `None` if QEMU does not have the board.
    pub fn qemu_command(&self, image: &Path, keyed: bool) -> Option<String> {
        let options = self.qemu_options("$N", keyed.then_some(SHELL_SEED), None)?;
        // Only the word with the seed contains spaces.
        let options = options.into_iter().map(|option| match option.contains(' ') {
            true => format!("\"{option}\""),
            false => option,
        });
        let options = options.collect::<Vec<_>>().join(" ");
        let line = "-serial tcp:127.0.0.1:$((4000 + N)),server=on,wait=off";
        Some(format!("N=1; qemu-system-arm {options} {line} -kernel {}", typed(image)))
    }
}

/// A number of boards of one kind, parsed from `NAME` or `NAME=COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boards {
    /// Their kind.
    pub board: &'static Board,
    /// Number of boards, 1..=[`COUNT_MAX`].
    pub count: usize,
}

impl FromStr for Boards {
    type Err = BoardError;

    fn from_str(text: &str) -> Result<Self, BoardError> {
        let (name, count) = text.split_once('=').unwrap_or((text, "1"));
        let known = || names(emulated());
        let board = Board::find(name)
            .map_err(|_| BoardError::Unknown { name: name.into(), known: known() })?;
        if board.machine.is_none() {
            return Err(BoardError::NotEmulated { name: board.name });
        }
        match count.parse() {
            Ok(count @ 1..=COUNT_MAX) => Ok(Self { board, count }),
            _ => Err(BoardError::Count { text: text.into() }),
        }
    }
}

/// Reasons why a text does not name boards.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BoardError {
    /// The board does not exist.
    #[error("unknown board `{name}`: choose one of {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Names of those that can be chosen.
        known: String,
    },
    /// QEMU does not have the board.
    #[error(
        "QEMU does not emulate the board {name}: flash a real one, and train it with `smidgen run`"
    )]
    NotEmulated {
        /// The name.
        name: &'static str,
    },
    /// The count is invalid.
    #[error("`{text}` has an invalid count: write NAME=COUNT with a count from 1 to {COUNT_MAX}")]
    Count {
        /// The text.
        text: String,
    },
}

/// Returns a list of all boards with their cores, and the short name, for help texts.
pub fn catalogue() -> String {
    let entries: Vec<_> = BOARDS
        .iter()
        .map(|board| format!("{} ({}{})", board.name, board.core, absent(board)))
        .collect();
    format!("{}; {ALIAS} stands for {ALIASED}", entries.join(", "))
}

fn absent(board: &Board) -> &'static str {
    if board.machine.is_some() { "" } else { ", not in QEMU" }
}

fn names(boards: impl Iterator<Item = &'static Board>) -> String {
    boards.map(|board| board.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_may_have_a_count() {
        for board in emulated() {
            assert_eq!(board.name.parse(), Ok(Boards { board, count: 1 }));
            assert_eq!(format!("{}=3", board.name).parse(), Ok(Boards { board, count: 3 }));
        }
        assert_eq!("mps2=2".parse::<Boards>().unwrap().board.name, "mps2-m3");
    }

    #[test]
    fn errors_are_one_sentence() {
        let sentence = |text: &str| text.parse::<Boards>().unwrap_err().to_string();
        let unknown = sentence("uno=2");
        assert!(unknown.starts_with("unknown board `uno`: choose one of microbit, stm32f405, "));
        let is_named = |board: &Board| unknown.contains(board.name);
        assert!(BOARDS.iter().all(|board| is_named(board) == board.machine.is_some()), "{unknown}");
        assert!(sentence("nrf52840=2").starts_with("QEMU does not emulate the board nrf52840: "));
        for text in ["microbit=0", "microbit=", "microbit=-1", "microbit=257", "microbit=two"] {
            assert!(
                sentence(text).starts_with(&format!("`{text}` has an invalid count")),
                "{text}"
            );
        }
    }

    #[test]
    fn identity_is_where_the_linker_script_reserves_it() {
        for board in BOARDS {
            let folder = match board.machine {
                Some("mps2-an505") => "mps2/an505",
                _ if board.package == "mps2" => "mps2/an385",
                _ => board.package,
            };
            let path =
                format!("{}/../firmware/boards/{folder}/memory.x", env!("CARGO_MANIFEST_DIR"));
            let script = std::fs::read_to_string(path).unwrap();
            let region =
                format!("IDENTITY : ORIGIN = {:#010X}, LENGTH = 32", board.identity_address);
            assert!(script.contains(&region.replace("0X", "0x")), "{}", board.name);
        }
    }
}
