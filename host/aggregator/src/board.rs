//! The board of a worker.

use crate::shown::shown;
use serde::{Deserialize, Serialize};

/// Identification of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Kind of board.
    pub board: String,
    /// Number that distinguishes it from other boards of its kind.
    pub identity: u64,
    /// Bytes of memory for state and data.
    pub memory: u32,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {:016x}", shown(&self.board), self.identity)
    }
}

/// Refutations in a row after which a board that answers on two links counts as two boards.
const REFUTED_MAX: u32 = 3;

/// The board of a worker.
#[derive(Debug, Default)]
pub(crate) enum Board {
    /// None has answered yet.
    #[default]
    Unknown,
    /// It answered in the part of the run that was resumed.
    Remembered(Identity),
    /// It has identified itself to this host, on that link at last.
    Greeted(Identity, usize),
}

impl Board {
    /// Its identity, if it has ever identified itself.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Unknown => None,
            Self::Remembered(identity) | Self::Greeted(identity, _) => Some(identity),
        }
    }

    /// It has identified itself to this host.
    pub(crate) fn is_greeted(&self) -> bool {
        match self {
            Self::Unknown | Self::Remembered(_) => false,
            Self::Greeted(..) => true,
        }
    }

    /// Notes that it answers on a link; returns whether it answered on another one before.
    pub(crate) fn greeted(&mut self, identity: Identity, link: usize) -> bool {
        let has_moved = match *self {
            Self::Unknown | Self::Remembered(_) => false,
            Self::Greeted(_, before) => before != link,
        };
        *self = Self::Greeted(identity, link);
        has_moved
    }
}

/// A board of another worker that answers on this one's link.
#[derive(Debug, Default)]
pub(crate) struct Visitor {
    /// The worker whose board it is.
    pub owner: Option<usize>,
    /// Number of times in a row that such a board has answered on its own link as well.
    refuted: u32,
}

impl Visitor {
    /// Notes whose board answers; returns whether that is new.
    pub(crate) fn meet(&mut self, owner: usize) -> bool {
        self.owner.replace(owner) != Some(owner)
    }

    /// Notes that the board answers on its own link; returns whether that has happened too often.
    pub(crate) fn refute(&mut self) -> bool {
        self.owner = None;
        self.refuted = (self.refuted + 1) % REFUTED_MAX;
        self.refuted == 0
    }

    /// Notes that another board may answer by now.
    pub(crate) fn forget(&mut self) {
        self.owner = None;
    }

    /// Notes that no board of another worker is in doubt.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
