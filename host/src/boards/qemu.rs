//! QEMU as an emulator of boards: its programs, machines and options.

use smidgen_firmware::identity;

/// How QEMU emulates a board.
#[derive(Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Which of its programs has the machine.
    pub system: System,
    /// Name of the machine, with its properties.
    pub machine: &'static str,
    /// The oldest version of QEMU that runs the board, if not all do.
    pub version_min: Option<u32>,
    /// The machine has a second serial line, for the samples of a sensor.
    pub has_sensor_line: bool,
    /// Bytes of the memory that QEMU can keep in a file, so that its content survives a power cut; 0 without one.
    pub kept_memory_len: u32,
}

/// A program of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Arm.
    Arm,
    /// RISC-V of 32 bits.
    Riscv32,
}

impl System {
    /// Its name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Arm => "qemu-system-arm",
            Self::Riscv32 => "qemu-system-riscv32",
        }
    }

    /// The environment variable that names another program in its place.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Arm => "SMIDGEN_QEMU",
            Self::Riscv32 => "SMIDGEN_QEMU_RISCV32",
        }
    }
}

/// What an emulated board is told in its RAM, as [`identity`] lays it out.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Its identity.
    pub identity: &'a str,
    /// A seed, if it has no source of randomness.
    pub seed: Option<&'a str>,
    /// Number of channels of its sensor, if that is known.
    pub channels: Option<u8>,
}

impl Told<'_> {
    /// Returns the words of 64 bits that are written.
    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        let mark = self.channels.map_or(identity::MAGIC, identity::with_channels);
        let seed = self.seed.map(str::to_owned);
        [format!("{mark:#x}"), self.identity.to_owned()].into_iter().chain(seed)
    }
}

impl Qemu {
    /// A machine of Arm.
    pub const fn arm(machine: &'static str) -> Self {
        let (system, version_min) = (System::Arm, None);
        Self { system, machine, version_min, has_sensor_line: false, kept_memory_len: 0 }
    }

    /// A machine of RISC-V.
    pub const fn riscv32(machine: &'static str) -> Self {
        Self { system: System::Riscv32, ..Self::arm(machine) }
    }

    /// The same in this version of QEMU or later.
    pub const fn since(self, version: u32) -> Self {
        Self { version_min: Some(version), ..self }
    }

    /// The same with a second serial line.
    pub const fn with_sensor_line(self) -> Self {
        Self { has_sensor_line: true, ..self }
    }

    /// The same with this many bytes of memory in a file.
    pub const fn with_kept_memory(self, kept_memory_len: u32) -> Self {
        Self { kept_memory_len, ..self }
    }

    /// Returns the options for a board: its machine, no terminal, and what it is told at this address.
    pub fn options(&self, address: u32, told: Told) -> Vec<String> {
        let machine = ["-M", self.machine, "-nographic", "-monitor", "none"].map(str::to_owned);
        let loaders =
            (address..).step_by(identity::WORD_LEN).zip(told.words()).map(|(addr, word)| {
                let len = identity::WORD_LEN;
                let loader = format!("loader,addr={addr:#x},data={word},data-len={len}");
                ["-device".to_owned(), loader]
            });
        machine.into_iter().chain(loaders.flatten()).collect()
    }
}
