//! Boards: the table of those that have an image, how images are built, and the files with their key.

pub mod board;
pub mod image;
pub mod key_file;
