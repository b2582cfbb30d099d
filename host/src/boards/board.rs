//! The boards that smidgen has images for.

use crate::units::shown::typed;
use smidgen_firmware::identity;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// A kind of board.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name here and in what its workers say of themselves.
    pub name: &'static str,
    /// Its core.
    pub core: &'static str,
    /// Bytes of its RAM that are left for a worker's state and data when stack, queue and statics have theirs; a board
    /// may have a little more.
    pub room_len: usize,
    /// Package in `firmware/boards`.
    pub package: &'static str,
    /// Target triple of its image.
    pub target: &'static str,
    /// QEMU's name of the machine that emulates it.
    pub machine: &'static str,
    /// Where an emulator may leave the board's identity: the last 32 bytes of its RAM.
    pub identity_address: u32,
    /// What writes an image to it.
    pub flash: Flash,
}

/// What writes an image to a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flash {
    /// probe-rs, which knows the chip by this name.
    Probe(&'static str),
    /// The board shows itself as a drive, to which a file in Intel HEX is copied; probe-rs can do it too.
    Drive {
        /// Label of the drive.
        label: &'static str,
        /// probe-rs's name of the chip.
        chip: &'static str,
    },
    /// Nothing: the board is there for emulators.
    Nothing,
}

/// All boards, smaller cores first.
pub static BOARDS: [Board; 6] = [
    Board {
        name: "microbit",
        core: "Cortex-M0",
        room_len: 11_264,
        package: "microbit",
        target: "thumbv6m-none-eabi",
        machine: "microbit",
        identity_address: 0x2000_3FE0,
        flash: Flash::Drive { label: "MICROBIT", chip: "nRF51822_xxAA" },
    },
    Board {
        name: "stm32f405",
        core: "Cortex-M4F",
        room_len: 119_296,
        package: "stm32f405",
        target: "thumbv7em-none-eabihf",
        machine: "netduinoplus2",
        identity_address: 0x2001_FFE0,
        flash: Flash::Probe("STM32F405RGTx"),
    },
    Board {
        name: "mps2-m3",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        machine: "mps2-an385",
        ..MPS2
    },
    Board {
        name: "mps2-m4",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        machine: "mps2-an386",
        ..MPS2
    },
    Board {
        name: "mps2-m7",
        core: "Cortex-M7F",
        target: "thumbv7em-none-eabihf",
        machine: "mps2-an500",
        ..MPS2
    },
    Board {
        name: "mps2-m33",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        machine: "mps2-an505",
        identity_address: 0x383F_FFE0,
        ..MPS2
    },
];

/// What Arm's MPS2 has in common whichever core is loaded into it.
const MPS2: Board = Board {
    name: "mps2",
    core: "",
    room_len: 4_174_336,
    package: "mps2",
    target: "",
    machine: "",
    identity_address: 0x203F_FFE0,
    flash: Flash::Nothing,
};

/// A short name, and the board that it stands for.
const ALIAS: &str = "mps2";
const ALIASED: &str = "mps2-m3";

/// Draws a seed in a shell.
const SHELL_SEED: &str = "0x$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')";

/// The most boards of a kind in one `NAME=COUNT`.
pub const COUNT_MAX: usize = 256;

impl Board {
    /// The board of that name.
    pub fn find(name: &str) -> Result<&'static Self, BoardError> {
        let name = if name == ALIAS { ALIASED } else { name };
        BOARDS
            .iter()
            .find(|board| board.name == name)
            .ok_or_else(|| BoardError::Unknown { name: name.into() })
    }

    /// A sentence that says how to get `image`, an ELF file or one in Intel HEX, into the board, if it can be flashed.
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
                "Flash it with `probe-rs run --chip {chip} {image}`, or ask for `--hex` and copy that to the \
                 drive {label}."
            )),
            Flash::Nothing => None,
        }
    }

    /// Options that make QEMU this board: its machine, no terminal, and in its RAM an identity and, if one is given, a seed.
    pub fn qemu_options(&self, identity: &str, seed: Option<&str>) -> Vec<String> {
        let magic = format!("{:#x}", identity::MAGIC);
        let words = [Some(magic.as_str()), Some(identity), seed];
        let machine = ["-M", self.machine, "-nographic", "-monitor", "none"].map(str::to_owned);
        let loaders = (self.identity_address..).step_by(identity::WORD_LEN).zip(words).filter_map(
            |(addr, word)| {
                let loader =
                    format!("loader,addr={addr:#x},data={},data-len={}", word?, identity::WORD_LEN);
                Some(["-device".to_owned(), loader])
            },
        );
        machine.into_iter().chain(loaders.flatten()).collect()
    }

    /// A command for a shell that starts `image`, an ELF file, in QEMU as the board number N, whose serial line is the TCP
    /// port 4000 + N; with a seed where the image is `keyed`.
    pub fn qemu_command(&self, image: &Path, keyed: bool) -> String {
        let options = self.qemu_options("$N", keyed.then_some(SHELL_SEED));
        // The words with a blank are those of the seed.
        let options = options.into_iter().map(|option| match option.contains(' ') {
            true => format!("\"{option}\""),
            false => option,
        });
        let options = options.collect::<Vec<_>>().join(" ");
        let line = "-serial tcp:127.0.0.1:$((4000 + N)),server=on,wait=off";
        format!("N=1; qemu-system-arm {options} {line} -kernel {}", typed(image))
    }
}

/// Boards of one kind, as the command line names them: `NAME` or `NAME=COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boards {
    /// Their kind.
    pub board: &'static Board,
    /// How many of them, 1..=[`COUNT_MAX`].
    pub count: usize,
}

impl FromStr for Boards {
    type Err = BoardError;

    fn from_str(text: &str) -> Result<Self, BoardError> {
        let (name, count) = text.split_once('=').unwrap_or((text, "1"));
        let board = Board::find(name)?;
        match count.parse() {
            Ok(count @ 1..=COUNT_MAX) => Ok(Self { board, count }),
            _ => Err(BoardError::Count { text: text.into() }),
        }
    }
}

/// What is wrong with the name of a board.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BoardError {
    /// No such board.
    #[error("there is no board `{name}`: choose one of {}", names())]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// Not a number of boards.
    #[error(
        "`{text}` names no number of boards: write NAME=COUNT with a count from 1 to {COUNT_MAX}"
    )]
    Count {
        /// What was written.
        text: String,
    },
}

/// All boards with their cores, and the short name, for people.
pub fn catalogue() -> String {
    let entries = BOARDS.each_ref().map(|board| format!("{} ({})", board.name, board.core));
    format!("{}; {ALIAS} stands for {ALIASED}", entries.join(", "))
}

fn names() -> String {
    BOARDS.each_ref().map(|board| board.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_carry_a_count() {
        for board in &BOARDS {
            assert_eq!(board.name.parse(), Ok(Boards { board, count: 1 }));
            assert_eq!(format!("{}=3", board.name).parse(), Ok(Boards { board, count: 3 }));
        }
        assert_eq!("mps2=2".parse::<Boards>().unwrap().board.name, "mps2-m3");
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let sentence = |text: &str| text.parse::<Boards>().unwrap_err().to_string();
        assert_eq!(
            sentence("uno=2"),
            "there is no board `uno`: choose one of microbit, stm32f405, mps2-m3, mps2-m4, mps2-m7, mps2-m33"
        );
        for text in ["microbit=0", "microbit=", "microbit=-1", "microbit=257", "microbit=two"] {
            assert!(sentence(text).starts_with(&format!("`{text}` names no number")), "{text}");
        }
    }

    #[test]
    fn the_identity_lies_where_the_linker_script_reserves_it() {
        for board in &BOARDS {
            let folder = match board.machine {
                "mps2-an505" => "mps2/an505",
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
