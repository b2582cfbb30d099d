//! The image of this board.
#![no_std]
#![no_main]

board_support::image!(microbit_v2::run);
