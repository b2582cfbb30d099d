//! UART 0, the line to the host, and UART 1, that of a sensor, by their registers.

use board_support::serial::{Bytes, Inlet};
use esp32c3::{INTERRUPT_CORE0, Interrupt, SYSTEM, UART0, UART1, uart0::RegisterBlock};
use riscv::interrupt::Interrupt as Line;
use riscv_rt::core_interrupt;

/// Bytes of the host, buffered while the worker computes: more than two frames.
pub static RECEIVED: Inlet<2049> = Inlet::new();
/// Bytes of the sensor, buffered while a row is made: 20 ms on the line.
pub static SENSED: Bytes<256> = Bytes::new();

const BAUD: u32 = 115_200;
/// Clock of the ports: the crystal.
const CRYSTAL_HZ: u32 = 40_000_000;
/// Clock cycles per bit, in sixteenths, rounded to nearest.
const DIVISOR: u32 = (CRYSTAL_HZ * 16 + BAUD / 2) / BAUD;
/// Selects the crystal.
const CRYSTAL: u8 = 3;
/// Eight bits, one stop bit.
const EIGHT_BITS: u8 = 3;
const ONE_STOP_BIT: u8 = 1;
/// Bytes that a transmitter holds.
const FIFO_LEN: u16 = 128;

/// Opens both ports, with an interrupt for each byte. The interrupt of the sensor waits for [`listen`].
pub fn open() {
    // SAFETY: interrupts are disabled, and nothing else uses these registers.
    let (system, host, sensor) = unsafe { (SYSTEM::steal(), UART0::steal(), UART1::steal()) };
    system.perip_clk_en0().modify(|_, w| {
        w.uart_clk_en().set_bit().uart1_clk_en().set_bit().uart_mem_clk_en().set_bit()
    });
    set_up(&host);
    set_up(&sensor);
    route();
    host.int_ena().write(|w| w.rxfifo_full().set_bit().rxfifo_ovf().set_bit());
}

fn set_up(uart: &RegisterBlock) {
    // SAFETY: the values are valid for their fields. The clock reaches the port undivided.
    unsafe {
        uart.clk_conf()
            .modify(|_, w| w.sclk_sel().bits(CRYSTAL).sclk_div_num().bits(0).sclk_en().set_bit());
        uart.clkdiv()
            .write(|w| w.clkdiv().bits((DIVISOR >> 4) as u16).frag().bits((DIVISOR & 15) as u8));
        uart.conf0().modify(|_, w| {
            w.parity_en().clear_bit().bit_num().bits(EIGHT_BITS).stop_bit_num().bits(ONE_STOP_BIT)
        });
        uart.conf1().modify(|_, w| w.rxfifo_full_thrhd().bits(1));
    }
    // What the bootloader received is not for the worker.
    uart.conf0().modify(|_, w| w.rxfifo_rst().set_bit());
    uart.conf0().modify(|_, w| w.rxfifo_rst().clear_bit());
}

/// Connects both ports to one interrupt line of the core. Any would do: the one that the RISC-V standard calls the
/// external interrupt has a name in `riscv-rt`.
fn route() {
    let line = Line::MachineExternal as usize;
    // SAFETY: nothing else uses these registers; these are the numbers of a line, and a priority that the threshold
    // lets pass.
    unsafe {
        let interrupts = INTERRUPT_CORE0::steal();
        for source in [Interrupt::UART0, Interrupt::UART1] {
            interrupts.core_0_intr_map(source as usize).write(|w| w.bits(line as u32));
        }
        interrupts.cpu_int_pri(line).write(|w| w.bits(1));
        interrupts.cpu_int_thresh().write(|w| w.bits(1));
        interrupts.cpu_int_type().modify(|r, w| w.bits(r.bits() & !(1 << line)));
        interrupts.cpu_int_enable().modify(|r, w| w.bits(r.bits() | 1 << line));
    }
}

/// Enables the interrupt of the sensor.
pub fn listen() {
    // SAFETY: `open` has set up the port; the interrupt handler alone writes this register otherwise.
    let uart = unsafe { UART1::steal() };
    uart.int_ena().write(|w| w.rxfifo_full().set_bit());
}

/// Sends a byte, once there is room for it.
pub fn send(byte: u8) {
    // SAFETY: `open` has set up the port. The interrupt reads bytes, and nothing else writes them.
    let uart = unsafe { UART0::steal() };
    while uart.status().read().txfifo_cnt().bits() >= FIFO_LEN {}
    // SAFETY: every byte can be sent.
    uart.fifo().write(|w| unsafe { w.rxfifo_rd_byte().bits(byte) });
}

#[core_interrupt(Line::MachineExternal)]
fn interrupt() {
    receive();
}

/// Queues the bytes that have arrived, to be called by the interrupt or while that is masked.
pub fn receive() {
    // SAFETY: `open` has set up the ports. `send` writes only bytes.
    let (host, sensor) = unsafe { (UART0::steal(), UART1::steal()) };
    // Cleared before the bytes are taken, so that a byte in between raises it again; it stays set otherwise.
    host.int_clr().write(|w| w.rxfifo_full().clear_bit_by_one());
    sensor.int_clr().write(|w| w.rxfifo_full().clear_bit_by_one());
    while host.status().read().rxfifo_cnt().bits() > 0 {
        RECEIVED.received(host.fifo().read().rxfifo_rd_byte().bits());
    }
    if host.int_raw().read().rxfifo_ovf().bit() {
        host.int_clr().write(|w| w.rxfifo_ovf().clear_bit_by_one());
        RECEIVED.lost();
    }
    while sensor.status().read().rxfifo_cnt().bits() > 0 {
        if !SENSED.has_room() {
            sensor.int_ena().write(|w| w);
            break;
        }
        SENSED.received(sensor.fifo().read().rxfifo_rd_byte().bits());
        RECEIVED.call();
    }
}
