//! The image of an MPS2 board with the Huber loss.
#![no_std]
#![no_main]

board_support::image!(mps2::run, own_loss::Huber::default());
