//! The image of this board.
#![no_std]
#![no_main]

board_support::image!(mps3::run);
