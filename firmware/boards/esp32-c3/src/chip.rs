//! Watchdogs, pins and identity of an ESP32-C3, by their registers.

use esp32c3::{EFUSE, GPIO, IO_MUX, RTC_CNTL, TIMG0, TIMG1, timg0};

/// Opens the watchdogs of timers and of the RTC for writing.
const KEY: u32 = 0x50D8_3AA1;
/// Opens the super watchdog for writing.
const SUPER_KEY: u32 = 0x8F1D_312A;

/// The pins of UART 0; it is their first function.
const TRANSMIT: usize = 21;
const RECEIVE: usize = 20;
/// The pin of the sensor, and the input of UART 1, to which any pin can be connected.
const SENSOR: u8 = 7;
const SENSOR_INPUT: usize = 9;
/// The pin of the status LED.
const LED: usize = 10;
/// Functions of pins: a dedicated one, and a general one.
const DEDICATED: u8 = 0;
const GENERAL: u8 = 1;

/// Stops the watchdogs, which the bootloader has started.
pub fn stop_watchdogs() {
    // SAFETY: nothing else uses the watchdogs, and any value may be written to their registers.
    unsafe {
        stop_timer_watchdog(&TIMG0::steal());
        stop_timer_watchdog(&TIMG1::steal());
        let rtc = RTC_CNTL::steal();
        rtc.wdtwprotect().write(|w| w.bits(KEY));
        rtc.wdtconfig0().modify(|_, w| w.wdt_en().clear_bit().wdt_flashboot_mod_en().clear_bit());
        rtc.wdtwprotect().write(|w| w.bits(0));
        rtc.swd_wprotect().write(|w| w.bits(SUPER_KEY));
        rtc.swd_conf().modify(|_, w| w.swd_disable().set_bit());
        rtc.swd_wprotect().write(|w| w.bits(0));
    }
}

fn stop_timer_watchdog(timers: &timg0::RegisterBlock) {
    // SAFETY: any value may be written to these registers.
    unsafe {
        timers.wdtwprotect().write(|w| w.bits(KEY));
        timers
            .wdtconfig0()
            .modify(|_, w| w.wdt_en().clear_bit().wdt_flashboot_mod_en().clear_bit());
        timers.wdtwprotect().write(|w| w.bits(0));
    }
}

/// Connects the pins of the ports, and lights the LED.
pub fn connect_pins() {
    // SAFETY: nothing else uses these registers; the values are functions of the pins, and the number of a pin.
    unsafe {
        let (pins, gpio) = (IO_MUX::steal(), GPIO::steal());
        pins.gpio(TRANSMIT).modify(|_, w| w.mcu_sel().bits(DEDICATED));
        pins.gpio(RECEIVE).modify(|_, w| w.mcu_sel().bits(DEDICATED).fun_ie().set_bit());
        // A line that nothing drives is idle.
        let sensor = pins.gpio(usize::from(SENSOR));
        sensor.modify(|_, w| w.mcu_sel().bits(GENERAL).fun_ie().set_bit().fun_wpu().set_bit());
        gpio.func_in_sel_cfg(SENSOR_INPUT).write(|w| w.in_sel().bits(SENSOR).sel().set_bit());
        pins.gpio(LED).modify(|_, w| w.mcu_sel().bits(GENERAL));
        gpio.enable_w1ts().write(|w| w.bits(1 << LED));
        gpio.out_w1ts().write(|w| w.bits(1 << LED));
    }
}

/// Switches the LED, which is lit while its pin is high.
pub fn light(lit: bool) {
    // SAFETY: these registers change the pins whose bits are set.
    unsafe {
        let gpio = GPIO::steal();
        if lit {
            gpio.out_w1ts().write(|w| w.bits(1 << LED));
        } else {
            gpio.out_w1tc().write(|w| w.bits(1 << LED));
        }
    }
}

/// The address that the factory gave to the chip: 48 bits.
pub fn address() -> u64 {
    // SAFETY: these registers are only read.
    let efuse = unsafe { EFUSE::steal() };
    let low = efuse.rd_mac_spi_sys_0().read().mac_0().bits();
    let high = efuse.rd_mac_spi_sys_1().read().mac_1().bits();
    u64::from(high) << 32 | u64::from(low)
}
