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
pub enum Motion {
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
        match mpu6050(bus) {
            Ok(sensor) => Self::Mpu6050(sensor),
            Err(bus) => lis3dh(bus).map_or(Self::Missing, Self::Lis3dh),
        }
    }
}

/// Starts an MPU-6050, or returns the bus.
fn mpu6050(bus: Twi) -> Result<Mpu6050<Twi>, Twi> {
    let mut sensor = Mpu6050::new(bus, Address::default()).map_err(|error| error.i2c)?;
    match configure(&mut sensor) {
        Ok(()) => Ok(sensor),
        Err(_) => Err(sensor.release()),
    }
}

fn configure(sensor: &mut Mpu6050<Twi>) -> Result<(), MpuError<Twi>> {
    sensor.set_accel_full_scale(AccelFullScale::G4)?;
    sensor.set_gyro_full_scale(GyroFullScale::Deg500)?;
    sensor.set_digital_lowpass_filter(DigitalLowPassFilter::Filter3)?;
    // With a filter it measures at 1 kHz, divided by ten.
    sensor.set_sample_rate_divider(9)
}

fn lis3dh(bus: Twi) -> Option<Lis3dh<Lis3dhI2C<Twi>>> {
    let configuration = Configuration { datarate: DataRate::Hz_100, ..Configuration::default() };
    let mut sensor = Lis3dh::new_i2c_with_config(bus, SlaveAddr::Default, configuration).ok()?;
    sensor.set_range(Range::G4).ok()?;
    Some(sensor)
}

impl Probe for Motion {
    type Error = ErrorKind;

    fn channels(&self) -> usize {
        match self {
            Self::Mpu6050(_) => 6,
            Self::Lis3dh(_) => 3,
            Self::Missing => 0,
        }
    }

    fn full_scale(&self, channel: usize) -> u32 {
        match self {
            Self::Mpu6050(_) if channel < 3 => 4000,
            Self::Mpu6050(_) => 500_000,
            // 2 mg to a step of 16.
            Self::Lis3dh(_) => 4096,
            Self::Missing => 0,
        }
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
