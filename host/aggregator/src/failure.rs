//! Why a run cannot go on.

use crate::board::Identity;
use crate::shown::shown;
use smidgen_protocol::message::{SCHEMA, VERSION};
use thiserror::Error;

/// A worker with whom there can be no run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("worker {}{}: {reason}", .worker + 1, .identity.as_ref().map(|i| format!(" ({i})")).unwrap_or_default())]
pub struct Failure {
    /// Its index, from 0; messages count from 1.
    pub worker: usize,
    /// Who it says it is.
    pub identity: Option<Identity>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The firmware speaks another version.
    #[error(
        "its firmware speaks version {0} of the wire format and this host version {ours}; \
         flash the firmware that belongs to this host, or use the host that belongs to the firmware",
        ours = VERSION
    )]
    Version(u16),
    /// The firmware was built from other messages.
    #[error(
        "its firmware was built from other messages (schema {theirs} instead of {ours}); \
         flash the firmware that belongs to this host",
        theirs = hex(*.0), ours = hex(SCHEMA)
    )]
    Schema([u8; 8]),
    /// It computes something else.
    #[error(
        "its firmware computes {} and not {wanted}; flash one with that objective or choose another --objective",
        shown(theirs)
    )]
    Objective {
        /// Names of what it computes.
        theirs: String,
        /// What this run is about.
        wanted: &'static str,
    },
    /// State and data do not fit.
    #[error(
        "state and data need {need} bytes and the board has room for {room}; use more workers, \
         fewer rows (--rows), --downlink dense, or a larger board"
    )]
    Memory {
        /// Bytes needed.
        need: u32,
        /// Bytes there.
        room: u32,
    },
    /// It cannot read its data.
    #[error("the data arrived but the worker cannot read them; please report this as a bug")]
    Data,
    /// It does not accept the configuration.
    #[error("it does not accept the configuration; please report this as a bug")]
    Configuration,
    /// No step size follows from what workers report.
    #[error(
        "what it reports of its data leaves no step size that a number can hold; scale the data, give --lambda a number \
         above 0, or use --constants data"
    )]
    Curvature,
    /// The identity is taken.
    #[error(
        "worker {} has the same identity, and answers as well; connect each board once, and leave out one of two that the \
         factory gave the same; `smidgen image` shows how an emulated one gets its own",
        .0 + 1
    )]
    SameIdentity(usize),
    /// A board answers that belongs to nobody.
    #[error(
        "a board answers in its place that is not of this run ({0}); connect the one that the run was started with, or end \
         the run: where it has a checkpoint, `smidgen resume` gives this one the place"
    )]
    Stranger(Identity),
    /// It is there, but does not answer.
    #[error(
        "it says that it is there but does not answer what it is asked; restart it, and please report this as a bug"
    )]
    Stuck,
    /// It restarts again and again.
    #[error(
        "it has restarted {0} times without an answer in between; check its power supply, and that its firmware is the one \
         for this board"
    )]
    Restarts(u32),
    /// It sends without end.
    #[error(
        "it sends without end, and hardly any of it is an answer; check that one of the boards is connected there, and that nothing \
         else writes to its line"
    )]
    Flood,
    /// Worker and host disagree on its state.
    #[error("its state differs from the host's copy of it; please report this as a bug")]
    Diverged,
}

fn hex(bytes: [u8; 8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
