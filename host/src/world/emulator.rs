//! Boards emulated by QEMU, each with a unix socket as its serial line.

mod folder;
mod qemu;
mod supervisor;

pub use folder::FolderError;
pub use qemu::{Emulator, EmulatorError, Failure};
pub use supervisor::supervise;
