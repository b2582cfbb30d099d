//! The subcommands, a file each, and the code that they share: [`console`] and [`training`].

pub mod console;
pub mod demo;
pub mod emulate;
pub mod image;
pub mod key;
pub mod plan;
pub mod ports;
pub mod report;
pub mod reproduce;
pub mod resume;
pub mod run;
pub mod simulate;
pub mod training;
