//! Boards: the table of supported boards, the build of their images, and key files.

pub mod board;
pub mod image;
pub mod key_file;
