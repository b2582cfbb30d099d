//! Emulated boards, each with a unix socket as its serial line, and another one as that of its sensor.

mod bench;
mod command;
mod failure;
mod feeder;
mod folder;
mod order;
mod player;
mod port_folder;
mod process;
mod recording;
mod supervisor;

pub use bench::{Bench, BenchError};
pub use failure::{EmulatorError, Failure};
pub use feeder::{FeedError, Feeder};
pub use folder::FolderError;
pub use order::{Order, OrderError};
pub use player::Player;
pub use port_folder::{PortFolder, PortFolderError};
pub use process::Emulator;
pub use recording::{RecordingError, Rows, record};
pub use supervisor::supervise;
