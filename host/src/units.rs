//! Utilities for text, quantities, files, programs and signals. Imports no other room.

pub mod files;
pub mod interrupt;
pub mod own_name;
pub(crate) mod private_file;
pub mod program;
pub mod quantity;
pub mod serial_line;
pub mod shown;
pub mod text;
