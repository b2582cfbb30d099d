//! Boards emulated by QEMU, each with a unix socket as its serial line, and another one as that of its sensor.

mod feeder;
mod folder;
mod qemu;
mod recording;
mod supervisor;

pub use feeder::{FeedError, Feeder};
pub use folder::FolderError;
pub use qemu::{Emulator, EmulatorError, Failure};
pub use recording::{RecordingError, record};
pub use supervisor::supervise;
