//! The image of a micro:bit with the Huber loss.
#![no_std]
#![no_main]

board_support::image!(microbit::run, own_loss::Huber::default());
