//! Failures of workers.

use crate::board::Identity;
use crate::shown::shown;
use smidgen_protocol::message::{SCHEMA, VERSION};
use thiserror::Error;

/// A worker with which no run is possible.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("worker {}{}: {reason}", .worker + 1, .identity.as_ref().map(|i| format!(" ({i})")).unwrap_or_default())]
pub struct Failure {
    /// Its index, from 0; messages count from 1.
    pub worker: usize,
    /// How its board identified itself.
    pub identity: Option<Identity>,
    /// The reason.
    pub reason: Reason,
}

/// The reason of a failure, and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The firmware speaks another version of the wire format.
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
    /// The firmware does not have the objective of the run.
    #[error(
        "its firmware supports {} but not {wanted}; flash one with that objective, or choose another --objective",
        shown(theirs)
    )]
    Objective {
        /// Names of the objectives that it has.
        theirs: String,
        /// Name of the objective of the run.
        wanted: &'static str,
    },
    /// State and data do not fit into its memory.
    #[error(
        "state and data need {need} bytes, but the board has {room}; use more workers, fewer rows (--rows), \
         --downlink dense, or a larger board"
    )]
    Memory {
        /// Bytes needed.
        need: u32,
        /// Bytes available.
        room: u32,
    },
    /// It cannot read its data.
    #[error("the data arrived but the worker cannot read them; please report this as a bug")]
    Data,
    /// Its rows are not those of the run.
    #[error(
        "its rows are no longer those with which the run was prepared: it recorded meanwhile, lost them with its \
         power, or another board answers there; list them by `smidgen record --list`, and start the run again"
    )]
    Rows,
    /// It does not accept the configuration.
    #[error("it does not accept the configuration; please report this as a bug")]
    Configuration,
    /// No step size follows from the reported constants.
    #[error(
        "the constants that it reports make the step size overflow or underflow; scale the data, give --lambda a \
         number above 0, or use --constants data"
    )]
    Curvature,
    /// Another worker has the same identity.
    #[error(
        "worker {} has the same identity and answers as well; connect each board only once, and use only one of two \
         boards that the factory gave the same identity; `smidgen image` shows how an emulated one gets its own",
        .0 + 1
    )]
    SameIdentity(usize),
    /// A board of another run answers in its place.
    #[error(
        "another board answers in its place ({0}); connect the board of this run, or stop the run and let `smidgen \
         resume` accept this one, if there is a checkpoint"
    )]
    Stranger(Identity),
    /// It identifies itself, but does not answer requests.
    #[error(
        "it identifies itself but does not answer other requests; restart it, and please report this as a bug"
    )]
    Stuck,
    /// It restarts again and again.
    #[error(
        "it has restarted {0} times without an answer in between; check its power supply, and that its firmware is the \
         one for this board"
    )]
    Restarts(u32),
    /// It sends without end.
    #[error(
        "it sends without end, with hardly any answers; check that one of the boards is connected there, and that \
         nothing else writes to its line"
    )]
    Flood,
    /// Its state differs from the host's copy.
    #[error("its state differs from the host's copy of it; please report this as a bug")]
    Diverged,
}

impl Reason {
    /// The reason why firmware with another version or schema cannot be used, if it has one.
    pub fn of_versions(version: u16, schema: [u8; 8]) -> Option<Self> {
        match (version, schema) {
            (VERSION, SCHEMA) => None,
            (VERSION, _) => Some(Self::Schema(schema)),
            _ => Some(Self::Version(version)),
        }
    }
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}
