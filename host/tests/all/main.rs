//! All tests of the binary and of the rooms of its library, in one test program, so that it is linked only once.

mod command_line;
mod emulated;
mod house;
mod live;
mod model;
mod recorder;
mod resume;
mod support;
#[cfg(target_os = "linux")]
mod unruly;
mod walk;
