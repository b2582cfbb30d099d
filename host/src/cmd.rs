//! The subcommands, a file each, and the code that they share: [`console`], [`each_board`] and
//! [`training`].

pub(crate) mod boards;
pub(crate) mod console;
pub(crate) mod demo;
pub(crate) mod each_board;
pub(crate) mod emulate;
pub(crate) mod export;
pub(crate) mod image;
pub(crate) mod key;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod ports;
pub(crate) mod predict;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod training;
pub(crate) mod watch;
