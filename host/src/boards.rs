//! Boards: the table of supported boards, the build of their images, and key files.

mod binary;
pub mod board;
pub mod equipment;
pub mod esp32_c3;
pub mod flash;
pub mod image;
pub mod key_file;
pub mod qemu;
pub mod rp2040;
pub mod template;
pub mod tested;
mod uf2;
