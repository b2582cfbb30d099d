//! The accelerometer of a micro:bit: three channels of ±4 g, as its chip has them: x, y, z.
//!
//! Boards up to version 1.3 have an MMA8653FC, those of versions 1.5 and 2 an LSM303AGR. QEMU answers as the former,
//! with constants.

use super::twi::Twi;
use embedded_hal::i2c::{ErrorKind, I2c};
use smidgen_firmware::recorder::clocked::Probe;

/// Rate of both chips, in samples per 1000 s.
pub const RATE_MILLIHERTZ: u32 = 100_000;

/// A chip with an accelerometer.
struct Chip {
    address: u8,
    /// Register and value that tell the chip.
    id: [u8; 2],
    /// Registers and their values for 100 Hz and ±4 g.
    settings: [[u8; 2]; 3],
    /// Register of the six bytes of a measurement, left-aligned.
    values: u8,
    decode: fn([u8; 2]) -> i16,
    /// Value of 2^15, in mg.
    full_scale: u32,
}

const CHIPS: [Chip; 2] = [
    // MMA8653FC: standby, range, active.
    Chip {
        address: 0x1D,
        id: [0x0D, 0x5A],
        settings: [[0x2A, 0x00], [0x0E, 0x01], [0x2A, 0x19]],
        values: 0x01,
        decode: i16::from_be_bytes,
        full_scale: 4000,
    },
    // LSM303AGR: rate and axes, range at 12 bits, no filter. The highest bit of a register reads the ones after it too.
    Chip {
        address: 0x19,
        id: [0x0F, 0x33],
        settings: [[0x20, 0x57], [0x23, 0x98], [0x21, 0x00]],
        values: 0x28 | 0x80,
        decode: i16::from_le_bytes,
        // 1.95 mg to a step of 16.
        full_scale: 3994,
    },
];

/// The accelerometer, if one answers.
pub struct Accelerometer {
    bus: Twi,
    chip: Option<&'static Chip>,
}

impl Accelerometer {
    /// Finds the chip and starts it.
    pub fn new(mut bus: Twi) -> Self {
        let chip = CHIPS.iter().find(|chip| start(&mut bus, chip).is_ok_and(|found| found));
        Self { bus, chip }
    }
}

/// Starts a chip; returns whether it is there.
fn start(bus: &mut Twi, chip: &Chip) -> Result<bool, ErrorKind> {
    let [register, id] = chip.id;
    let mut found = [0];
    bus.write_read(chip.address, &[register], &mut found)?;
    if found != [id] {
        return Ok(false);
    }
    for setting in &chip.settings {
        bus.write(chip.address, setting)?;
    }
    Ok(true)
}

impl Probe for Accelerometer {
    type Error = ErrorKind;

    fn channels(&self) -> usize {
        if self.chip.is_some() { 3 } else { 0 }
    }

    fn full_scale(&self, _channel: usize) -> u32 {
        self.chip.map_or(0, |chip| chip.full_scale)
    }

    fn measure(&mut self, sample: &mut [i16]) -> Result<(), ErrorKind> {
        let Some(chip) = self.chip else { return Err(ErrorKind::Other) };
        let mut bytes = [0; 6];
        self.bus.write_read(chip.address, &[chip.values], &mut bytes)?;
        let (values, _) = bytes.as_chunks();
        sample.iter_mut().zip(values).for_each(|(place, &value)| *place = (chip.decode)(value));
        Ok(())
    }
}
