//! The supported boards.

use super::qemu::{Qemu, Told};
use super::uf2;
use super::{esp32_c3, rp2040};
use crate::units::shown::typed;
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
    /// Memory of its recorder, if it has one.
    pub recorder: Option<RecorderMemory>,
    /// Package in `firmware/boards`.
    pub package: &'static str,
    /// Target triple of its image.
    pub target: &'static str,
    /// What emulates it, if anything does.
    pub emulation: Option<Emulation>,
    /// Address at which an emulator writes the board's identity: the last 32 bytes of its RAM.
    pub identity_address: u32,
    /// How an image is written to it.
    pub flash: Flash,
}

/// What emulates a board.
#[derive(Debug, PartialEq, Eq)]
pub enum Emulation {
    /// QEMU.
    Qemu(Qemu),
    /// rp2040js.
    Rp2040,
    /// labwired, of an ESP32-C3.
    Esp32C3,
}

impl Emulation {
    /// Returns whether it comes from a registry of packages, not from the packages of the system: a machine may have all
    /// else without it.
    pub fn is_extra(&self) -> bool {
        match self {
            Self::Qemu(_) => false,
            Self::Rp2040 | Self::Esp32C3 => true,
        }
    }
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
    const fn flash(rows_len: usize, window_len: usize) -> Option<Self> {
        Some(Self { rows_len, row_unit: 4, window_len })
    }

    /// In RAM.
    const fn ram(rows_len: usize, window_len: usize) -> Option<Self> {
        Some(Self { rows_len, row_unit: 2, window_len })
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
    /// By copying a UF2 file to the drive that the board presents while a button is held, or by probe-rs.
    Uf2 {
        /// Label of the drive.
        label: &'static str,
        /// The button.
        button: &'static str,
        /// probe-rs's name of the chip.
        chip: &'static str,
        /// The number of its family in UF2 files.
        family: u32,
    },
    /// Over its serial port by espflash, with its name of the chip.
    Espflash(&'static str),
    /// By another program, such as openocd, dfu-util or teensy_loader_cli.
    Program(FlashProgram),
    /// Not at all: the board is only emulated.
    Unsupported,
}

/// A program that flashes a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashProgram {
    /// Its name.
    pub name: &'static str,
    /// Its arguments; `{elf}`, `{hex}` or `{bin}` in one of them is the path of the image in that format.
    pub arguments: &'static [&'static str],
    /// The command that installs it.
    pub install: &'static str,
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
        emulation: qemu(Qemu::arm("microbit")),
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
        emulation: qemu(Qemu::arm("netduinoplus2").with_sensor_line()),
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
        emulation: None,
        identity_address: 0x2003_FFE0,
        flash: Flash::Probe("nRF52840_xxAA"),
    },
    Board {
        name: "pico",
        core: "Cortex-M0+",
        memory_len: 175_000,
        recorder: RecorderMemory::ram(64 << 10, 4096),
        package: "pico",
        target: "thumbv6m-none-eabi",
        emulation: Some(Emulation::Rp2040),
        identity_address: 0x2003_FFE0,
        flash: Flash::Uf2 {
            label: "RPI-RP2",
            button: "BOOTSEL",
            chip: "RP2040",
            family: uf2::RP2040,
        },
    },
    Board {
        name: "esp32-c3",
        core: "RV32IMC",
        memory_len: 209_000,
        recorder: RecorderMemory::ram(64 << 10, 4096),
        package: "esp32-c3",
        target: "riscv32imc-unknown-none-elf",
        emulation: Some(Emulation::Esp32C3),
        identity_address: 0x3FCC_7FE0,
        flash: Flash::Espflash("esp32c3"),
    },
    Board {
        name: "microbit-v2",
        core: "Cortex-M4F",
        memory_len: 115_200,
        recorder: RecorderMemory::flash(128 << 10, 2048),
        package: "microbit-v2",
        target: "thumbv7em-none-eabihf",
        emulation: None,
        identity_address: 0x2001_FFE0,
        flash: Flash::Drive { label: "MICROBIT", chip: "nRF52833_xxAA" },
    },
    Board {
        name: "stm32l475",
        core: "Cortex-M4F",
        memory_len: 82_304,
        recorder: RecorderMemory::ram(32 << 10, 2048),
        package: "stm32l475",
        target: "thumbv7em-none-eabihf",
        emulation: qemu(Qemu::arm("b-l475e-iot01a").since(10).with_sensor_line()),
        identity_address: 0x2001_7FE0,
        flash: Flash::Probe("STM32L475VGTx"),
    },
    Board {
        name: "nucleo-f411re",
        core: "Cortex-M4F",
        memory_len: 82_304,
        recorder: RecorderMemory::ram(32 << 10, 2048),
        package: "nucleo-f411re",
        target: "thumbv7em-none-eabihf",
        emulation: None,
        identity_address: 0x2001_FFE0,
        flash: Flash::Probe("STM32F411RETx"),
    },
    Board {
        name: "pico2",
        core: "Cortex-M33",
        memory_len: 512_512,
        recorder: None,
        package: "pico2",
        target: "thumbv8m.main-none-eabihf",
        emulation: None,
        identity_address: 0x2007_FFE0,
        flash: Flash::Uf2 {
            label: "RP2350",
            button: "BOOTSEL",
            chip: "RP235x",
            family: uf2::RP2350,
        },
    },
    Board {
        name: "hifive1",
        core: "RV32IMAC",
        memory_len: 9_800,
        recorder: None,
        package: "hifive1",
        target: "riscv32imac-unknown-none-elf",
        emulation: qemu(Qemu::riscv32("sifive_e,revb=true")),
        identity_address: 0x8000_3FE0,
        flash: Flash::Probe("FE310-G002"),
    },
    Board {
        name: "mps2-m3",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        emulation: mps2("mps2-an385"),
        ..MPS2
    },
    Board {
        name: "mps2-m4",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        emulation: mps2("mps2-an386"),
        ..MPS2
    },
    Board {
        name: "mps2-m7",
        core: "Cortex-M7F",
        target: "thumbv7em-none-eabihf",
        emulation: mps2("mps2-an500"),
        ..MPS2
    },
    Board {
        name: "mps2-m33",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        emulation: mps2("mps2-an505"),
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
        emulation: qemu(Qemu::arm("mps3-an547").with_sensor_line()),
        identity_address: 0x313F_FFE0,
        flash: Flash::Unsupported,
    },
];

/// The boards that are emulated.
pub fn emulated() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.emulation.is_some())
}

pub(crate) const fn qemu(qemu: Qemu) -> Option<Emulation> {
    Some(Emulation::Qemu(qemu))
}

const fn mps2(machine: &'static str) -> Option<Emulation> {
    qemu(Qemu::arm(machine).with_sensor_line().with_kept_memory(16 << 20))
}

/// The arguments of a program whose first one is the path of a script, which is `shortened`, as they are typed.
fn with_typed_script(mut words: Vec<String>, shortened: fn(&str) -> String) -> Vec<String> {
    let script = words.iter_mut().take(1);
    script.for_each(|script| *script = typed(&shortened(script)).to_string());
    words
}

/// Common fields of Arm's MPS2 boards.
const MPS2: Board = Board {
    name: "mps2",
    core: "",
    memory_len: 4_157_952,
    recorder: RecorderMemory::ram(256 << 10, 8192),
    package: "mps2",
    target: "",
    emulation: None,
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

    /// Returns the number of its family in UF2 files, if it takes such files.
    pub fn uf2_family(&self) -> Option<u32> {
        match self.flash {
            Flash::Uf2 { family, .. } => Some(family),
            Flash::Probe(_)
            | Flash::Drive { .. }
            | Flash::Espflash(_)
            | Flash::Program(_)
            | Flash::Unsupported => None,
        }
    }

    /// Returns a sentence on how to flash `image`, an ELF or Intel HEX file, if the board can be flashed.
    pub fn flash_advice(&self, image: &Path) -> Option<String> {
        let is = |kind: &str| image.extension().is_some_and(|extension| extension == kind);
        let (is_hex, is_uf2) = (is("hex"), is("uf2"));
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
            Flash::Uf2 { label, button, .. } if is_uf2 => Some(format!(
                "Hold the button {button} while you plug the board in, and copy {image} to the drive {label}."
            )),
            Flash::Uf2 { label, chip, .. } => Some(format!(
                "Flash it with `probe-rs run --chip {chip} {image}`, or add `--uf2` and copy the UF2 file to the \
                 drive {label}."
            )),
            Flash::Espflash(chip) => {
                Some(format!("Flash it with `espflash flash --chip {chip} {image}`."))
            }
            Flash::Program(FlashProgram { name, .. }) => Some(format!(
                "Flash it with `smidgen flash --board {}`, which runs {name}.",
                self.name
            )),
            Flash::Unsupported => None,
        }
    }

    /// Returns whether its emulator gives it a second serial line, for the samples of a sensor.
    pub fn has_sensor_line(&self) -> bool {
        match &self.emulation {
            Some(Emulation::Qemu(qemu)) => qemu.has_sensor_line,
            Some(Emulation::Rp2040) => true,
            Some(Emulation::Esp32C3) | None => false,
        }
    }

    /// Returns whether its emulator keeps rows and a journal over a power cut.
    pub fn keeps_memory(&self) -> bool {
        match &self.emulation {
            Some(Emulation::Qemu(qemu)) => qemu.kept_memory_len != 0,
            Some(Emulation::Rp2040 | Emulation::Esp32C3) | None => false,
        }
    }

    /// Returns a shell command that runs `image`, an ELF file, as board number N, with its serial line on TCP port
    /// 4000 + N. A `keyed` image gets a seed. `None` if nothing emulates the board.
    pub fn emulator_command(&self, image: &Path, keyed: bool) -> Option<String> {
        let line = "tcp:127.0.0.1:$((4000 + N)),server=on,wait=off";
        let command = self.command(line, &typed(image), keyed, str::to_owned)?;
        Some(format!("N=1; {command}"))
    }

    /// Returns the command of `firmware/boards/README.md` that runs its image, from the root of the repository, as board
    /// number N on the serial line LINE. `None` if nothing emulates the board.
    pub fn documented_command(&self) -> Option<String> {
        let image = format!("firmware/boards/target/{}/release/{}", self.target, self.package);
        self.command("\"$LINE\"", &typed(&image), false, |path| {
            let path = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/")).unwrap_or(path);
            path.strip_prefix("../").map_or_else(|| format!("host/{path}"), str::to_owned)
        })
    }

    /// As [`Self::emulator_command`], with serial line and image as they are typed. Paths of emulators are `shortened`.
    fn command(
        &self,
        line: &str,
        image: &str,
        keyed: bool,
        shortened: fn(&str) -> String,
    ) -> Option<String> {
        let seed = keyed.then_some(SHELL_SEED);
        let told = Told { identity: "$N", seed, channels: None };
        let address = self.identity_address;
        let (program, words) = match self.emulation.as_ref()? {
            Emulation::Qemu(qemu) => {
                let mut words = qemu.options(address, told);
                words.extend(["-serial", line, "-kernel", image].map(str::to_owned));
                (qemu.system.program().to_owned(), words)
            }
            Emulation::Rp2040 => {
                let words = rp2040::arguments(line, image, address, told);
                (shortened(rp2040::PROGRAM), with_typed_script(words, shortened))
            }
            Emulation::Esp32C3 => {
                let words = esp32_c3::arguments(line, image, address, told);
                (shortened(esp32_c3::PROGRAM), with_typed_script(words, shortened))
            }
        };
        let words = words.into_iter().map(|word| match word.contains(SHELL_SEED) {
            true => format!("\"{word}\""),
            false => word,
        });
        Some(format!("{} {}", typed(&program), words.collect::<Vec<_>>().join(" ")))
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
        if board.emulation.is_none() {
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
    /// No emulator has the board.
    #[error("no emulator has the board {name}: flash a real one, and train it with `smidgen run`")]
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
        .map(|board| format!("{} ({}{})", board.name, board.core, restriction(board)))
        .collect();
    format!("{}; {ALIAS} stands for {ALIASED}", entries.join(", "))
}

fn restriction(board: &Board) -> String {
    match &board.emulation {
        None => ", not emulated".into(),
        Some(Emulation::Qemu(Qemu { version_min: Some(version), .. })) => {
            format!(", needs QEMU {version}")
        }
        Some(
            Emulation::Qemu(Qemu { version_min: None, .. })
            | Emulation::Rp2040
            | Emulation::Esp32C3,
        ) => String::new(),
    }
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
        assert!(
            BOARDS.iter().all(|board| is_named(board) == board.emulation.is_some()),
            "{unknown}"
        );
        assert!(sentence("nrf52840=2").starts_with("no emulator has the board nrf52840: "));
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
            let folder = match board.name {
                "mps2-m33" => "mps2/an505",
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
