//! A program that can panic, as a positive case for the test that looks for panics in images.
#![no_std]
#![no_main]

use board_support::identity;
use core::hint::black_box;
use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    let given = identity::injected_or_else(|| 0) as usize;
    black_box(checked(&[1, 2, 3], given));
    black_box(7 / given);
    loop {
        cortex_m::asm::wfi();
    }
}

#[inline(never)]
fn checked(table: &[u8], index: usize) -> u8 {
    table[index]
}
