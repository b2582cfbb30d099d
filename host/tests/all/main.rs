//! All tests of the binary and of the rooms of its library, in one program, so that it is linked once.

mod command_line;
mod emulated;
mod house;
mod resume;
mod support;
#[cfg(target_os = "linux")]
mod unruly;
