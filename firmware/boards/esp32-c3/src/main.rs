//! The image of this board.
#![no_std]
#![no_main]

board_support::image!(esp32_c3::run);
