//! smidgen's worker on the Raspberry Pi Pico.
//!
//! It serves the host on two lines and answers on the one that spoke last: a serial port over the USB cable, and UART 0
//! (transmit GP0, receive GP1) at 115200 baud. Samples arrive at UART 1 (GP5), at the same rate. The status LED is that
//! of the board (GP25). A Pico W has no LED there; all else is the same.
#![no_std]

mod line;
mod random;
mod uart;
mod unique_id;
mod usb;

use board_support::{
    identity, init_worker, memory, rows, serial::SensorPort, serve_recorder, take_or_restart,
};
use line::Line;
use rp2040_hal::{
    Sio, Timer, Watchdog,
    clocks::init_clocks_and_plls,
    gpio::{FunctionSioOutput, FunctionUart, Pins, PullDown, PullUp},
    pac,
    usb::UsbBus,
};
use smidgen_firmware::{
    objective::ObjectiveSet,
    recorder::{Recorder, stream::StreamSensor},
    remote::RemoteRecorder,
    worker::Board,
};
use static_cell::{ConstStaticCell, StaticCell};
use usb_device::bus::UsbBusAllocator;

/// Frequency of the crystal on the board.
const CRYSTAL_HZ: u32 = 12_000_000;
/// Values in the longest window.
const WINDOW_LEN: usize = 4096;

/// What the boot ROM copies to RAM and runs first: it sets up the flash, a Winbond W25Q16JV, for fast reads.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// Runs the worker with these objectives.
pub fn run<R: ObjectiveSet>(objectives: R) -> ! {
    static WINDOW: ConstStaticCell<[i16; WINDOW_LEN]> = ConstStaticCell::new([0; WINDOW_LEN]);
    static BUS: StaticCell<UsbBusAllocator<UsbBus>> = StaticCell::new();

    let identity = identity::injected_or_else(unique_id::read);
    let board = Board { name: "pico", identity };
    let mut device = take_or_restart(pac::Peripherals::take());
    // Crystal 12 MHz; PLL_SYS 12 MHz · 125 / 6 / 2 = 125 MHz, for core and UARTs; PLL_USB 12 MHz · 100 / 5 / 5 = 48 MHz;
    // WATCHDOG TICK of 12 cycles of the crystal, for a timer in microseconds.
    let mut watchdog = Watchdog::new(device.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL_HZ,
        device.XOSC,
        device.CLOCKS,
        device.PLL_SYS,
        device.PLL_USB,
        &mut device.RESETS,
        &mut watchdog,
    );
    let clocks = take_or_restart(clocks.ok());
    let timer = Timer::new(device.TIMER, &mut device.RESETS, &clocks);

    let sio = Sio::new(device.SIO);
    let pins = Pins::new(device.IO_BANK0, device.PADS_BANK0, sio.gpio_bank0, &mut device.RESETS);
    // Lit until the worker waits for bytes: it stays lit on a board that has a key and fails to draw random bytes.
    let mut led = pins.gpio25.reconfigure::<FunctionSioOutput, PullDown>();
    line::light(&mut led, true);
    let boot = || identity::seed().or_else(|| random::draw(&device.ROSC));
    let worker = init_worker::<R>(board, memory::take(), boot);

    let transmit = pins.gpio0.reconfigure::<FunctionUart, PullDown>();
    // Pulled up: an open pin would receive noise.
    let receive = pins.gpio1.reconfigure::<FunctionUart, PullUp>();
    uart::open(device.UART0, (transmit, receive), &mut device.RESETS);
    let transmit = pins.gpio4.reconfigure::<FunctionUart, PullDown>();
    let receive = pins.gpio5.reconfigure::<FunctionUart, PullUp>();
    uart::open(device.UART1, (transmit, receive), &mut device.RESETS);
    let sensor = SensorPort::new(&uart::SENSED, uart::enable_sensor);
    let window = take_or_restart(WINDOW.try_take());
    let recorder = Recorder::new(rows::take(), window);
    let sensor = StreamSensor::with_interrupt(sensor, identity::sensor_channels());
    let mut recorder = RemoteRecorder::new(recorder, sensor);

    let bus = UsbBus::new(
        device.USBCTRL_REGS,
        device.USBCTRL_DPRAM,
        clocks.usb_clock,
        // The board wires the voltage of the cable to another pin than the one that detects it.
        true,
        &mut device.RESETS,
    );
    let bus = take_or_restart(BUS.try_init(UsbBusAllocator::new(bus)));
    usb::open(bus, identity, timer);
    serve_recorder(Line::open(led), worker, objectives, &mut (), &mut recorder, |_, _| ())
}
