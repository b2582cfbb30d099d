//! The motion sensor on the bus: an MPU-6050 (acceleration up to ±4 g, then rotation up to ±500 °/s: six channels) or
//! an LIS3DH (acceleration up to ±4 g: three).

use board_support::nrf::twi::Twi;
use embedded_hal::i2c::ErrorKind;
use lis3dh::{
    Configuration, DataRate, Lis3dh, Lis3dhI2C, Range, SlaveAddr, accelerometer::RawAccelerometer,
};
use mpu6050_dmp::{
    accel::AccelFullScale, address::Address, config::DigitalLowPassFilter,
    error::Error as MpuError, gyro::GyroFullScale, sensor::Mpu6050,
};
use smidgen_firmware::recorder::clocked::Probe;

/// Rate of both sensors, in samples per 1000 s.
pub const RATE_MILLIHERTZ: u32 = 100_000;

/// The sensor that answered.
pub struct Motion {
    chip: Chip,
    /// The latest measurement failed, so the chip may have lost power and its settings.
    has_failed: bool,
}

enum Chip {
    /// At address 0x68.
    Mpu6050(Mpu6050<Twi>),
    /// At address 0x18.
    Lis3dh(Lis3dh<Lis3dhI2C<Twi>>),
    /// None.
    Missing,
}

impl Motion {
    /// Finds the sensor and starts it.
    pub fn new(bus: Twi) -> Self {
        let chip = match mpu6050(bus) {
            Ok(sensor) => Chip::Mpu6050(sensor),
            Err(bus) => lis3dh(bus).map_or(Chip::Missing, Chip::Lis3dh),
        };
        Self { chip, has_failed: false }
    }
}

/// Starts an MPU-6050, or returns the bus.
fn mpu6050(bus: Twi) -> Result<Mpu6050<Twi>, Twi> {
    let mut sensor = Mpu6050::new(bus, Address::default()).map_err(|error| error.i2c)?;
    match configure_mpu6050(&mut sensor) {
        Ok(()) => Ok(sensor),
        Err(_) => Err(sensor.release()),
    }
}

fn configure_mpu6050(sensor: &mut Mpu6050<Twi>) -> Result<(), MpuError<Twi>> {
    sensor.disable_sleep()?;
    sensor.set_accel_full_scale(AccelFullScale::G4)?;
    sensor.set_gyro_full_scale(GyroFullScale::Deg500)?;
    sensor.set_digital_lowpass_filter(DigitalLowPassFilter::Filter3)?;
    // With a filter it measures at 1 kHz, divided by ten.
    sensor.set_sample_rate_divider(9)
}

fn lis3dh(bus: Twi) -> Option<Lis3dh<Lis3dhI2C<Twi>>> {
    let mut sensor = Lis3dh::new_i2c(bus, SlaveAddr::Default).ok()?;
    configure_lis3dh(&mut sensor)?;
    Some(sensor)
}

fn configure_lis3dh(sensor: &mut Lis3dh<Lis3dhI2C<Twi>>) -> Option<()> {
    let configuration = Configuration { datarate: DataRate::Hz_100, ..Configuration::default() };
    sensor.configure(configuration).ok()?;
    sensor.set_range(Range::G4).ok()
}

impl Chip {
    fn configure(&mut self) -> Result<(), ErrorKind> {
        let configured = match self {
            Self::Mpu6050(sensor) => configure_mpu6050(sensor).ok(),
            Self::Lis3dh(sensor) => configure_lis3dh(sensor),
            Self::Missing => None,
        };
        configured.ok_or(ErrorKind::Other)
    }

    fn measure(&mut self, sample: &mut [i16]) -> Result<(), ErrorKind> {
        let set = |values: &[i16], sample: &mut [i16]| {
            sample.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
        };
        match self {
            Self::Mpu6050(sensor) => {
                let (accel, gyro) = sensor.motion6().map_err(|_| ErrorKind::Other)?;
                let values = [accel.x(), accel.y(), accel.z(), gyro.x(), gyro.y(), gyro.z()];
                set(&values, sample);
            }
            Self::Lis3dh(sensor) => {
                let accel = sensor.accel_raw().map_err(|_| ErrorKind::Other)?;
                set(&[accel.x, accel.y, accel.z], sample);
            }
            Self::Missing => return Err(ErrorKind::Other),
        }
        Ok(())
    }
}

impl Probe for Motion {
    type Error = ErrorKind;

    fn channels(&self) -> usize {
        match self.chip {
            Chip::Mpu6050(_) => 6,
            Chip::Lis3dh(_) => 3,
            Chip::Missing => 0,
        }
    }

    fn full_scale(&self, channel: usize) -> u32 {
        match self.chip {
            Chip::Mpu6050(_) if channel < 3 => 4000,
            Chip::Mpu6050(_) => 500_000,
            // 2 mg to a step of 16.
            Chip::Lis3dh(_) => 4096,
            Chip::Missing => 0,
        }
    }

    fn measure(&mut self, sample: &mut [i16]) -> Result<(), ErrorKind> {
        if self.has_failed {
            // Until the next sample it measures for the first time.
            self.has_failed = self.chip.configure().is_err();
            return Err(ErrorKind::Other);
        }
        let measured = self.chip.measure(sample);
        self.has_failed = measured.is_err();
        measured
    }
}
